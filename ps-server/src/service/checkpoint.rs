//! Writes the shard's part of a checkpoint, and goes on from one.

use super::{Service, status};
use crate::shard::{InstallError, SnapshotError};
use ps_core::checkpoint::{Assembly, File, Restored, ShardSnapshot, Stored, names, needed};
use ps_core::ids::ShardId;
use ps_proto::convert::Error;
use ps_proto::convert::checkpoint::{Restore, Snapshot};
use ps_proto::v1;
use ps_runtime::blocking;
use ps_runtime::files::{Files, remove_older_checkpoints};
use tokio::sync::Mutex;
use tonic::Status;

/// The checkpoints of a server and what it remembers of the last calls about them.
pub(super) struct Checkpoints {
    files: Files,
    /// Epoch, number and answer of the newest that was written. Held while one is written.
    written: Mutex<Option<((u64, u64), File)>>,
    /// The last that was verified: it need not be read again to be restored.
    verified: std::sync::Mutex<Option<(Restore, Restored)>>,
}

impl Checkpoints {
    pub(super) fn new(files: Files) -> Self {
        Self { files, written: Mutex::default(), verified: std::sync::Mutex::default() }
    }

    fn take_verified(&self) -> Option<(Restore, Restored)> {
        self.verified.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    fn keep_verified(&self, restore: Restore, restored: Restored) {
        let mut verified = self.verified.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *verified = Some((restore, restored));
    }
}

impl Service {
    /// Writes this shard's part; a repeated call is given the same answer.
    pub(super) async fn write_snapshot(
        &self,
        request: v1::SnapshotRequest,
    ) -> Result<v1::SnapshotReply, Status> {
        let epoch = request.epoch;
        self.admit_master(&request.job, request.shard, epoch)?;
        let Snapshot { number, keep } = Snapshot::try_from(&request)?;
        let checkpoints = self.checkpoints()?;
        let mut written = checkpoints.written.lock().await;
        match &*written {
            Some((newest, file)) if *newest == (epoch, number) => return Ok(reply(file)),
            Some(((newest, last), _)) if (epoch, number) < (*newest, *last) => {
                return Err(Status::failed_precondition(format!(
                    "checkpoint {number} of epoch {epoch} is over: shard {} has written {last} of \
                     epoch {newest}",
                    self.shard.index()
                )));
            }
            _ => (),
        }
        let file = blocking(|| {
            let snapshot = self.shard.snapshot(epoch).map_err(|error| self.no_snapshot(&error))?;
            let file = write(&checkpoints.files, number, snapshot)
                .map_err(|message| Status::failed_precondition(self.in_words(number, message)))?;
            let is_old = |found: u64| found < number && !keep.contains(&found);
            remove_older(&checkpoints.files, self.shard.index(), &file, is_old);
            Ok::<_, Status>(file)
        })?;
        tracing::info!(
            "checkpoint {number}: wrote {}/{} ({} bytes)",
            checkpoints.files.location(),
            file.name,
            file.bytes
        );
        let reply = reply(&file);
        *written = Some(((epoch, number), file));
        Ok(reply)
    }

