//! A shard's part, put together from the files of a checkpoint that any number of servers wrote.

use super::{File, FileError, StoredShard};
use crate::chunk::Chunk;
use crate::ids::{ChunkId, Incarnation, ShardId, WorkerId};
use crate::model_spec::ModelSpec;
use crate::window::Window;
use std::collections::BTreeMap;
use std::ops::Range;

/// What a shard goes on from.
#[derive(Debug)]
pub struct RestoredShard {
    /// The chunks that it holds.
    pub chunks: Vec<Chunk>,
    /// What is remembered of the workers; no window where another number of servers wrote it.
    pub sessions: BTreeMap<WorkerId, (Incarnation, Option<Window>)>,
    /// Pushes that are in a part of it only, and that nobody sends again.
    pub torn: u64,
}

/// A shard's part as its chunks come, one after another.
#[derive(Debug)]
pub struct Assembly {
    shard: ShardId,
    shards: u32,
    run: Range<ChunkId>,
    chunks: Vec<Chunk>,
    sessions: BTreeMap<WorkerId, (Incarnation, Option<Window>)>,
    torn: u64,
}

impl Assembly {
    /// An empty part of this shard.
    pub fn new(spec: &ModelSpec, shard: ShardId) -> Self {
        let run = spec.partition().run(shard);
        let chunks = Vec::with_capacity(run.len());
        Self { shard, shards: spec.shards, run, chunks, sessions: BTreeMap::new(), torn: 0 }
    }

    /// Whether a file of so many is of use: it holds chunks of this shard, or what it remembers.
    pub fn needs(&self, file: &File, files: usize) -> bool {
        !self.wanted(file).is_empty() || self.is_own(file.shard, files)
    }

    /// The chunks of a file that are this shard's, too.
    fn wanted(&self, file: &File) -> Range<ChunkId> {
        self.run.start.max(file.chunks.start)..self.run.end.min(file.chunks.end)
    }

    /// Takes what the next file of so many holds of this part, through `read_at`, which fills memory from a
    /// place in the file. Each value is read into the memory that it stays in.
    ///
    /// # Errors
    /// It cannot be read, was changed, or holds a value that is not finite.
    pub fn add<E: From<FileError>>(
        &mut self,
        file: &File,
        files: usize,
        stored: &StoredShard,
        read_at: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        stored.each(self.wanted(file), read_at, |_, chunk| {
            self.chunks.push(chunk);
            Ok(())
        })?;
        self.remember(stored, file, files);
        Ok(())
    }

    /// Takes what a file says of pushes. A shard of the same cut goes on remembering exactly what it did.
    /// Another one knows only who there was.
    fn remember(&mut self, stored: &StoredShard, file: &File, files: usize) {
        let is_own = self.is_own(file.shard, files);
        // Of each file one shard counts what is torn.
        let counts = is_own || self.run.contains(&file.chunks.start);
        let remembered = stored.remembered();
        self.torn += if counts { remembered.torn } else { 0 };
        for (&worker, (incarnation, parts)) in &remembered.sessions {
            // Checked when the file was opened.
            let window = Window::from_snapshot(parts.clone(), &file.chunks).ok();
            self.torn += match &window {
                Some(window) if counts && !is_own => window.unfinished(),
                _ => 0,
            };
            let session = (*incarnation, window.filter(|_| is_own));
            let known = self.sessions.get(&worker).map_or(0, |known| known.0);
            if *incarnation >= known {
                self.sessions.insert(worker, session);
            }
        }
    }

    fn is_own(&self, shard: ShardId, files: usize) -> bool {
        files == self.shards as usize && shard == self.shard
    }

    /// The part, when all of its chunks came.
    ///
    /// # Errors
    /// Chunks are missing.
    pub fn finish(self) -> Result<RestoredShard, Error> {
        let Self { shard, run, chunks, sessions, torn, .. } = self;
        if chunks.len() != run.len() {
            return Err(Error::Missing { shard, found: chunks.len(), expected: run.len() });
        }
        Ok(RestoredShard { chunks, sessions, torn })
    }
}

/// Why files do not make a shard's part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    /// Not all of it was there.
    #[error("shard {shard}: the checkpoint's files hold {found} of its {expected} chunks")]
    Missing { shard: ShardId, found: usize, expected: usize },
}
