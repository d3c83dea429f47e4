//! The memory that chunks are received into and sent from: reused, and bounded with any number of
//! callers.

use bytes::Bytes;
use parking_lot::Mutex;
use ps_core::chunk::SharedWeights;
use ps_core::limits;
use ps_kernels::encoding::Encoding;
use ps_proto::bulk::ChunkBuffer;
use ps_proto::convert::data::ELEMENT_BYTES;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

pub(crate) const CHUNK_BYTES: usize = limits::CHUNK_ELEMENTS_MAX * ELEMENT_BYTES;

/// How long a push may wait for room before it is shed.
const WAIT_MAX: Duration = Duration::from_millis(limits::PUSH_ROOM_WAIT_MS_MAX);

/// Buffers of one chunk each, for one direction.
///
/// Half of them are for connections that have none yet, one for each, so that callers that hold many, and do not read
/// or send on, hold up nobody else; of the others a connection has an eighth at most.
#[derive(Clone)]
pub(crate) struct Buffers {
    free: Arc<Mutex<Vec<Box<[u8]>>>>,
    first: Arc<Semaphore>,
    more: Arc<Semaphore>,
    more_per_connection: usize,
}

/// What one connection may have of [`Buffers`].
#[derive(Clone, Debug)]
pub(crate) struct Share {
    first: Arc<Semaphore>,
    more: Arc<Semaphore>,
}

/// What a connection may have of the buffers of both directions.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionShares {
    pub(crate) received: Share,
    pub(crate) sent: Share,
}

/// A buffer's places in the share of its connection, and among all buffers.
type Places = (OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Buffers {
    /// Memory for so many bytes of open chunks; none is taken before it is needed.
    pub(crate) fn new(bytes_max: usize) -> Self {
        // One chunk at least, or nothing would ever go through.
        let buffers = (bytes_max / CHUNK_BYTES).max(1);
        let first = buffers.div_ceil(2);
        let more = buffers - first;
        Self {
            free: Arc::default(),
            first: Arc::new(Semaphore::new(first)),
            more: Arc::new(Semaphore::new(more)),
            more_per_connection: more.div_ceil(8),
        }
    }

    /// The share of a connection that has no buffers yet.
    pub(crate) fn share(&self) -> Share {
        let of = |places| Arc::new(Semaphore::new(places));
        Share { first: of(1), more: of(self.more_per_connection) }
    }

    /// Memory for the next chunk that is received, taken when it is needed.
    pub(crate) fn receive_buffer<'a>(&'a self, share: &'a Share) -> ReceiveBuffer<'a> {
        ReceiveBuffer { buffers: self, share, taken: None }
    }

    /// Memory for one chunk, as soon as there is some; what it holds is of an earlier chunk.
    pub(crate) async fn take(&self, share: &Share) -> Buffer {
        if let Some(buffer) = self.take_now(share) {
            return buffer;
        }
        let places = tokio::select! {
            biased;
            places = places(&share.first, &self.first) => places,
            places = places(&share.more, &self.more) => places,
        };
        self.buffer(places)
    }

    /// Memory for one chunk, if there is some.
    pub(crate) fn take_now(&self, share: &Share) -> Option<Buffer> {
        let of = |own: &Arc<Semaphore>, all: &Arc<Semaphore>| {
            Some((own.clone().try_acquire_owned().ok()?, all.clone().try_acquire_owned().ok()?))
        };
        let places = of(&share.first, &self.first).or_else(|| of(&share.more, &self.more));
        places.map(|places| self.buffer(Some(places)))
    }

    fn buffer(&self, places: Option<Places>) -> Buffer {
        Buffer { bytes: Box::default(), filled: 0, free: self.free.clone(), _places: places }
    }
}

/// A place of the connection's own, then one among all.
async fn places(own: &Arc<Semaphore>, all: &Arc<Semaphore>) -> Option<Places> {
    // Nobody closes them.
    let own = own.clone().acquire_owned().await.ok()?;
    Some((own, all.clone().acquire_owned().await.ok()?))
}

/// Memory for a chunk whose values come in pieces; one that came whole needs none.
pub(crate) struct ReceiveBuffer<'a> {
    buffers: &'a Buffers,
    share: &'a Share,
    taken: Option<Buffer>,
}

impl ReceiveBuffer<'_> {
    /// What was received into it.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.taken.as_ref().map_or(&[], |buffer| &buffer.bytes)
    }
}

impl ChunkBuffer for ReceiveBuffer<'_> {
    const LEAVES_FRAMES: bool = true;

    fn bytes_max(&self, _: Range<u32>) -> usize {
        CHUNK_BYTES
    }

    async fn take(&mut self, _: Range<u32>) -> Result<&mut [u8], Status> {
        let buffer = match self.taken.take() {
            Some(buffer) => buffer,
            None => tokio::time::timeout(WAIT_MAX, self.buffers.take(self.share)).await.map_err(
                |_| {
                    let message = "the server receives as much as it may hold: push again later";
                    Status::resource_exhausted(message)
                },
            )?,
        };
        Ok(self.taken.insert(buffer).memory())
    }
}

