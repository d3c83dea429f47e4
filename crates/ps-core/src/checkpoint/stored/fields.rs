//! The parts of a shard's file, each checked as it is read.

use super::super::Sessions;
use super::super::snapshot::{CHUNK_ENDS, FORMAT, METADATA_KEY, Metadata};
use crate::limits::{CHUNK_ELEMENTS_MAX, COUNT_MAX, MODEL_ELEMENTS_MAX, SHARDS_MAX, WORKERS_MAX};
use crate::safetensors_file::Archive;
use crate::unexpected::Unexpected;
use crate::window::Window;
use safetensors::tensor::Dtype;
use serde::Deserialize;

/// What is read before anything else is believed.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

pub(super) fn metadata(archive: &Archive<'_>) -> Result<Metadata, Unexpected> {
    let Some(json) = archive.metadata.get(METADATA_KEY) else {
        let expected = format!("key `{METADATA_KEY}`");
        return Err(Unexpected::new("metadata", "other keys", expected));
    };
    let malformed =
        |error: serde_json::Error| Unexpected::new("metadata", error, "that of a shard's file");
    let Format { format } = serde_json::from_str(json).map_err(malformed)?;
    let expected = format!("{FORMAT}: use the version of the program that wrote it");
    Unexpected::unless(format == FORMAT, "format", format, expected)?;
    let metadata: Metadata = serde_json::from_str(json).map_err(malformed)?;
    let Metadata { shard, shards, slots, epoch, .. } = metadata;
    let cut = (1..=SHARDS_MAX).contains(&shards) && shard < shards;
    Unexpected::unless(cut, "shard", format!("{shard} of {shards}"), "less than the shards")?;
    Unexpected::unless(epoch <= COUNT_MAX, "epoch", epoch, format!("at most {COUNT_MAX}"))?;
    // Each is a tensor, so more cannot be there; a larger count must not be tried out.
    let tensors = archive.tensors.len();
    Unexpected::unless(slots < tensors, "slots", slots, format!("less than {tensors} tensors"))?;
    Ok(metadata)
}

pub(super) fn tensor<'a>(
    archive: &Archive<'a>,
    name: &str,
    dtype: Dtype,
    elements: Option<usize>,
) -> Result<&'a [u8], Unexpected> {
    let view = archive.tensors.tensor(name);
    let view = view.map_err(|error| Unexpected::new("tensors", error, format!("`{name}`")))?;
    let found = format!("`{name}` {:?} {:?}", view.dtype(), view.shape());
    let wanted = elements.map_or("one dimension".to_owned(), |len| format!("[{len}]"));
    let shape_fits = matches!(view.shape(), [len] if elements.is_none_or(|all| all == *len));
    let fits = view.dtype() == dtype && shape_fits;
    Unexpected::unless(fits, "tensor", found, format!("{dtype:?} {wanted}"))?;
    Ok(view.data())
}

pub(super) fn floats<'a>(
    archive: &Archive<'a>,
    name: &str,
    elements: usize,
) -> Result<&'a [u8], Unexpected> {
    tensor(archive, name, Dtype::F32, Some(elements))
}

pub(super) fn counts(
    archive: &Archive<'_>,
    name: &'static str,
    len: Option<usize>,
) -> Result<Vec<u64>, Unexpected> {
    let bytes = tensor(archive, name, Dtype::U64, len)?;
    // Not a cast: in the file they may lie at any address.
    let (words, _) = bytes.as_chunks::<8>();
    let counts: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    match counts.iter().find(|count| **count > COUNT_MAX) {
        None => Ok(counts),
        Some(count) => Err(Unexpected::new(name, count, format!("at most {COUNT_MAX}"))),
    }
}

pub(super) fn check_ends(start: u64, end: u64, ends: &[u64]) -> Result<(), Unexpected> {
    let range = format!("{start}..{end}");
    let fits = start <= end && end <= MODEL_ELEMENTS_MAX;
    Unexpected::unless(fits, "elements", range, format!("within 0..{MODEL_ELEMENTS_MAX}"))?;
    let mut last = start;
    for &next in ends {
        let len = next.saturating_sub(last);
        let expected = format!("1 to {CHUNK_ELEMENTS_MAX} elements after {last}");
        let fits = (1..=CHUNK_ELEMENTS_MAX as u64).contains(&len);
        Unexpected::unless(fits, CHUNK_ENDS, next, expected)?;
        last = next;
    }
    Unexpected::unless(last == end, "end of the last chunk", last, end)
}

pub(super) fn sessions(metadata: Metadata) -> Result<Sessions, Unexpected> {
    let mut sessions = Sessions::new();
    for (worker, session) in metadata.sessions {
        let expected = format!("less than {WORKERS_MAX}");
        Unexpected::unless(worker < WORKERS_MAX, "worker", worker, expected)?;
        let incarnation = session.incarnation;
        let expected = format!("at most {COUNT_MAX}");
        Unexpected::unless(incarnation <= COUNT_MAX, "incarnation", incarnation, expected)?;
        Window::from_snapshot(session.window.clone())
            .map_err(|error| Unexpected::new("dedup window", error, "one that can be"))?;
        sessions.insert(worker, (incarnation, session.window));
    }
    Ok(sessions)
}
