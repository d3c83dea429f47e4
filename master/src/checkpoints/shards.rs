//! Calls about checkpoints, to all shards at once.

use super::{remove_older, write_manifest};
use crate::cluster::{Cluster, shard_control};
use ps_core::DataDescription;
use ps_core::checkpoint::{File, MANIFEST_FORMAT, Manifest, names};
use ps_core::ids::Life;
use ps_core::master::{CheckpointRequest, NotRestored, RestoredPart};
use ps_core::model_config::About;
use ps_core::model_spec::ModelSpec;
use ps_core::settings::TrainingSettings;
use ps_core::shard::CutEnds;
use ps_proto::convert::checkpoint::{cut_ends, cut_ends_to_wire};
use ps_proto::convert::refusal::{self, Reason};
use ps_proto::v1;
use ps_runtime::blocking;
use ps_runtime::files::{FileStore, remove_unfinished};
use ps_runtime::link::{Link, Patience, is_retryable};
use ps_runtime::progress::Progress;
use std::time::Duration;
use tonic::{Code, Status, Streaming};

/// How long a disk may move nothing: what was written is synced at the end, which may be gigabytes.
const DISK_IDLE_MAX: Duration = Duration::from_secs(120);

/// How often a checkpoint is begun at most: the shards may not all hear of it in time.
const CUT_ATTEMPTS_MAX: u32 = 3;

/// How long a shard may be out of reach, in leases: by then the master has noticed.
const PATIENCE_LEASES: u32 = 3;

impl Cluster {
    /// Has all shards write their parts, and writes the manifest, with what is known of the model and its data.
    ///
    /// # Errors
    /// A shard could not, or the manifest could not be written.
    pub(crate) async fn write_checkpoint(
        &self,
        request: CheckpointRequest,
        known: (About, DataDescription),
        files: &dyn FileStore,
    ) -> Result<(), String> {
        let written = self.write_parts(request, known, files).await;
        if written.is_err() {
            // What other shards have written of it nobody goes on from.
            blocking(|| remove_unfinished(files));
        }
        written
    }

    async fn write_parts(
        &self,
        request: CheckpointRequest,
        (about, data): (About, DataDescription),
        files: &dyn FileStore,
    ) -> Result<(), String> {
        let CheckpointRequest { number, keep, keep_afterwards, mut state } = request;
        let spec = self.spec().await.map_err(|error| error.to_string())?;
        let (attempt, files_written) = self.cut(number, &keep).await?;
        state.settings = state.settings.as_held(&spec);
        let manifest = Manifest {
            format: MANIFEST_FORMAT,
            number,
            job: self.job.clone(),
            cut: Some(format!("{}-{number}-{attempt}", self.epoch)),
            tensors: spec.layout.tensors().to_vec(),
            chunk_elements: spec.chunk_elements,
            files: files_written,
            state,
            model: Some(about.description(&spec.layout, &data)),
        };
        blocking(|| {
            write_manifest(&manifest, files).map_err(|error| error.to_string())?;
            remove_older(number, &keep_afterwards, files);
            Ok(())
        })
    }

    /// Has all shards write what they hold at one moment; at which attempt, and their files.
    async fn cut(&self, number: u64, keep: &[u64]) -> Result<(u32, Vec<File>), String> {
        let mut attempt = 1;
        loop {
            let begun = self.on_all(|shard, link| self.prepare_cut(shard, link, number, attempt));
            let mut ends = CutEnds::default();
            begun.await?.iter().for_each(|begun| ends.extend(begun));
            let request = v1::SnapshotRequest {
                job: self.job.clone(),
                epoch: self.epoch,
                number,
                keep: keep.to_vec(),
                attempt,
                ends: cut_ends_to_wire(&ends),
                ..v1::SnapshotRequest::default()
            };
            match self.on_all(|shard, link| self.snapshot(shard, link, &request)).await {
                Ok(files) => return Ok((attempt, files)),
                Err((true, reason)) if attempt < CUT_ATTEMPTS_MAX => {
                    tracing::info!("checkpoint {number}, attempt {attempt}: {reason}");
                    attempt += 1;
                }
                Err((_, reason)) => return Err(reason),
            }
        }
    }

    /// Which pushes a shard has begun. It begins no others until it is told to write.
    async fn prepare_cut(
        &self,
        shard: u32,
        link: &Link,
        number: u64,
        attempt: u32,
    ) -> Result<CutEnds, String> {
        let (job, epoch) = (self.job.clone(), self.epoch);
        let request = v1::PrepareCutRequest { job, shard, epoch, number, attempt };
        let call = |channel| {
            let request = request.clone();
            async move { shard_control(channel).prepare_cut(request).await }
        };
        let reply = link.call(self.patience(), call, |_| ()).await;
        let reply = reply.map_err(|status| failure(shard, link, status.message()))?;
        let ends = cut_ends("PrepareCutReply", &reply.into_inner().ends);
        ends.map_err(|error| failure(shard, link, &error.to_string()))
    }

