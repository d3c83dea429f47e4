//! The room that chunks are decoded into, used again.

use parking_lot::Mutex;
use ps_core::limits::CHUNK_ELEMENTS_MAX;

/// Room for one chunk each. Nobody waits while holding one, so that there are no more of them than
/// threads that apply pushes.
#[derive(Default)]
pub(super) struct Scratches(Mutex<Vec<Box<[f32]>>>);

impl Scratches {
    /// Room for so many elements of one chunk; what it holds is of an earlier chunk.
    pub(super) fn take(&self, elements: usize) -> Scratch<'_> {
        let values = self.0.lock().pop();
        let values = values.unwrap_or_else(|| vec![0.0; CHUNK_ELEMENTS_MAX].into());
        Scratch { values, elements: elements.min(CHUNK_ELEMENTS_MAX), scratches: self }
    }
}

/// Room for one chunk, given back when it is dropped.
pub(super) struct Scratch<'a> {
    values: Box<[f32]>,
    elements: usize,
    scratches: &'a Scratches,
}

impl Scratch<'_> {
    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values[..self.elements]
    }

    /// The values as an update takes them.
    pub(super) fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.values[..self.elements])
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        self.scratches.0.lock().push(std::mem::take(&mut self.values));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratches_are_used_again_and_as_long_as_wanted() {
        let scratches = Scratches::default();
        let mut first = scratches.take(3);
        first.values_mut().fill(7.0);
        let second = scratches.take(5);
        drop(first);
        let mut again = scratches.take(2);
        assert_eq!(again.values_mut(), [7.0; 2]);
        assert_eq!(second.bytes().len(), 20);
        drop((again, second));
        assert_eq!(scratches.0.lock().len(), 2);
    }
}