/// Room for one chunk of the largest size, or several smaller ones; given back when it is dropped.
pub(crate) struct Buffer {
    /// Empty until something is written into it.
    bytes: Box<[u8]>,
    filled: usize,
    free: Arc<Mutex<Vec<Box<[u8]>>>>,
    _places: Option<Places>,
}

impl Buffer {
    /// Whether so many bytes more have room.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        self.filled + bytes <= CHUNK_BYTES
    }

    fn memory(&mut self) -> &mut [u8] {
        if self.bytes.is_empty() {
            let used = self.free.lock().pop();
            self.bytes = used.unwrap_or_else(|| vec![0; CHUNK_BYTES].into());
        }
        &mut self.bytes
    }

    /// Adds these weights as they are sent; where they are. They must have room.
    pub(crate) fn add(&mut self, weights: &[f32], encoding: Encoding) -> Range<usize> {
        let start = self.filled;
        self.filled += encoding.encoded_bytes(weights.len());
        let filled = start..self.filled;
        encoding.encode(weights, &mut self.memory()[filled.clone()]);
        filled
    }

    /// These weights where they lie: what is counted is that they are held, so that an update of their chunk
    /// takes other memory.
    pub(crate) fn hold(self, weights: SharedWeights) -> Bytes {
        Bytes::from_owner(Held { weights, _room: self })
    }

    /// What was added, which gives the memory back when all of it is dropped.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

/// Weights that are sent from where they lie, and the room that they count for.
struct Held {
    weights: SharedWeights,
    _room: Buffer,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.weights.as_ref()
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut free = self.free.lock();
        // A burst of callers leaves no more behind than everyday traffic uses.
        if !self.bytes.is_empty() && free.len() < limits::BUFFERS_KEPT_MAX {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ps_core::chunk::Chunk;
    use ps_kernels::optimizer::Optimizer;

    fn one(mut buffer: Buffer) -> Bytes {
        buffer.add(&[1.0], Encoding::F32);
        buffer.into_bytes()
    }

    #[tokio::test]
    async fn buffers_are_bounded_and_used_again() {
        let buffers = Buffers::new(2 * CHUNK_BYTES);
        let share = buffers.share();
        let first = one(buffers.take(&share).await);
        assert_eq!(first, [0, 0, 0x80, 0x3f][..]);
        let mut second = buffers.take(&share).await;
        let others = buffers.share();
        assert!(buffers.take_now(&share).is_none() && buffers.take_now(&others).is_none());
        let wait = Duration::from_millis(20);
        assert!(tokio::time::timeout(wait, buffers.take(&others)).await.is_err());
        drop(first);
        let mut again = buffers.take(&others).await;
        assert_eq!(again.memory()[3], 0x3f);
        assert_eq!(second.memory().len(), CHUNK_BYTES);
        drop(again);
        // What is sent from where it lies counts as well, and takes no memory.
        let chunk = Chunk::new(vec![1.0], &Optimizer::parse("sgd", None, None).unwrap()).unwrap();
        let held = buffers.take(&others).await.hold(chunk.shared_weights());
        assert_eq!(held, [0, 0, 0x80, 0x3f][..]);
        assert!(buffers.take_now(&share).is_none());
        assert_eq!(buffers.free.lock().len(), 1);
        drop(held);
        assert!(buffers.take_now(&share).is_some());
    }

    /// Callers that did not read had all buffers of those who send weights, and a worker of the job waited with them until
    /// it was taken for one that does not read.
    #[tokio::test]
    async fn regression_callers_that_keep_buffers_leave_some_for_others() {
        let buffers = Buffers::new(64 * CHUNK_BYTES);
        let mut kept = Vec::new();
        let hogs: Vec<_> = (0..31).map(|_| buffers.share()).collect();
        for hog in &hogs {
            kept.extend(std::iter::from_fn(|| buffers.take_now(hog)));
        }
        assert_eq!(kept.len(), 31 + 32, "one each, and those that are for all");
        let per_connection = kept.len() - hogs.len();
        assert_eq!(per_connection / buffers.more_per_connection, 8, "of eight connections");
        let honest = buffers.share();
        for _ in 0..3 {
            assert!(buffers.take_now(&honest).is_some());
        }
        let _held = buffers.take_now(&honest);
        let wait = Duration::from_millis(20);
        assert!(tokio::time::timeout(wait, buffers.take(&honest)).await.is_err());
        assert_eq!(kept.len() + 1, 64);
    }

    #[tokio::test(start_paused = true)]
    async fn a_push_that_finds_no_room_is_shed() {
        let buffers = Buffers::new(CHUNK_BYTES);
        let share = buffers.share();
        let _held = buffers.take(&share).await;
        let error = buffers.receive_buffer(&share).take(0..1).await.unwrap_err();
        assert_eq!(error.code(), tonic::Code::ResourceExhausted);
    }
}