    /// Goes on from a checkpoint, or says whether it could.
    pub(super) async fn restore_checkpoint(
        &self,
        request: v1::RestoreRequest,
    ) -> Result<v1::RestoreReply, Status> {
        let epoch = request.epoch;
        self.admit_master(&request.job, request.shard, epoch)?;
        let restore = Restore::try_from(request)?;
        let (shard, shards) = (self.shard.index(), restore.model.shards);
        if shard >= shards {
            let expected = format!("more than {shard}, the shard of this server");
            return Err(Error::invalid("RestoreRequest", "model.shards", shards, expected).into());
        }
        let checkpoints = self.checkpoints()?;
        // Not while a worker sends a start; and two calls must not read the same files.
        let _turn = self.initialising.lock().await;
        let (number, model) = (restore.number, restore.model.clone());
        let installed = |error: InstallError| match error {
            InstallError::Fenced(error) => status::fenced(&error, self.shard.epoch()),
            InstallError::Held(_) => Status::failed_precondition(error.to_string()),
        };
        if self.shard.is_restored(number, &model).map_err(installed)? {
            return Ok(v1::RestoreReply {});
        }
        let verify_only = restore.verify_only;
        let wanted = Restore { verify_only: true, ..restore };
        blocking(|| {
            // What was verified and is not wanted is dropped before anything is read.
            let verified = checkpoints.take_verified().filter(|(verified, _)| *verified == wanted);
            let restored = match verified {
                Some((_, restored)) => restored,
                None => read(&checkpoints.files, shard, &wanted)
                    .map_err(|message| Status::data_loss(self.in_words(number, message)))?,
            };
            if verify_only {
                checkpoints.keep_verified(wanted, restored);
                return Ok(());
            }
            self.shard.restore(epoch, number, model, restored).map_err(installed)?;
            tracing::info!(
                "shard {shard} goes on from checkpoint {number} in {}",
                checkpoints.files.location()
            );
            Ok::<_, Status>(())
        })?;
        Ok(v1::RestoreReply {})
    }

    /// Checks that the call is this job's master's, for this shard, and enters its epoch.
    #[allow(clippy::result_large_err)] // tonic's own error type
    fn admit_master(&self, job: &str, shard: ShardId, epoch: u64) -> Result<(), Status> {
        self.check_job(job)?;
        self.check_shard(shard)?;
        let entered = self.shard.enter(epoch);
        entered.map_err(|error| status::fenced(&error, self.shard.epoch()))
    }

    #[allow(clippy::result_large_err)]
    fn checkpoints(&self) -> Result<&Checkpoints, Status> {
        self.checkpoints.as_deref().ok_or_else(|| {
            Status::failed_precondition(format!(
                "the server of shard {} keeps no checkpoints: start it with --checkpoints DIR",
                self.shard.index()
            ))
        })
    }

    fn no_snapshot(&self, error: &SnapshotError) -> Status {
        match error {
            SnapshotError::Fenced(error) => status::fenced(error, self.shard.epoch()),
            SnapshotError::Empty(_) => Status::failed_precondition(error.to_string()),
        }
    }

    fn in_words(&self, number: u64, message: String) -> String {
        format!("checkpoint {number}, shard {}: {message}", self.shard.index())
    }
}

fn reply(file: &File) -> v1::SnapshotReply {
    v1::SnapshotReply { file: Some(file.into()) }
}

fn write(files: &Files, number: u64, snapshot: ShardSnapshot) -> Result<File, String> {
    let bytes = snapshot.encode(number).map_err(|error| error.to_string())?;
    let file = snapshot.file(number, &bytes);
    // The copy is as large as the shard: what is written need not be held twice.
    drop(snapshot);
    files.write(&file.name, &bytes).map_err(|error| error.to_string())?;
    Ok(file)
}

/// Removes the older files of this shard, and of shards that today's cut has no server for.
fn remove_older(files: &Files, shard: ShardId, newest: &File, is_old: impl Fn(u64) -> bool) {
    let shards = names::parse_shard_file(&newest.name).map_or(1, |newest| newest.shards);
    remove_older_checkpoints(&**files, |name| {
        let parsed = names::parse_shard_file(name);
        parsed.is_some_and(|file| file.shard % shards == shard && is_old(file.number))
    });
}

/// Reads a shard's part; each file once, and no more than one at a time in memory.
fn read(files: &Files, shard: ShardId, restore: &Restore) -> Result<Restored, String> {
    let Restore { number, model, files: list, .. } = restore;
    let mut assembly = Assembly::new(model, shard);
    for file in needed(list, *number, model, shard).map_err(|error| error.to_string())? {
        let bytes = files.read(&file.name).map_err(|error| error.to_string())?;
        let stored = Stored::open(file, &bytes).map_err(|error| error.to_string())?;
        assembly.add(&stored).map_err(|error| error.to_string())?;
    }
    assembly.finish().map_err(|error| error.to_string())
}
