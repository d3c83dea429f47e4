//! IDX pairs, read whole or image by image.

use std::path::Path;

use super::IdxPair;
use super::file::{IdxFile, IdxKind};
use crate::error::check_limits;
use crate::limits::INPUTS_MAX;
use crate::sample_reader::{Next, SampleReader};
use crate::{Error, Features, Inputs, Label, Samples};

/// Reads one pair.
pub(crate) struct IdxReader {
    images: IdxFile,
    labels: IdxFile,
    /// What was read last.
    image: Vec<u8>,
    label: Vec<u8>,
    record: usize,
}

impl IdxReader {
    /// Opens both files and reads what they say of themselves.
    pub(crate) fn open(pair: &IdxPair) -> Result<Self, Error> {
        let images = IdxFile::open(&pair.images, IdxKind::Images)?;
        Self::new(images, IdxFile::open(&pair.labels, IdxKind::Labels)?)
    }

    /// The same of files in memory; errors name the paths.
    pub(crate) fn from_bytes(
        pair: &IdxPair,
        images: &'static [u8],
        labels: &'static [u8],
    ) -> Result<Self, Error> {
        let images = IdxFile::new(&pair.images, IdxKind::Images, images)?;
        Self::new(images, IdxFile::new(&pair.labels, IdxKind::Labels, labels)?)
    }

    fn new(images: IdxFile, labels: IdxFile) -> Result<Self, Error> {
        if images.sizes.contains(&0) {
            return Err(Error::Length {
                path: images.path,
                found: format!("images of sizes {:?}", images.sizes),
                expected: "at least one image with at least one pixel".to_owned(),
                hint: "a set without samples cannot be trained on or tested with",
            });
        }
        Ok(Self { images, labels, image: Vec::new(), label: Vec::new(), record: 0 })
    }

    /// All samples.
    pub(crate) fn read_all(self) -> Result<Samples, Error> {
        let (shape, mismatch) = (self.shape().to_vec(), self.mismatch());
        let images = Features::Bytes(self.images.read_all()?.into());
        let labels: Vec<u32> = self.labels.read_all()?.into_iter().map(u32::from).collect();
        Samples::new(images, shape, labels).ok_or(mismatch)
    }

    /// For reading sample by sample: checks that there are as many of both, and that one image fits
    /// into memory.
    pub(crate) fn sample_by_sample(self) -> Result<Self, Error> {
        if self.images.sizes[0] != self.labels.sizes[0] {
            return Err(self.mismatch());
        }
        let pixels: u128 = self.shape().iter().map(|&size| size as u128).product();
        let hint = "the header may be damaged; larger images must be made smaller";
        let limit = ("the number of pixels of an image", pixels, INPUTS_MAX);
        check_limits(&self.images.path, [limit], hint)?;
        Ok(self)
    }

    fn mismatch(&self) -> Error {
        Error::Mismatch {
            path: self.labels.path.clone(),
            found: format!("{} labels", self.labels.sizes[0]),
            other: self.images.path.clone(),
            expected: format!("has {} images", self.images.sizes[0]),
            hint: "one of the two is from another set or incomplete",
        }
    }
}

impl SampleReader for IdxReader {
    fn next(&mut self, wanted: bool, inputs: &mut Inputs) -> Result<Next, Error> {
        let count = self.images.sizes[0];
        let is_end = self.record == count;
        // At the end one byte more shows whether anything follows.
        let pixels = if is_end { 1 } else { self.shape().iter().product() };
        let images = (&mut self.images, &mut self.image, pixels);
        let labels = (&mut self.labels, &mut self.label, 1);
        for (file, values, bytes) in [images, labels] {
            values.clear();
            let found = match (is_end, file.read(bytes, values)?) {
                (true, read) if read > 0 => "more".to_owned(),
                (false, read) if read < bytes => format!("{} whole ones", self.record),
                _ => continue,
            };
            return Err(file.wrong_length(&found, format!("the {count} that it promises")));
        }
        if is_end {
            return Ok(Next::End);
        }
        self.record += 1;
        if !wanted {
            return Ok(Next::Skipped);
        }
        inputs.features.extend(self.image.iter().map(|&byte| f32::from(byte) / 255.0));
        Ok(Next::Sample(Label::Class(u32::from(self.label[0]))))
    }

    fn shape(&self) -> &[usize] {
        &self.images.sizes[1..]
    }

    fn position(&self) -> (&Path, u64) {
        (&self.images.path, self.record as u64)
    }
}
