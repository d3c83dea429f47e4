//! The files of a shard's checkpoints, and what is remembered of the last calls about them.

use super::told::BytesDone;
use crate::shard_file;
use ps_core::checkpoint::{
    Assembly, AssemblyError, File, FileError, RestoredShard, StoredShard, check_files, names,
};
use ps_core::ids::{Epoch, ShardId};
use ps_core::shard::{CopiedShard, CopyError, CutId};
use ps_proto::convert::checkpoint::RestoreRequest;
use ps_runtime::files::{Files, remove_checkpoints, whole_name};
use std::collections::BTreeSet;
use std::io;
use tokio::sync::Mutex;

/// A folder of checkpoints that a server has a part in.
pub(super) struct CheckpointFiles {
    files: Files,
    /// The newest that was written, and its answer. Held while one is written.
    pub(super) written: Mutex<Option<(CutId, File)>>,
    /// The last that was verified: it need not be read again to be restored.
    verified: parking_lot::Mutex<Option<(RestoreRequest, RestoredShard)>>,
}

/// Why a part is not written or read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
}

impl CheckpointFiles {
    pub(super) fn new(files: Files) -> Self {
        Self { files, written: Mutex::default(), verified: parking_lot::Mutex::default() }
    }

    pub(super) fn location(&self) -> String {
        self.files.location()
    }

    pub(super) fn take_verified(&self) -> Option<(RestoreRequest, RestoredShard)> {
        self.verified.lock().take()
    }

    pub(super) fn keep_verified(&self, request: RestoreRequest, restored: RestoredShard) {
        *self.verified.lock() = Some((request, restored));
    }

    /// Writes a shard's part as it is copied.
    pub(super) fn write(
        &self,
        copy: impl CopiedShard,
        at: (u64, Epoch),
        done: &BytesDone,
    ) -> Result<File, Error> {
        shard_file::write(&self.files, copy, at, |bytes| done.add(bytes))
    }

    /// Removes the files of this shard, and of shards that a cut into so many has no server for, whose numbers are out of
    /// use. Never those of a checkpoint whose manifest lies beside them, whatever the caller says: it is whole, and its
    /// manifest has to go first.
    pub(super) fn remove(&self, shard: ShardId, shards: u32, is_unused: impl Fn(u64) -> bool) {
        let names = match self.files.list() {
            Ok(names) => names,
            Err(error) => return tracing::warn!("removing checkpoints: {error}"),
        };
        let whole: BTreeSet<u64> =
            names.iter().filter_map(|name| names::parse_manifest_file(name)).collect();
        remove_checkpoints(&*self.files, &names, |name| {
            names::parse_shard_file(name).is_some_and(|file| {
                let is_own = file.shard % shards.max(1) == shard;
                is_own && is_unused(file.number) && !whole.contains(&file.number)
            })
        });
    }

    /// The highest number of a checkpoint that the folder tells of.
    pub(super) fn highest(&self) -> io::Result<u64> {
        let names = self.files.list()?;
        Ok(names.iter().filter_map(|name| names::parse_number(whole_name(name))).max().unwrap_or(0))
    }

    /// Reads a shard's part, chunk by chunk into the memory that it stays in.
    pub(super) fn read(
        &self,
        shard: ShardId,
        request: &RestoreRequest,
        done: &BytesDone,
    ) -> Result<RestoredShard, Error> {
        let RestoreRequest { number, model, files, .. } = request;
        check_files(files, *number, model)?;
        let mut assembly = Assembly::new(model, shard);
        let count = files.len();
        for file in files {
            if !assembly.needs(file, count) {
                continue;
            }
            let reader = self.files.open(&file.name)?;
            let read_at = |place, into: &mut [u8]| {
                done.add(into.len());
                Ok::<_, Error>(reader.read_at(place, into)?)
            };
            let stored = StoredShard::open(file, count as u32, model, reader.bytes(), read_at)?;
            assembly.add(file, count, &stored, read_at)?;
        }
        Ok(assembly.finish()?)
    }
}
