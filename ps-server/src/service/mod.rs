//! The calls of the wire, translated to the shard.

mod applied;
mod buffers;
mod bulk;
mod checkpoint;
mod checkpoint_files;
mod cut;
mod data;
mod init;
mod membership;
mod push_many;
mod pushes;
mod sent_run;
mod status;
mod told;
mod weights;

pub(crate) use bulk::DataPlaneCalls;

use crate::config::Config;
use crate::journal::{JournalError, JournalFiles};
use buffers::{Buffers, ConnectionShares};
use ps_core::limits::INIT_HEADERS_MAX;
use ps_core::shard::Shard;
use ps_proto::convert::refusal::{self, Reason};
use ps_runtime::files::{Files, is_full};
use ps_runtime::transport::ConnectionHandle;
use ps_runtime::{Clock, Repeated};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tonic::Status;

/// Answers the calls to one shard.
#[derive(Clone)]
pub(crate) struct Service {
    job: Arc<str>,
    /// What its process registers with.
    token: u64,
    /// Whether the master has taken it in, should there be one.
    is_member: Arc<AtomicBool>,
    shard: Arc<Shard>,
    /// Told of every change that may open the shard's gate.
    gate_changes: watch::Sender<()>,
    clock: Clock,
    /// What chunks of pushes are received into.
    buffers: Buffers,
    /// What chunks of weights are sent from.
    sent: Buffers,
    /// How long they may stay unread.
    unread_max: Duration,
    /// Held while a worker sends the start weights, or a checkpoint is restored.
    initialising: Arc<tokio::sync::Mutex<()>>,
    /// How many headers of starts are decoded at once.
    init_headers: Arc<Semaphore>,
    /// Of all calls about checkpoints: one may wait for another.
    disk_bytes: told::BytesDone,
    checkpoints: Option<Arc<checkpoint_files::CheckpointFiles>>,
    journal: Option<Arc<JournalFiles>>,
    /// Pushes of which chunks were refused.
    refused: Repeated,
    /// Pushes that waited for a checkpoint's memory.
    cut_waits: Repeated,
    /// What of the shard may be in memory twice meanwhile: so many percent, and so many bytes in any case.
    cut_memory: (u8, usize),
    /// Where calls run that wait for a disk: whoever serves the connection must not.
    home: Option<Handle>,
}

impl Service {
    pub(crate) fn new(
        config: &Config,
        shard: Arc<Shard>,
        gate_changes: watch::Sender<()>,
        clock: Clock,
        checkpoints: Option<Files>,
        home: Option<Handle>,
    ) -> Self {
        let bounds = &config.bounds;
        Self {
            job: config.job.as_str().into(),
            token: 0,
            is_member: Arc::new(AtomicBool::new(config.master.is_none())),
            shard,
            gate_changes,
            clock,
            buffers: Buffers::new(bounds.buffer_bytes / 2),
            sent: Buffers::new(bounds.buffer_bytes / 2),
            unread_max: bounds.unread,
            initialising: Arc::default(),
            init_headers: Arc::new(Semaphore::new(INIT_HEADERS_MAX)),
            checkpoints: checkpoints.map(checkpoint_files::CheckpointFiles::new).map(Arc::new),
            journal: None,
            refused: Repeated::default(),
            cut_waits: Repeated::default(),
            cut_memory: (bounds.cut_memory_percent, bounds.cut_memory_bytes_min),
            home,
            disk_bytes: told::BytesDone::default(),
        }
    }

    /// The same in a process that registers with this token, and what is acknowledged is in this journal first.
    pub(crate) fn with_journal(self, token: u64, journal: Option<Arc<JournalFiles>>) -> Self {
        Self { token, journal, ..self }
    }

    /// Set once the master has taken it in.
    pub(crate) fn is_member(&self) -> Arc<AtomicBool> {
        self.is_member.clone()
    }

    /// Waits until what happens next can be written down.
    async fn has_room(&self) -> Result<(), Status> {
        match &self.journal {
            Some(journal) => journal.waiting().room().await,
            None => Ok(()),
        }
    }

    /// Waits until all that has happened is on the disk, where that is promised.
    async fn is_durable(&self) -> Result<(), Status> {
        match &self.journal {
            Some(journal) => journal.waiting().written().await,
            None => Ok(()),
        }
    }

    /// Waits until the model that is held is on the disk, where that is promised.
    async fn is_founded(&self) -> Result<(), Status> {
        let Some(journal) = self.journal.clone() else { return Ok(()) };
        let shard = self.shard.clone();
        // Whoever waits for it may go away; others wait for it, too.
        let waiting = journal.clone();
        let founded = self.at_home(async move {
            journal.found(&shard).await.map_err(|error| {
                let line = format!("shard {} cannot begin its journal: {error}", shard.index());
                match error {
                    JournalError::Io(error) if is_full(&error) => {
                        refusal::status(Reason::DiskFull, 0, 0, line)
                    }
                    _ => Status::unavailable(line),
                }
            })
        });
        tokio::select! {
            biased;
            founded = founded => founded,
            full = waiting.waiting().stays_full() => Err(full),
        }
    }

    /// What the connection of a call may have; a call without one has it for itself.
    fn shares(&self, connection: Option<&ConnectionHandle>) -> ConnectionShares {
        let new = || ConnectionShares { received: self.buffers.share(), sent: self.sent.share() };
        connection.map_or_else(new, |connection| connection.remembered(new))
    }

    fn check_job(&self, job: &str) -> Result<(), Status> {
        if job == &*self.job {
            return Ok(());
        }
        let message = format!(
            "this server belongs to job `{}`, the caller to job `{job}`: set --job-id alike, or \
             use other addresses",
            self.job
        );
        Err(refusal::status(Reason::OtherJob, 0, 0, message))
    }

    fn check_shard(&self, shard: u32) -> Result<(), Status> {
        let own = self.shard.index();
        if shard == own {
            return Ok(());
        }
        let message = format!("this server holds shard {own}, the call is for shard {shard}");
        Err(refusal::status(Reason::OtherShard, self.shard.epoch(), 0, message))
    }
}
