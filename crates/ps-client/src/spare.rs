//! Buffers of gradients that have arrived, to write the next ones in: fresh memory costs as much as
//! what is written in it.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError};

/// Elements below which fresh memory costs nothing.
const ELEMENTS_MIN: usize = 1024;

/// Buffers by their length. As many are kept as were asked for at once: a gradient that nobody wrote
/// in one of these (candle's own layers do not, nor does clipping) must not pile up here.
#[derive(Clone, Debug, Default)]
pub struct Spare(Arc<Mutex<BTreeMap<usize, Buffers>>>);

/// Buffers of one length.
#[derive(Debug, Default)]
struct Buffers {
    /// That nobody uses at the moment.
    free: Vec<Vec<f32>>,
    /// How many were taken and did not come back.
    lent: usize,
}

impl Spare {
    /// A buffer of this length; what is in it counts for nothing.
    pub fn take(&self, length: usize) -> Vec<f32> {
        if length < ELEMENTS_MIN {
            return vec![0.0; length];
        }
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let buffers = spare.entry(length).or_default();
        buffers.lent += 1;
        let found = buffers.free.pop();
        drop(spare);
        found.unwrap_or_else(|| vec![0.0; length])
    }

    fn put(&self, buffer: Vec<f32>) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(buffers) = spare.get_mut(&buffer.len()) else { return };
        if buffers.lent > 0 {
            buffers.lent -= 1;
            buffers.free.push(buffer);
        }
    }

    /// Elements that are kept for later.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.iter().map(|(length, buffers)| length * buffers.free.len()).sum()
    }
}

/// Values that go back to the spare buffers when nobody needs them any more.
#[derive(Debug)]
pub(super) struct Floats {
    values: Vec<f32>,
    spare: Option<Spare>,
}

/// Floats as the bytes they are: little-endian on every machine that this runs on.
struct FloatBytes(Arc<Floats>);

// The wire is little-endian; a big-endian machine would need a swap on both ends.
const _: () = assert!(cfg!(target_endian = "little"), "gradients are sent as they lie in memory");

impl Floats {
    pub(super) fn new(values: Vec<f32>, spare: Option<Spare>) -> Self {
        Self { values, spare }
    }

    pub(super) fn values(&self) -> &[f32] {
        &self.values
    }

    /// The same memory as bytes.
    pub(super) fn into_bytes(self) -> Bytes {
        Self::bytes_of(Arc::new(self))
    }

    /// The same memory as bytes.
    pub(super) fn bytes_of(floats: Arc<Self>) -> Bytes {
        Bytes::from_owner(FloatBytes(floats))
    }
}

impl Drop for Floats {
    fn drop(&mut self) {
        if let Some(spare) = self.spare.take() {
            spare.put(take(&mut self.values));
        }
    }
}

impl AsRef<[u8]> for FloatBytes {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_when_its_last_reader_is_gone() {
        let spare = Spare::default();
        let mut values = spare.take(2_000);
        values.fill(5.0);
        let floats = Arc::new(Floats::new(values, Some(spare.clone())));
        let bytes = Floats::bytes_of(floats.clone());
        drop(floats);
        assert_eq!(spare.take(2_000)[0], 0.0, "it is still read");
        drop(bytes);
        assert_eq!(spare.take(2_000)[0], 5.0);
        assert_eq!(spare.take(2_000)[0], 0.0, "there was only one");
    }

    #[test]
    fn buffers_that_were_not_taken_are_not_kept() {
        let spare = Spare::default();
        for _ in 0..3 {
            drop(Floats::new(vec![1.0; 5_000], Some(spare.clone())));
            // One that is taken and one that is not, as when a gradient is clipped.
            let taken = spare.take(2_000);
            drop(Floats::new(taken, Some(spare.clone())));
            drop(Floats::new(vec![1.0; 2_000], Some(spare.clone())));
        }
        assert_eq!(spare.kept(), 2_000);
    }
}
