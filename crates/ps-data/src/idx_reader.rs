//! IDX pairs read image by image, whatever their size.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::idx::{self, Kind};
use super::input::{self, Input};
use super::limits::INPUTS_MAX;
use super::reader::{Next, SampleReader};
use super::{Error, idx_set};

/// Reads one pair.
pub(super) struct IdxReader {
    images: Part,
    labels: Part,
    shape: Vec<usize>,
    count: u64,
    record: u64,
}

/// One file of a pair.
struct Part {
    path: PathBuf,
    from: Input,
    /// What is read at once: an image, or a label.
    bytes: Vec<u8>,
}

impl IdxReader {
    /// Opens both files and reads what they say of themselves.
    pub(super) fn open(images: &Path, labels: &Path) -> Result<Self, Error> {
        let (images, sizes) = Part::open(images, Kind::Images)?;
        let (labels, label_sizes) = Part::open(labels, Kind::Labels)?;
        let (count, shape) = (sizes[0], sizes[1..].to_vec());
        idx_set::check_counts((&images.path, &sizes), (&labels.path, label_sizes[0]))?;
        let inputs = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        if inputs.is_none_or(|inputs| inputs > INPUTS_MAX) {
            return Err(Error::TooLarge {
                path: images.path,
                what: "the number of pixels of an image",
                found: shape.iter().map(|&size| size as u128).product(),
                limit: INPUTS_MAX,
                hint: "the header may be damaged; larger images must be made smaller",
            });
        }
        Ok(Self { images, labels, shape, count: count as u64, record: 0 })
    }

    /// Whether both files end where their headers say.
    fn end(&mut self) -> Result<Next, Error> {
        for part in [&mut self.images, &mut self.labels] {
            if part.read(1)? > 0 {
                return Err(part.wrong_length("more", self.count));
            }
        }
        Ok(Next::End)
    }
}

impl SampleReader for IdxReader {
    fn next(&mut self, wanted: bool, inputs: &mut Vec<f32>) -> Result<Next, Error> {
        if self.record == self.count {
            return self.end();
        }
        let pixels = self.shape.iter().product();
        for (part, bytes) in [(&mut self.images, pixels), (&mut self.labels, 1)] {
            if part.read(bytes)? < bytes {
                return Err(part.wrong_length(&format!("{} whole ones", self.record), self.count));
            }
        }
        self.record += 1;
        if !wanted {
            return Ok(Next::Skipped);
        }
        inputs.extend(self.images.bytes.iter().map(|&byte| f32::from(byte) / 255.0));
        Ok(Next::Sample(u32::from(self.labels.bytes[0])))
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn place(&self) -> (&Path, u64) {
        (&self.images.path, self.record)
    }
}

impl Part {
    fn open(path: &Path, kind: Kind) -> Result<(Self, Vec<usize>), Error> {
        let mut from = input::open(path)?;
        let sizes = idx::header(path, kind, &mut from)?;
        Ok((Self { path: path.to_owned(), from, bytes: Vec::new() }, sizes))
    }

    /// Reads up to so many bytes.
    fn read(&mut self, bytes: usize) -> Result<usize, Error> {
        self.bytes.clear();
        let read = self.from.by_ref().take(bytes as u64).read_to_end(&mut self.bytes);
        read.map_err(|source| Error::Read { path: self.path.clone(), source })
    }

    fn wrong_length(&self, found: &str, count: u64) -> Error {
        Error::Length {
            path: self.path.clone(),
            found: format!("{found} after the header"),
            expected: format!("the {count} that it promises"),
            hint: "was it copied in full, or written by another program?",
        }
    }
}
