//! Values of samples: this process's own, or a range of memory that the processes of a machine share.

use std::ops::{Deref, Range};
use std::sync::Arc;

use bytemuck::Pod;
use memmap2::Mmap;

/// Values one after another, read like a slice.
#[derive(Clone, Debug)]
pub struct Values<T>(Memory<T>);

#[derive(Clone, Debug)]
enum Memory<T> {
    Own(Vec<T>),
    /// These bytes of it are whole values, and lie as values must.
    Shared(Arc<Mmap>, Range<usize>),
}

impl<T: Pod> Values<T> {
    /// These bytes of shared memory; `None` unless they are there, and are whole values that lie as values must.
    pub(crate) fn shared(memory: &Arc<Mmap>, bytes: Range<usize>) -> Option<Self> {
        bytemuck::try_cast_slice::<u8, T>(memory.get(bytes.clone())?).ok()?;
        Some(Self(Memory::Shared(memory.clone(), bytes)))
    }

    /// Takes the values from this place on away.
    pub(crate) fn split_off(&mut self, at: usize) -> Self {
        match &mut self.0 {
            Memory::Own(values) => values.split_off(at).into(),
            Memory::Shared(memory, bytes) => {
                let middle = (bytes.start + at * size_of::<T>()).min(bytes.end);
                let rest = middle..bytes.end;
                bytes.end = middle;
                Self(Memory::Shared(memory.clone(), rest))
            }
        }
    }
}

impl<T: Pod> Deref for Values<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match &self.0 {
            Memory::Own(values) => values,
            // Both were checked when the range was taken; a part of it lies as well.
            Memory::Shared(memory, bytes) => memory
                .get(bytes.clone())
                .and_then(|bytes| bytemuck::try_cast_slice(bytes).ok())
                .unwrap_or_default(),
        }
    }
}

impl<T> From<Vec<T>> for Values<T> {
    fn from(values: Vec<T>) -> Self {
        Self(Memory::Own(values))
    }
}

impl<T> FromIterator<T> for Values<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        Self(Memory::Own(values.into_iter().collect()))
    }
}

impl<T: Pod + PartialEq> PartialEq for Values<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}
