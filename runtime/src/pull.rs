//! The weights of one shard, received into where they belong.

use ps_core::ids::Version;
use ps_core::wire::Encoding;
use ps_proto::bulk::{self, BulkReader};
use ps_proto::v1;
use std::ops::Range;
use std::time::Duration;
use tonic::Status;

// The wire is little-endian; a big-endian machine would need a swap.
const _: () = assert!(cfg!(target_endian = "little"), "weights are received as they lie in memory");

/// One shard's part of the weights, to be written by a pull.
#[derive(Debug)]
pub struct PartMut<'a> {
    /// The shard's values.
    pub values: &'a mut [f32],
    /// Where the shard begins in the model.
    pub start: usize,
    /// Its chunks, as ranges of the model.
    pub chunks: &'a [Range<usize>],
    /// Their versions.
    pub versions: &'a mut [Version],
}

/// Receives what comes before the weights; the caller says how long the gate may hold it.
///
/// # Errors
/// The call failed, or something else came.
pub async fn header(messages: &mut BulkReader<v1::PullMessage>) -> Result<v1::PullHeader, Status> {
    match messages.next().await? {
        Some(bulk::Item::Header(header)) => Ok(header),
        other => Err(unexpected("weights", &other)),
    }
}

/// Receives the weights, written like this: every chunk once, whole, in order, none later than so
/// long after the one before. `received` is told the bytes of each.
///
/// # Errors
/// The call failed, was cut short, or brought something else.
pub async fn values(
    messages: &mut BulkReader<v1::PullMessage>,
    part: &mut PartMut<'_>,
    encoding: Encoding,
    longest: Duration,
    received: impl Fn(u64),
) -> Result<(), Status> {
    let (mut next, mut room) = (0, Vec::new());
    while let Some(came) = in_time(longest, messages.next()).await? {
        if came == bulk::Item::Chunk {
            let placed = place(messages, part, next, encoding, &mut room);
            received(in_time(longest, placed).await?);
            next += 1;
        }
    }
    let expected = part.chunks.len();
    if next != expected {
        // The stream was cut: a new attempt brings the rest.
        return Err(Status::aborted(format!("{next} of {expected} chunks came")));
    }
    Ok(())
}

async fn place(
    messages: &mut BulkReader<v1::PullMessage>,
    part: &mut PartMut<'_>,
    next: usize,
    encoding: Encoding,
    room: &mut Vec<u8>,
) -> Result<u64, Status> {
    let Some(range) = part.chunks.get(next) else {
        return Err(unexpected(&format!("{next} chunks"), &"more"));
    };
    let own = range.start - part.start..range.end - part.start;
    let (values, bytes) = (&mut part.values[own], encoding.encoded_bytes(range.len()));
    let chunk = match encoding {
        Encoding::F32 => messages.chunk(bytemuck::cast_slice_mut(values)).await?,
        _ => {
            room.resize(bytes, 0);
            messages.chunk(room).await?
        }
    };
    if chunk.index as usize != next || chunk.bytes() != bytes {
        let found = format!("chunk {} of {} bytes", chunk.index, chunk.bytes());
        return Err(unexpected(&format!("chunk {next} of {bytes} bytes"), &found));
    }
    if encoding != Encoding::F32 {
        encoding.decode(room, values);
    }
    part.versions[next] = chunk.version;
    Ok(bytes as u64)
}

async fn in_time<T>(
    longest: Duration,
    step: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let late = |_| Status::deadline_exceeded(format!("no answer within {longest:?}"));
    tokio::time::timeout(longest, step).await.map_err(late)?
}

/// Something that a server of this protocol does not send; retrying would not help.
pub fn unexpected(expected: &str, found: &dyn std::fmt::Debug) -> Status {
    Status::failed_precondition(format!("found {found:?}, expected {expected}"))
}
