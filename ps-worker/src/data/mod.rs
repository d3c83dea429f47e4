//! Training and test data: found in a directory, checked strictly, held compactly.
//!
//! [`load`] tells the format from the names of the files: IDX (the format of MNIST) or CSV.
//! [`bundled_digits`] needs no file at all. Every process of a job must see the same files, because
//! samples are named by their number.

mod categories;
mod columns;
mod csv_file;
mod error;
mod idx;
pub mod limits;
mod load;
mod samples;

pub use csv_file::LabelColumn;
pub use error::Error;
pub use load::{bundled_digits, load, load_with};
pub use samples::{Dataset, Features, Samples};