    /// Has a shard write its part of a cut. Why it did not, and whether another attempt may do.
    async fn snapshot(
        &self,
        shard: u32,
        link: &Link,
        request: &v1::SnapshotRequest,
    ) -> Result<File, (bool, String)> {
        let request = v1::SnapshotRequest { shard, ..request.clone() };
        let number = request.number;
        let progress = Progress::default();
        let attempt = |channel| {
            let (request, progress) = (request.clone(), &progress);
            async move {
                let replies = shard_control(channel).snapshot(request).await?.into_inner();
                last(replies, progress, |reply| (reply.bytes, reply.file.is_some())).await
            }
        };
        let failed = |message: &str| (false, failure(shard, link, message));
        let reply = link.call_while(&progress, self.patience(), attempt, |_| ()).await;
        let reply = reply.map_err(|status| {
            let refusal = refusal::from_status(&status);
            let is_late = refusal.is_some_and(|it| it.reason() == Reason::NotPrepared);
            (is_late, failure(shard, link, status.message()))
        })?;
        let file = reply.file.ok_or_else(|| failed("it named no file"))?;
        let file = File::try_from(file).map_err(|error| failed(&error.to_string()))?;
        let expected = names::shard_file(number, shard, self.links.len() as u32);
        if file.name != expected {
            return Err(failed(&format!("it wrote {}, expected {expected}", file.name)));
        }
        Ok(file)
    }

    /// Restores a checkpoint on all shards once each has said that it can. The inner error is the
    /// checkpoint's, and an older one may do; the outer one is not.
    pub(super) async fn restore(
        &self,
        manifest: &Manifest,
        life: Life,
        settings: &TrainingSettings,
    ) -> Result<Result<(), String>, String> {
        let number = manifest.number;
        let (_, request) = self
            .restore_request(manifest, life, settings)
            .map_err(|reason| format!("the job cannot go on from checkpoint {number}: {reason}"))?;
        for verify_only in [true, false] {
            let request = v1::RestoreRequest { verify_only, ..request.clone() };
            let restore = |shard, link| self.restore_shard(shard, link, &request);
            match self.on_all(restore).await {
                Ok(_) => (),
                Err((Code::Unavailable, reason)) => return Err(reason),
                Err((_, reason)) if verify_only => return Ok(Err(reason)),
                Err((_, reason)) => {
                    return Err(format!("restoring checkpoint {number}: {reason}"));
                }
            }
        }
        Ok(Ok(()))
    }

    /// What a shard is told that restores a checkpoint, and the model as the shards hold it.
    fn restore_request(
        &self,
        manifest: &Manifest,
        life: Life,
        settings: &TrainingSettings,
    ) -> Result<(ModelSpec, v1::RestoreRequest), String> {
        let spec = manifest.spec(settings, self.links.len() as u32)?;
        let request = v1::RestoreRequest {
            job: self.job.clone(),
            epoch: self.epoch,
            life,
            number: manifest.number,
            model: Some((&spec).into()),
            files: manifest.files.iter().map(v1::CheckpointFile::from).collect(),
            ..v1::RestoreRequest::default()
        };
        Ok((spec, request))
    }

    /// Restores a checkpoint on one shard, which holds nothing; what it holds then.
    pub(super) async fn restore_part(
        &self,
        manifest: &Manifest,
        (shard, life): (u32, Life),
        settings: &TrainingSettings,
    ) -> Result<RestoredPart, NotRestored> {
        let (spec, request) =
            self.restore_request(manifest, life, settings).map_err(NotRestored::Unusable)?;
        let link = self.links.get(shard as usize);
        let link =
            link.ok_or_else(|| NotRestored::Unusable(format!("there is no shard {shard}")))?;
        let restored = self.restore_shard(shard, link, &request).await;
        let restored = restored.map_err(|(code, reason)| match code {
            Code::Unavailable => NotRestored::Unreached(reason),
            _ => NotRestored::Unusable(reason),
        })?;
        let (held, all) = (spec.partition().range(shard).len(), spec.layout.elements());
        let model_share = held as f64 / all.max(1) as f64;
        Ok(RestoredPart { checkpoint: manifest.number, updates: restored.updates, model_share })
    }

    async fn restore_shard(
        &self,
        shard: u32,
        link: &Link,
        request: &v1::RestoreRequest,
    ) -> Result<v1::RestoreReply, (Code, String)> {
        let progress = Progress::default();
        let attempt = |channel| {
            let (request, progress) = (v1::RestoreRequest { shard, ..request.clone() }, &progress);
            async move {
                let replies = shard_control(channel).restore(request).await?.into_inner();
                last(replies, progress, |reply| (reply.bytes, reply.done)).await
            }
        };
        let restored = link.call_while(&progress, self.patience(), attempt, |_| ()).await;
        restored.map_err(|status: Status| {
            let code = if is_retryable(&status) { Code::Unavailable } else { status.code() };
            (code, failure(shard, link, status.message()))
        })
    }

    fn patience(&self) -> Patience {
        // A server says every second that it is at it: one that is silent has lost the connection, or more.
        Patience { attempt: self.lease, total: self.lease * PATIENCE_LEASES }
    }
}

/// The answer, after replies that say how many bytes are done. While they grow, it may take any time.
async fn last<R>(
    mut replies: Streaming<R>,
    progress: &Progress,
    read: impl Fn(&R) -> (u64, bool),
) -> Result<R, Status> {
    let mut done = 0;
    loop {
        let reply = replies.message().await?;
        let reply = reply.ok_or_else(|| Status::unavailable("it ended without an answer"))?;
        let (bytes, is_last) = read(&reply);
        if is_last {
            return Ok(reply);
        }
        progress.moved();
        if bytes > done {
            progress.advanced();
            done = bytes;
        } else if progress.stalled() > DISK_IDLE_MAX {
            let message = format!("{done} bytes are done, and none more in {DISK_IDLE_MAX:?}");
            return Err(Status::deadline_exceeded(message));
        }
    }
}

fn failure(shard: u32, link: &Link, message: &str) -> String {
    format!("server shard {shard} at {}: {message}", link.address())
}
