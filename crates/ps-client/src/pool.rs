//! Buffers of gradients that have arrived, to write the next ones in: fresh memory costs as much as
//! what is written in it.

use bytes::Bytes;
use std::collections::BTreeMap;
use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Elements below which fresh memory costs nothing.
const ELEMENTS_MIN: usize = 1024;

/// Buffers by their length. As many are kept as were asked for at once: a gradient that nobody wrote
/// in one of these (candle's own layers do not, nor does clipping) must not pile up here.
#[derive(Clone, Debug, Default)]
pub struct BufferPool(Arc<Mutex<BTreeMap<usize, SizeClass>>>);

/// Buffers of one length.
#[derive(Debug, Default)]
struct SizeClass {
    /// That nobody uses at the moment.
    free: Vec<Vec<f32>>,
    /// How many were taken and did not come back.
    lent: usize,
}

impl BufferPool {
    /// A buffer of this length; what is in it counts for nothing.
    pub fn take(&self, length: usize) -> Vec<f32> {
        if length < ELEMENTS_MIN {
            return vec![0.0; length];
        }
        let mut classes = self.lock();
        let class = classes.entry(length).or_default();
        class.lent += 1;
        let found = class.free.pop();
        drop(classes);
        found.unwrap_or_else(|| vec![0.0; length])
    }

    fn put(&self, buffer: Vec<f32>) {
        let mut classes = self.lock();
        let Some(class) = classes.get_mut(&buffer.len()) else { return };
        if class.lent > 0 {
            class.lent -= 1;
            class.free.push(buffer);
        }
    }

    /// Elements that are kept for later.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        let classes = self.lock();
        classes.iter().map(|(length, class)| length * class.free.len()).sum()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, SizeClass>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Values that go back to the pool when nobody needs them any more.
#[derive(Debug)]
pub(crate) struct Floats {
    values: Vec<f32>,
    pool: Option<BufferPool>,
}

/// Floats as the bytes they are: little-endian on every machine that this runs on.
struct FloatBytes(Arc<Floats>);

// The wire is little-endian; a big-endian machine would need a swap on both ends.
const _: () = assert!(cfg!(target_endian = "little"), "gradients are sent as they lie in memory");

impl Floats {
    pub(crate) fn new(values: Vec<f32>, pool: Option<BufferPool>) -> Self {
        Self { values, pool }
    }

    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// The same memory as bytes.
    pub(crate) fn into_bytes(self) -> Bytes {
        Self::bytes_of(Arc::new(self))
    }

    /// The same memory as bytes.
    pub(crate) fn bytes_of(floats: Arc<Self>) -> Bytes {
        Bytes::from_owner(FloatBytes(floats))
    }
}

impl Drop for Floats {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.put(take(&mut self.values));
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
        let pool = BufferPool::default();
        let mut values = pool.take(2_000);
        values.fill(5.0);
        let floats = Arc::new(Floats::new(values, Some(pool.clone())));
        let bytes = Floats::bytes_of(floats.clone());
        drop(floats);
        assert_eq!(pool.take(2_000)[0], 0.0, "it is still read");
        drop(bytes);
        assert_eq!(pool.take(2_000)[0], 5.0);
        assert_eq!(pool.take(2_000)[0], 0.0, "there was only one");
    }

    #[test]
    fn buffers_that_were_not_taken_are_not_kept() {
        let pool = BufferPool::default();
        for _ in 0..3 {
            drop(Floats::new(vec![1.0; 5_000], Some(pool.clone())));
            // One that is taken and one that is not, as when a gradient is clipped.
            let taken = pool.take(2_000);
            drop(Floats::new(taken, Some(pool.clone())));
            drop(Floats::new(vec![1.0; 2_000], Some(pool.clone())));
        }
        assert_eq!(pool.kept(), 2_000);
    }
}
