//! The room that chunks are received into: reused, and bounded with any number of callers.

use parking_lot::Mutex;
use ps_core::limits;
use ps_proto::convert::data::ELEMENT_BYTES;
use std::ops::{Deref, DerefMut};
use tokio::sync::{Semaphore, SemaphorePermit};
use tonic::Status;

const CHUNK_BYTES: usize = limits::CHUNK_ELEMENTS_MAX * ELEMENT_BYTES;

/// Receive buffers of one chunk each.
pub(crate) struct Buffers {
    free: Mutex<Vec<Box<[u8]>>>,
    permits: Semaphore,
}

impl Buffers {
    /// Memory for so many bytes of open chunks; none is taken before it is needed.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let permits = Semaphore::new(bytes_max / CHUNK_BYTES);
        Self { free: Mutex::default(), permits }
    }

    /// Room for one chunk, as soon as there is some; what it holds is of an earlier chunk.
    pub(crate) async fn take(&self) -> Result<Buffer<'_>, Status> {
        let permit = self.permits.acquire().await;
        let permit = permit.map_err(|_| Status::unavailable("the server is leaving"))?;
        let bytes = self.free.lock().pop();
        let bytes = bytes.unwrap_or_else(|| vec![0; CHUNK_BYTES].into());
        Ok(Buffer { bytes, buffers: self, _permit: permit })
    }
}

/// Room for one chunk, given back when it is dropped.
pub(crate) struct Buffer<'a> {
    bytes: Box<[u8]>,
    buffers: &'a Buffers,
    _permit: SemaphorePermit<'a>,
}

impl Deref for Buffer<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Buffer<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        let mut free = self.buffers.free.lock();
        // A burst of callers leaves no more behind than everyday traffic uses.
        if free.len() < limits::PUSH_BUFFERS_KEPT_MAX {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn buffers_are_bounded_and_used_again() {
        let buffers = Buffers::new(2 * CHUNK_BYTES);
        let mut first = buffers.take().await.unwrap();
        first[0] = 7;
        let second = buffers.take().await.unwrap();
        let wait = Duration::from_millis(20);
        assert!(tokio::time::timeout(wait, buffers.take()).await.is_err());
        drop(first);
        assert_eq!(buffers.take().await.unwrap()[0], 7);
        assert_eq!(second.len(), CHUNK_BYTES);
    }
}
