//! The weights of one shard as they arrive.

use super::shard::{ShardClient, lock};
use super::weights::PartMut;
use ps_core::ids::Clock;
use ps_proto::convert::data::ELEMENT_BYTES;
use ps_proto::v1;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use tonic::{Status, Streaming};

impl ShardClient {
    /// Receives a shard's weights; every chunk once, whole, in order.
    pub(super) async fn receive<T>(
        &self,
        first: Option<v1::PullMessage>,
        rest: &mut Streaming<T>,
        part: &Mutex<PartMut<'_>>,
        unwrap: impl Fn(T) -> Option<v1::PullMessage>,
    ) -> Result<Clock, Status> {
        let mut message = first;
        let header = message.as_ref().and_then(|message| message.header);
        let header = header.ok_or_else(|| unexpected("weights", &"none"))?;
        let mut next = 0;
        while let Some(current) = message {
            for chunk in &current.chunks {
                next = self.place(chunk, next, &mut lock(part))?;
            }
            message = self.in_time(rest.message()).await?.and_then(&unwrap);
        }
        let expected = lock(part).chunks.len();
        if next != expected {
            // The stream was cut: a new attempt brings the rest.
            return Err(Status::aborted(format!("{next} of {expected} chunks came")));
        }
        Ok(header.clock)
    }

    #[allow(clippy::result_large_err)] // tonic's own error type
    fn place(
        &self,
        chunk: &v1::ChunkValues,
        next: usize,
        part: &mut PartMut<'_>,
    ) -> Result<usize, Status> {
        let range = part.chunks.get(next).cloned().unwrap_or(0..0);
        let whole = chunk.values.len() == range.len() * ELEMENT_BYTES;
        if chunk.index as usize != next || range.is_empty() || !whole {
            let found = format!("chunk {} of {} bytes", chunk.index, chunk.values.len());
            let bytes = range.len() * ELEMENT_BYTES;
            return Err(unexpected(&format!("chunk {next} of {bytes} bytes"), &found));
        }
        let own = range.start - part.start..range.end - part.start;
        bytemuck::cast_slice_mut::<f32, u8>(&mut part.values[own]).copy_from_slice(&chunk.values);
        part.versions[next] = chunk.version;
        let bytes = chunk.values.len() as u64;
        self.shared.traffic.bytes_pulled.fetch_add(bytes, Ordering::Relaxed);
        Ok(next + 1)
    }
}

/// Something that a server of this protocol does not send; retrying would not help.
pub(super) fn unexpected(expected: &str, found: &dyn std::fmt::Debug) -> Status {
    Status::failed_precondition(format!("found {found:?}, expected {expected}"))
}
