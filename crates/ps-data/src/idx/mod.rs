//! IDX, the file format of MNIST: a file of images and a file of labels make a set.

mod file;
mod pairs;
mod reader;

pub(crate) use pairs::{IdxFiles, IdxPair, Split};
pub(crate) use reader::IdxReader;
