//! Writes the shard's part of a checkpoint, and goes on from one.

use super::checkpoint_files::{CheckpointFiles, Error};
use super::{Service, status};
use ps_core::checkpoint::File;
use ps_core::ids::{Epoch, Life, ShardId};
use ps_core::limits::CHECKPOINTS_MISSED_MAX;
use ps_core::shard::{CopiedShard, CopyError, CutId, InstallError};
use ps_proto::convert::checkpoint::{RestoreRequest, SnapshotRequest};
use ps_proto::convert::refusal::{self, Reason};
use ps_proto::v1;
use ps_runtime::{blocking, in_background};
use tonic::Status;

impl Service {
    /// Writes this shard's part of a cut; a repeated call is given the same answer.
    pub(super) async fn write_snapshot(
        &self,
        request: v1::SnapshotRequest,
    ) -> Result<v1::SnapshotReply, Status> {
        let SnapshotRequest { cut, ends, keep } = (&request).try_into()?;
        let CutId { epoch, number, .. } = cut;
        self.admit_master(&request.job, request.shard, epoch, 0)?;
        let checkpoints = self.checkpoints()?;
        // Ahead of one that is still being written, and is given up for it.
        let opened = self.opened_cut(cut, ends).await;
        let mut written = checkpoints.written.lock().await;
        match &*written {
            Some((newest, file)) if *newest == cut => return Ok(reply(file)),
            Some((newest, _)) if cut < *newest => {
                return Err(Status::failed_precondition(format!(
                    "checkpoint {number} of epoch {epoch} is over: shard {} has written {} of \
                     epoch {} (attempt {})",
                    self.shard.index(),
                    newest.number,
                    newest.epoch,
                    newest.attempt
                )));
            }
            _ => (),
        }
        let copy = opened?;
        let file = in_background(|| {
            let shard = self.shard.index();
            let shards = copy.spec().shards;
            // What is not complete will never be, and may have the room that is needed now.
            let newest = keep.iter().copied().max().unwrap_or(0);
            checkpoints.remove(shard, shards, |found| newest < found && found < number);
            let file =
                checkpoints.write(copy, (number, epoch), &self.disk_bytes).map_err(|error| {
                    match error {
                        Error::Copy(error) => self.no_copy(&error),
                        error => Status::failed_precondition(self.in_words(number, &error)),
                    }
                })?;
            checkpoints.remove(shard, shards, |found| found < number && !keep.contains(&found));
            Ok::<_, Status>(file)
        })?;
        let reply = reply(&file);
        let line = format!("{}/{} ({} bytes)", checkpoints.location(), file.name, file.bytes);
        *written = Some((cut, file));
        drop(written);
        tracing::info!("checkpoint {number}: wrote {line}");
        Ok(reply)
    }

    /// Whether this may be the next checkpoint: one that nothing here is near to would be the last.
    pub(super) fn check_number(
        &self,
        checkpoints: &CheckpointFiles,
        number: u64,
    ) -> Result<(), Status> {
        let highest = checkpoints.highest().map_err(|error| {
            Status::failed_precondition(self.in_words(number, &Error::Io(error)))
        })?;
        if number <= highest.saturating_add(CHECKPOINTS_MISSED_MAX) {
            return Ok(());
        }
        Err(Status::invalid_argument(format!(
            "checkpoint {number} of shard {}: the highest in {} is {highest}, expected one of the next \
             {CHECKPOINTS_MISSED_MAX}",
            self.shard.index(),
            checkpoints.location()
        )))
    }

    /// Goes on from a checkpoint, or says whether it could.
    pub(super) async fn restore_checkpoint(
        &self,
        epoch: Epoch,
        life: Life,
        restore: RestoreRequest,
    ) -> Result<v1::RestoreReply, Status> {
        let shard = self.shard.index();
        let checkpoints = self.checkpoints()?;
        // Not while a worker sends a start; and two calls must not read the same files.
        let turn = self.initialising.lock().await;
        let (number, model) = (restore.number, restore.model.clone());
        let installed = |error: InstallError| match error {
            InstallError::Fenced(error) => status::fenced(&error, self.shard.epoch()),
            InstallError::Held(_) => Status::failed_precondition(error.to_string()),
        };
        if self.shard.is_restored(number, &model).map_err(installed)? {
            self.is_founded().await?;
            return Ok(self.restored());
        }
        let verify_only = restore.verify_only;
        let wanted = RestoreRequest { verify_only: true, ..restore };
        blocking(|| {
            // What was verified and is not wanted is dropped before anything is read.
            let verified = checkpoints.take_verified().filter(|(verified, _)| *verified == wanted);
            let restored = match verified {
                Some((_, restored)) => restored,
                None => checkpoints
                    .read(shard, &wanted, &self.disk_bytes)
                    .map_err(|error| Status::data_loss(self.in_words(number, &error)))?,
            };
            if verify_only {
                checkpoints.keep_verified(wanted, restored);
                return Ok(());
            }
            self.shard.restore(epoch, life, number, model, restored).map_err(installed)
        })?;
        if !verify_only {
            self.is_founded().await?;
            let location = checkpoints.location();
            tracing::info!("shard {shard} goes on from checkpoint {number} in {location}");
        }
        drop(turn);
        Ok(self.restored())
    }

    /// Checks that the call is this job's master's, for this shard, and enters its epoch and life.
    pub(super) fn admit_master(
        &self,
        job: &str,
        shard: ShardId,
        epoch: Epoch,
        life: Life,
    ) -> Result<(), Status> {
        self.check_job(job)?;
        self.check_shard(shard)?;
        let entered = self.shard.enter(epoch, life);
        entered.map_err(|error| status::fenced(&error, self.shard.epoch()))
    }

    pub(super) fn checkpoints(&self) -> Result<&CheckpointFiles, Status> {
        self.checkpoints.as_deref().ok_or_else(|| {
            Status::failed_precondition(format!(
                "the server of shard {} keeps no checkpoints: start it with --checkpoints DIR",
                self.shard.index()
            ))
        })
    }

    pub(super) fn no_copy(&self, error: &CopyError) -> Status {
        match error {
            CopyError::Fenced(error) => status::fenced(error, self.shard.epoch()),
            CopyError::NotPrepared { .. } => {
                refusal::status(Reason::NotPrepared, self.shard.epoch(), 0, error.to_string())
            }
            CopyError::Empty(_)
            | CopyError::Busy(_)
            | CopyError::Over { .. }
            | CopyError::GivenUp { .. } => Status::failed_precondition(error.to_string()),
        }
    }

    fn restored(&self) -> v1::RestoreReply {
        let updates = self.shard.model().map_or(0, |model| model.updates());
        v1::RestoreReply { done: true, updates, ..v1::RestoreReply::default() }
    }

    fn in_words(&self, number: u64, error: &Error) -> String {
        format!("checkpoint {number}, shard {}: {error}", self.shard.index())
    }
}

fn reply(file: &File) -> v1::SnapshotReply {
    v1::SnapshotReply { file: Some(file.into()), bytes: file.bytes }
}
