//! The room that chunks are decoded into and updates worked out in, used again.

use parking_lot::Mutex;
use ps_core::chunk::Spare;
use ps_core::limits::CHUNK_ELEMENTS_MAX;
use std::mem::take;
use std::ops::{Deref, DerefMut};

/// What applying one chunk needs beside the chunk; what it holds is of an earlier one.
#[derive(Default)]
pub(super) struct Scratch {
    /// Where the update is worked out.
    pub(super) spare: Spare,
    /// Its gradient, where it came encoded.
    pub(super) decoded: Decoded,
}

/// Room for decoded values, taken when it is first needed.
#[derive(Default)]
pub(super) struct Decoded(Vec<f32>);

impl Decoded {
    /// Room for so many elements of one chunk.
    pub(super) fn room(&mut self, elements: usize) -> &mut [f32] {
        self.0.resize(CHUNK_ELEMENTS_MAX, 0.0);
        &mut self.0[..elements.min(CHUNK_ELEMENTS_MAX)]
    }
}

/// Nobody waits while holding one, so that there are no more of them than threads that apply
/// pushes.
#[derive(Default)]
pub(super) struct Scratches(Mutex<Vec<Scratch>>);

impl Scratches {
    pub(super) fn take(&self) -> Taken<'_> {
        let scratch = self.0.lock().pop().unwrap_or_default();
        Taken { scratch, scratches: self }
    }
}

/// Given back when it is dropped.
pub(super) struct Taken<'a> {
    scratch: Scratch,
    scratches: &'a Scratches,
}

impl Deref for Taken<'_> {
    type Target = Scratch;

    fn deref(&self) -> &Scratch {
        &self.scratch
    }
}

impl DerefMut for Taken<'_> {
    fn deref_mut(&mut self) -> &mut Scratch {
        &mut self.scratch
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.scratches.0.lock().push(take(&mut self.scratch));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratches_are_used_again_and_as_long_as_wanted() {
        let scratches = Scratches::default();
        let mut first = scratches.take();
        first.decoded.room(3).fill(7.0);
        let mut second = scratches.take();
        assert_eq!(second.decoded.room(5), [0.0; 5]);
        drop(first);
        let mut again = scratches.take();
        assert_eq!(again.decoded.room(2), [7.0; 2]);
        drop((again, second));
        assert_eq!(scratches.0.lock().len(), 2);
    }
}
