//! Training images moved by a few pixels, so that a model learns what is in them and not where.

use crate::draw::{Draw, below};
use crate::{Error, Samples};

/// Keeps these numbers apart from every other ones that are keyed by the same seed.
const PURPOSE: &[u8; 16] = b"ps image shift 1";

/// How far images of one shape are moved in one pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// At the most, in each direction.
    pixels: usize,
    height: usize,
    width: usize,
    draw: Draw,
}

impl Shift {
    /// For samples of this shape, `[height, width]` or `[channels, height, width]`.
    ///
    /// # Errors
    /// These are no images, or half of one would be moved out of it.
    pub fn new(pixels: usize, shape: &[usize], draw: Draw) -> Result<Self, Error> {
        let (height, width) = match *shape {
            [height, width] | [_, height, width] => (height, width),
            _ => {
                return Err(Error::Options(format!(
                    "--augment-shift {pixels}: the training samples are of the shape {shape:?}, \
                     expected images, [height, width] or [channels, height, width]; leave the \
                     option out for other data"
                )));
            }
        };
        let most = height.min(width) / 2;
        if pixels > most {
            return Err(Error::Options(format!(
                "--augment-shift {pixels}: the images have {height} x {width} pixels, expected at \
                 most {most}, half of the smaller side; give fewer pixels"
            )));
        }
        Ok(Self { pixels, height, width, draw })
    }

    /// Moves these images, of which `numbers` says which samples they are: each by as much as its
    /// number says in this pass, whoever trains on it.
    pub fn apply(&self, numbers: &[u64], features: &mut [f32]) {
        if numbers.is_empty() {
            return;
        }
        let each = features.len() / numbers.len();
        for (number, image) in numbers.iter().zip(features.chunks_exact_mut(each.max(1))) {
            self.apply_to_one(*number, image);
        }
    }

    /// Moves one image.
    pub(crate) fn apply_to_one(&self, number: u64, image: &mut [f32]) {
        let (down, right) = self.distance(number);
        for plane in image.chunks_exact_mut((self.height * self.width).max(1)) {
            self.plane(plane, down, right);
        }
    }

    /// How far a sample is moved down and to the right.
    fn distance(&self, number: u64) -> (isize, isize) {
        let mut random = self.draw.generator(PURPOSE);
        // A stream of numbers for each sample: nothing depends on those that came before it.
        random.set_stream(number);
        let mut drawn = || {
            let distances = u32::try_from(2 * self.pixels + 1).unwrap_or(u32::MAX);
            below(&mut random, distances) as isize - self.pixels as isize
        };
        (drawn(), drawn())
    }

    /// Moves the rows of one plane, those first whose place is wanted by others.
    fn plane(&self, plane: &mut [f32], down: isize, right: isize) {
        let (height, width) = (self.height, self.width);
        for step in 0..height {
            let to = if down > 0 { height - 1 - step } else { step };
            let from = to.checked_add_signed(-down).filter(|&from| from < height);
            let row = to * width..(to + 1) * width;
            match from {
                Some(from) => {
                    plane.copy_within(from * width..(from + 1) * width, row.start);
                    shift_row(&mut plane[row], right);
                }
                None => plane[row].fill(0.0),
            }
        }
    }
}

/// Moves a row to the right, or to the left where that is less than 0.
fn shift_row(row: &mut [f32], right: isize) {
    let by = right.unsigned_abs().min(row.len());
    let kept = row.len() - by;
    if right >= 0 {
        row.copy_within(..kept, by);
        row[..by].fill(0.0);
    } else {
        row.copy_within(by.., 0);
        row[kept..].fill(0.0);
    }
}

/// Checks the option for samples that are here; there may be none.
pub fn check_shift(pixels: usize, samples: &Samples) -> Result<(), Error> {
    match pixels == 0 || samples.shape().is_empty() {
        true => Ok(()),
        false => Shift::new(pixels, samples.shape(), Draw::default()).map(drop),
    }
}

#[cfg(test)]
mod tests;
