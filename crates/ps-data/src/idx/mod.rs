//! IDX, the file format of MNIST: a file of images and a file of labels make a set.

mod choice;
mod file;
mod pairs;
mod reader;

pub(crate) use choice::{both, one};
pub(crate) use pairs::{IdxPair, Split};
pub(crate) use reader::IdxReader;
