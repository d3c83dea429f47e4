//! Why a push, or a part of it, is not taken.

use crate::ids::{ChunkId, ShardId};
use crate::{TensorKind, chunk, fence, window};
use ps_kernels::encoding;
use std::time::Duration;

/// Why a push, or a part of it, is not taken.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error(transparent)]
    Fenced(#[from] fence::Error),
    #[error(transparent)]
    Window(#[from] window::Error),
    #[error("shard {0} holds no model yet: initialise it first")]
    NotInitialised(u32),
    /// Nobody hears of it: a push waits until then.
    #[error("a checkpoint is being cut: no push is begun before it is, or before {until:?}")]
    CutIsPrepared { until: Duration },
    #[error("chunk {id} is not on shard {shard}, which has {chunks} chunks from {first} on")]
    NoSuchChunk { id: ChunkId, shard: ShardId, first: ChunkId, chunks: usize },
    #[error("push of {found} chunks to shard {shard}, which has {chunks}")]
    TooManyChunks { found: u32, shard: u32, chunks: usize },
    /// Gradients for state, or values for trainable tensors.
    #[error("chunk {id} holds {held:?} tensors, the push is of kind {found:?}")]
    Kind { id: ChunkId, held: TensorKind, found: TensorKind },
    #[error("chunk {id}: {error}")]
    Malformed { id: ChunkId, error: chunk::Error },
    /// The values are not what the push's encoding makes of the chunk's elements.
    #[error("chunk {id}: {error}")]
    Encoded { id: ChunkId, error: encoding::Error },
    /// More than one chunk, and not what the values of several may be.
    #[error(
        "values of {chunks} chunks from {id} on, {elements} elements: of several chunks at once they are whole, \
         and of at most {max} elements",
        max = crate::limits::CHUNK_ELEMENTS_MAX
    )]
    Run { id: ChunkId, chunks: u32, elements: usize },
    /// The push ended before all of its chunks came, now or earlier.
    #[error("push ended after {found} of {expected} chunks: send it again, whole")]
    Incomplete { found: u32, expected: u32 },
}
