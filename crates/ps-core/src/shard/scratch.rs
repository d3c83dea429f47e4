//! The memory that chunks are decoded into and updates worked out in, used again.

use crate::chunk::UpdateBuffer;
use crate::limits::CHUNK_ELEMENTS_MAX;
use parking_lot::Mutex;
use std::mem::take;
use std::ops::{Deref, DerefMut};

/// What applying one chunk needs beside the chunk; what it holds is of an earlier one.
#[derive(Default)]
pub(super) struct Scratch {
    /// Where the update is worked out.
    pub(super) buffer: UpdateBuffer,
    /// Its gradient, where it came encoded.
    pub(super) decoded: DecodeBuffer,
}

/// Memory for decoded values, taken when it is first needed.
#[derive(Default)]
pub(super) struct DecodeBuffer(Vec<f32>);

impl DecodeBuffer {
    /// Memory for so many elements of one chunk.
    pub(super) fn values(&mut self, elements: usize) -> &mut [f32] {
        self.0.resize(CHUNK_ELEMENTS_MAX, 0.0);
        &mut self.0[..elements.min(CHUNK_ELEMENTS_MAX)]
    }
}

/// Nobody waits while holding one, so that there are no more of them than threads that apply
/// pushes.
#[derive(Default)]
pub(super) struct ScratchPool(Mutex<Vec<Scratch>>);

impl ScratchPool {
    pub(super) fn take(&self) -> ScratchGuard<'_> {
        let scratch = self.0.lock().pop().unwrap_or_default();
        ScratchGuard { scratch, pool: self }
    }
}

/// Given back when it is dropped.
pub(super) struct ScratchGuard<'a> {
    scratch: Scratch,
    pool: &'a ScratchPool,
}

impl Deref for ScratchGuard<'_> {
    type Target = Scratch;

    fn deref(&self) -> &Scratch {
        &self.scratch
    }
}

impl DerefMut for ScratchGuard<'_> {
    fn deref_mut(&mut self) -> &mut Scratch {
        &mut self.scratch
    }
}

impl Drop for ScratchGuard<'_> {
    fn drop(&mut self) {
        self.pool.0.lock().push(take(&mut self.scratch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratches_are_used_again_and_as_long_as_wanted() {
        let pool = ScratchPool::default();
        let mut first = pool.take();
        first.decoded.values(3).fill(7.0);
        let mut second = pool.take();
        assert_eq!(second.decoded.values(5), [0.0; 5]);
        drop(first);
        let mut again = pool.take();
        assert_eq!(again.decoded.values(2), [7.0; 2]);
        drop((again, second));
        assert_eq!(pool.0.lock().len(), 2);
    }
}
