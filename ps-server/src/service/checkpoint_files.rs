//! The files of a shard's checkpoints, and what is remembered of the last calls about them.

use ps_core::checkpoint::{
    Assembly, File, RestoredShard, ShardSnapshot, StoredShard, names, needed,
};
use ps_core::ids::ShardId;
use ps_proto::convert::checkpoint::RestoreRequest;
use ps_runtime::files::{Files, remove_older_checkpoints};
use tokio::sync::Mutex;

/// A folder of checkpoints that a server has a part in.
pub(super) struct CheckpointFiles {
    files: Files,
    /// Epoch, number and answer of the newest that was written. Held while one is written.
    pub(super) written: Mutex<Option<((u64, u64), File)>>,
    /// The last that was verified: it need not be read again to be restored.
    verified: parking_lot::Mutex<Option<(RestoreRequest, RestoredShard)>>,
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

    pub(super) fn write(&self, number: u64, snapshot: ShardSnapshot) -> Result<File, String> {
        let bytes = snapshot.encode(number).map_err(|error| error.to_string())?;
        let file = snapshot.file(number, &bytes);
        // The copy is as large as the shard: what is written need not be held twice.
        drop(snapshot);
        self.files.write(&file.name, &bytes).map_err(|error| error.to_string())?;
        Ok(file)
    }

    /// Removes the older files of this shard, and of shards that today's cut has no server for.
    pub(super) fn remove_older(&self, shard: ShardId, newest: &File, is_old: impl Fn(u64) -> bool) {
        let shards = names::parse_shard_file(&newest.name).map_or(1, |newest| newest.shards);
        remove_older_checkpoints(&*self.files, |name| {
            let parsed = names::parse_shard_file(name);
            parsed.is_some_and(|file| file.shard % shards == shard && is_old(file.number))
        });
    }

    /// Reads a shard's part; each file once, and no more than one at a time in memory.
    pub(super) fn read(
        &self,
        shard: ShardId,
        request: &RestoreRequest,
    ) -> Result<RestoredShard, String> {
        let RestoreRequest { number, model, files, .. } = request;
        let mut assembly = Assembly::new(model, shard);
        for file in needed(files, *number, model, shard).map_err(|error| error.to_string())? {
            let bytes = self.files.read(&file.name).map_err(|error| error.to_string())?;
            let stored = StoredShard::open(file, &bytes).map_err(|error| error.to_string())?;
            assembly.add(&stored).map_err(|error| error.to_string())?;
        }
        assembly.finish().map_err(|error| error.to_string())
    }
}
