//! A chunk's values as they came, made a dense run of `f32` again.

use super::{Encoding, POSITION_BYTES};

/// What of a push came for one chunk.
#[derive(Clone, Copy, Debug)]
pub struct EncodedValues<'a> {
    /// How the values are written.
    pub encoding: Encoding,
    /// The values, of every covered element or of those that have a position.
    pub values: &'a [u8],
    /// Positions among the covered elements, little-endian `u16`, strictly rising; empty where
    /// every covered element has a value.
    pub positions: &'a [u8],
}

/// Why values cannot be those of a chunk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    /// Not as many values as elements.
    #[error(
        "{found} bytes of {encoding} values for {elements} elements, expected {expected}: send one \
         value for each"
    )]
    ValueBytes { encoding: Encoding, elements: usize, found: usize, expected: usize },
    /// Half a position.
    #[error("{0} bytes of positions, expected 2 for each value")]
    PositionBytes(usize),
    /// A position beyond what is covered.
    #[error(
        "position {found} of {covered} covered elements: positions count in what the spans cover"
    )]
    OutOfRange { found: u16, covered: usize },
    /// A position that is not above the one before it.
    #[error("position {found} after {before}, expected strictly rising positions")]
    NotRising { found: u16, before: u16 },
    /// State in parts.
    #[error("positions in a push of state: send all values, as zeros would replace the others")]
    State,
}

impl EncodedValues<'_> {
    /// Whether the values are the dense `f32` that an update takes, with nothing to be decoded.
    pub fn is_plain(&self) -> bool {
        self.encoding == Encoding::F32 && self.positions.is_empty()
    }

    /// The values of all elements that the spans cover, zero where none was sent.
    ///
    /// # Errors
    /// What came cannot be meant for so many elements; `values` may hold anything then.
    ///
    /// `values` has one place for each covered element.
    pub fn decode(&self, values: &mut [f32]) -> Result<(), Error> {
        if self.positions.is_empty() {
            self.check_values(values.len())?;
            self.encoding.decode(self.values, values);
            return Ok(());
        }
        let (positions, rest) = self.positions.as_chunks::<POSITION_BYTES>();
        if !rest.is_empty() {
            return Err(Error::PositionBytes(self.positions.len()));
        }
        check_positions(positions, values.len())?;
        self.check_values(positions.len())?;
        // Rising positions below the number of elements: no more of them than elements.
        self.encoding.decode(self.values, &mut values[..positions.len()]);
        spread(positions, values);
        Ok(())
    }

    /// Whether there are as many values as these elements have.
    ///
    /// # Errors
    /// There are not.
    pub fn check_values(&self, elements: usize) -> Result<(), Error> {
        let (encoding, found) = (self.encoding, self.values.len());
        let expected = encoding.encoded_bytes(elements);
        if found == expected {
            return Ok(());
        }
        Err(Error::ValueBytes { encoding, elements, found, expected })
    }
}

fn check_positions(positions: &[[u8; POSITION_BYTES]], covered: usize) -> Result<(), Error> {
    let mut before = None;
    for &position in positions {
        let found = u16::from_le_bytes(position);
        if let Some(before) = before.filter(|&before| before >= found) {
            return Err(Error::NotRising { found, before });
        }
        if usize::from(found) >= covered {
            return Err(Error::OutOfRange { found, covered });
        }
        before = Some(found);
    }
    Ok(())
}

/// Moves the values at the front to their positions, with zeros between them.
// From the last to the first: position j is at least j, so nothing is overwritten before it moved.
fn spread(positions: &[[u8; POSITION_BYTES]], values: &mut [f32]) {
    let mut end = values.len();
    for (from, &position) in positions.iter().enumerate().rev() {
        let to = usize::from(u16::from_le_bytes(position));
        let value = values[from];
        values[to + 1..end].fill(0.0);
        values[to] = value;
        end = to;
    }
    values[..end].fill(0.0);
}
