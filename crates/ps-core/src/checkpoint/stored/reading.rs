//! The parts of a shard's file, each checked as it is read.

use super::super::snapshot::{CHUNK_ENDS, FORMAT, METADATA_KEY, Metadata};
use super::super::{FileError, Sessions};
use crate::limits::{CHUNK_ELEMENTS_MAX, COUNT_MAX, MODEL_ELEMENTS_MAX, SHARDS_MAX, WORKERS_MAX};
use crate::safetensors_file::Archive;
use crate::window::Window;
use safetensors::tensor::Dtype;
use serde::Deserialize;

/// What is read before anything else is believed.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// A file being read, for messages.
pub(super) struct Reading<'n> {
    pub(super) name: &'n str,
}

impl Reading<'_> {
    pub(super) fn error(
        &self,
        what: &'static str,
        found: impl ToString,
        expected: impl ToString,
    ) -> FileError {
        FileError::new(self.name, what, found, expected)
    }

    pub(super) fn expect(
        &self,
        what: &'static str,
        found: impl ToString,
        expected: impl ToString,
        fits: bool,
    ) -> Result<(), FileError> {
        if fits { Ok(()) } else { Err(self.error(what, found, expected)) }
    }

    pub(super) fn metadata(&self, archive: &Archive<'_>) -> Result<Metadata, FileError> {
        let Some(json) = archive.metadata.get(METADATA_KEY) else {
            let expected = format!("key `{METADATA_KEY}`");
            return Err(self.error("metadata", "other keys", expected));
        };
        let malformed =
            |error: serde_json::Error| self.error("metadata", error, "that of a shard's file");
        let Format { format } = serde_json::from_str(json).map_err(malformed)?;
        let expected = format!("{FORMAT}: use the version of the program that wrote it");
        self.expect("format", format, expected, format == FORMAT)?;
        let metadata: Metadata = serde_json::from_str(json).map_err(malformed)?;
        let Metadata { shard, shards, slots, epoch, .. } = metadata;
        let cut = (1..=SHARDS_MAX).contains(&shards) && shard < shards;
        self.expect("shard", format!("{shard} of {shards}"), "less than the shards", cut)?;
        self.expect("epoch", epoch, format!("at most {COUNT_MAX}"), epoch <= COUNT_MAX)?;
        // Each is a tensor, so more cannot be there; a larger count must not be tried out.
        let tensors = archive.tensors.len();
        self.expect("slots", slots, format!("less than {tensors} tensors"), slots < tensors)?;
        Ok(metadata)
    }

    pub(super) fn tensor<'a>(
        &self,
        archive: &Archive<'a>,
        name: &str,
        dtype: Dtype,
        elements: Option<usize>,
    ) -> Result<&'a [u8], FileError> {
        let view = archive.tensors.tensor(name);
        let view = view.map_err(|error| self.error("tensors", error, format!("`{name}`")))?;
        let found = format!("`{name}` {:?} {:?}", view.dtype(), view.shape());
        let wanted = elements.map_or("one dimension".to_owned(), |len| format!("[{len}]"));
        let shape_fits = matches!(view.shape(), [len] if elements.is_none_or(|all| all == *len));
        let fits = view.dtype() == dtype && shape_fits;
        self.expect("tensor", found, format!("{dtype:?} {wanted}"), fits)?;
        Ok(view.data())
    }

    pub(super) fn floats<'a>(
        &self,
        archive: &Archive<'a>,
        name: &str,
        elements: usize,
    ) -> Result<&'a [u8], FileError> {
        self.tensor(archive, name, Dtype::F32, Some(elements))
    }

    pub(super) fn counts(
        &self,
        archive: &Archive<'_>,
        name: &'static str,
        len: Option<usize>,
    ) -> Result<Vec<u64>, FileError> {
        let bytes = self.tensor(archive, name, Dtype::U64, len)?;
        // Not a cast: in the file they may lie at any address.
        let (words, _) = bytes.as_chunks::<8>();
        let counts: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        match counts.iter().find(|count| **count > COUNT_MAX) {
            None => Ok(counts),
            Some(count) => Err(self.error(name, count, format!("at most {COUNT_MAX}"))),
        }
    }

    pub(super) fn check_ends(&self, start: u64, end: u64, ends: &[u64]) -> Result<(), FileError> {
        let range = format!("{start}..{end}");
        let fits = start <= end && end <= MODEL_ELEMENTS_MAX;
        self.expect("elements", range, format!("within 0..{MODEL_ELEMENTS_MAX}"), fits)?;
        let mut last = start;
        for &next in ends {
            let len = next.saturating_sub(last);
            let expected = format!("1 to {CHUNK_ELEMENTS_MAX} elements after {last}");
            let fits = (1..=CHUNK_ELEMENTS_MAX as u64).contains(&len);
            self.expect(CHUNK_ENDS, next, expected, fits)?;
            last = next;
        }
        self.expect("end of the last chunk", last, end, last == end)
    }

    pub(super) fn sessions(&self, metadata: Metadata) -> Result<Sessions, FileError> {
        let mut sessions = Sessions::new();
        for (worker, session) in metadata.sessions {
            let expected = format!("less than {WORKERS_MAX}");
            self.expect("worker", worker, expected, worker < WORKERS_MAX)?;
            let incarnation = session.incarnation;
            let expected = format!("at most {COUNT_MAX}");
            self.expect("incarnation", incarnation, expected, incarnation <= COUNT_MAX)?;
            Window::from_snapshot(session.window.clone())
                .map_err(|error| self.error("dedup window", error, "one that can be"))?;
            sessions.insert(worker, (incarnation, session.window));
        }
        Ok(sessions)
    }
}
