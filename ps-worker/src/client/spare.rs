//! Buffers of gradients that have arrived, to write the next ones in: fresh memory costs as much as
//! what is written in it.

use bytes::Bytes;
use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers that are kept; more than a model has tensors under way are of no use.
const KEPT_MAX: usize = 512;

/// Elements below which fresh memory costs nothing.
const ELEMENTS_MIN: usize = 1024;

/// Buffers that nobody uses at the moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spare(Arc<Mutex<Vec<Vec<f32>>>>);

impl Spare {
    /// A buffer of this length; what is in it counts for nothing.
    pub(crate) fn take(&self, length: usize) -> Vec<f32> {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = spare.iter().position(|buffer| buffer.len() == length);
        let found = fitting.map(|place| spare.swap_remove(place));
        drop(spare);
        found.unwrap_or_else(|| vec![0.0; length])
    }

    fn put(&self, buffer: Vec<f32>) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.len() >= ELEMENTS_MIN && spare.len() < KEPT_MAX {
            spare.push(buffer);
        }
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
        let floats = Arc::new(Floats::new(vec![5.0; 2_000], Some(spare.clone())));
        let bytes = Floats::bytes_of(floats.clone());
        drop(floats);
        assert_eq!(spare.take(2_000)[0], 0.0, "it is still read");
        drop(bytes);
        assert_eq!(spare.take(2_000)[0], 5.0);
        assert_eq!(spare.take(2_000)[0], 0.0, "there was only one");
    }
}
