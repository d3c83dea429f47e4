//! The end of a shard's file: what is counted of each chunk, a checksum of each, and the dedup windows.

use crate::chunk::ChunkSnapshot;
use crate::ids::{ChunkId, Incarnation, WorkerId};
use crate::limits::{COUNT_MAX, WORKERS_MAX};
use crate::unexpected::Unexpected;
use crate::window::{Window, WindowSnapshot};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// What the shard remembers of each worker's newest incarnation.
pub type Sessions = BTreeMap<WorkerId, (Incarnation, WindowSnapshot)>;

/// What a shard remembers of pushes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remembered {
    /// The dedup windows.
    pub sessions: Sessions,
    /// Pushes that are in some chunks only, and that nobody sends again.
    pub torn: u64,
}

impl Remembered {
    /// Pushes that are in some chunks only, whether somebody could send them again or not.
    pub fn torn_pushes(&self) -> u64 {
        let windows = self.sessions.values().map(|(_, window)| window);
        let parts = windows.flat_map(|window| &window.pushes);
        let torn = parts.filter(|push| push.done.as_ref().is_some_and(|done| !done.is_empty()));
        self.torn + torn.count() as u64
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    torn: u64,
    sessions: BTreeMap<WorkerId, Session>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Session {
    incarnation: Incarnation,
    window: WindowSnapshot,
}

/// What follows the values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tail {
    pub(super) versions: Vec<u64>,
    pub(super) updates: Vec<u64>,
    pub(super) checksums: Vec<u32>,
}

impl Tail {
    /// Room for so many chunks.
    pub(super) fn of(chunks: usize) -> Self {
        Self { versions: vec![0; chunks], updates: vec![0; chunks], checksums: vec![0; chunks] }
    }

    /// Bytes of the dedup windows: of as many workers as there may be, with as many pushes on their
    /// way as is usual.
    pub(super) const SESSIONS_BYTES_MAX: usize = 64 * 1024 * 1024;

    /// Bytes before the dedup windows.
    pub(super) fn counts_bytes(chunks: usize) -> usize {
        chunks * (2 * size_of::<u64>() + size_of::<u32>())
    }

    /// Sets a chunk, by its place in the shard.
    pub(super) fn set(&mut self, index: usize, chunk: &ChunkSnapshot) {
        self.versions[index] = chunk.version;
        self.updates[index] = chunk.updates;
        self.checksums[index] = chunk.checksum();
    }

    pub(super) fn encode(&self, remembered: &Remembered) -> Result<Vec<u8>, Unexpected> {
        let session = |(&worker, (incarnation, window)): (&WorkerId, &(u64, WindowSnapshot))| {
            (worker, Session { incarnation: *incarnation, window: window.clone() })
        };
        let sessions = remembered.sessions.iter().map(session).collect();
        let written = Written { torn: remembered.torn, sessions };
        let mut bytes = Vec::with_capacity(Self::counts_bytes(self.versions.len()));
        // The machine is little-endian, as the file is: `chunk` checks it when it is compiled.
        bytes.extend_from_slice(bytemuck::cast_slice(&self.versions));
        bytes.extend_from_slice(bytemuck::cast_slice(&self.updates));
        bytes.extend_from_slice(bytemuck::cast_slice(&self.checksums));
        let counts = bytes.len();
        serde_json::to_writer(&mut bytes, &written)
            .map_err(|error| Unexpected::new("dedup windows", error, "what JSON can hold"))?;
        let length = bytes.len() - counts;
        let (found, expected) = (format!("{length} bytes"), "fewer pushes that are on their way");
        Unexpected::unless(length <= Self::SESSIONS_BYTES_MAX, "dedup windows", found, expected)?;
        Ok(bytes)
    }

    /// Reads what follows the values of this run of chunks.
    pub(super) fn decode(
        bytes: &[u8],
        run: &Range<ChunkId>,
    ) -> Result<(Self, Remembered), Unexpected> {
        let chunks = run.len();
        let length = Self::counts_bytes(chunks);
        let Some((counts, sessions)) = bytes.split_at_checked(length) else {
            return Err(Unexpected::new("tail", bytes.len(), format!("at least {length} bytes")));
        };
        let (versions, counts) = counts.split_at(chunks * size_of::<u64>());
        let (updates, checksums) = counts.split_at(chunks * size_of::<u64>());
        let tail = Self {
            versions: words(versions, "versions")?,
            updates: words(updates, "updates")?,
            checksums: checksums
                .as_chunks()
                .0
                .iter()
                .map(|word| u32::from_le_bytes(*word))
                .collect(),
        };
        let written: Written = serde_json::from_slice(sessions)
            .map_err(|error| Unexpected::new("dedup windows", error, "those of a shard's file"))?;
        let torn = written.torn;
        Unexpected::unless(torn <= COUNT_MAX, "torn", torn, format!("at most {COUNT_MAX}"))?;
        Ok((tail, Remembered { sessions: checked(written.sessions, run)?, torn }))
    }
}

fn words(bytes: &[u8], what: &'static str) -> Result<Vec<u64>, Unexpected> {
    // Not a cast: in the file they may lie at any address.
    let words: Vec<u64> =
        bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
    match words.iter().find(|count| **count > COUNT_MAX) {
        None => Ok(words),
        Some(count) => Err(Unexpected::new(what, count, format!("at most {COUNT_MAX}"))),
    }
}

fn checked(
    written: BTreeMap<WorkerId, Session>,
    run: &Range<ChunkId>,
) -> Result<Sessions, Unexpected> {
    let mut sessions = Sessions::new();
    for (worker, session) in written {
        let expected = format!("less than {WORKERS_MAX}");
        Unexpected::unless(worker < WORKERS_MAX, "worker", worker, expected)?;
        let incarnation = session.incarnation;
        let expected = format!("at most {COUNT_MAX}");
        Unexpected::unless(incarnation <= COUNT_MAX, "incarnation", incarnation, expected)?;
        Window::from_snapshot(session.window.clone(), run)
            .map_err(|error| Unexpected::new("dedup window", error, "one that can be"))?;
        sessions.insert(worker, (incarnation, session.window));
    }
    Ok(sessions)
}
