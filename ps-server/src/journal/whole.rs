//! The shard is written whole now and then: what the journal stands on. What came before goes.

use super::writer::{NextSegment, Writer, WriterSettings};
use super::{JournalError, Waiting, Writing};
use crate::shard_file;
use ps_core::checkpoint::File;
use ps_core::journal::{Base, JournalEnd, names};
use ps_core::shard::Shard;
use ps_core::{checkpoint, ids::ShardId};
use ps_runtime::files::{Files, whole_name};
use ps_runtime::{blocking, in_background};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};
use tonic::Status;

/// How long the last records of a journal that is kept may take to the disk when its job is over.
const END_LONGEST: Duration = Duration::from_secs(5);

/// A shard's journal in a folder.
pub(crate) struct JournalFiles {
    job: String,
    files: Files,
    waiting: Arc<Waiting>,
    wishes: mpsc::Sender<NextSegment>,
    whole_every_bytes: u64,
    /// Whether nothing is ever removed.
    is_kept: bool,
    /// Bytes of records that were there before this process.
    replayed_bytes: u64,
    /// Held while the shard is written whole; whether it ever was.
    is_based: Mutex<bool>,
}

impl JournalFiles {
    /// Begins to write, after so many bytes of records if there is a shard that they stand on; the task that does, until
    /// it fails.
    pub(super) fn begin(
        job: &str,
        (shard, salt): (ShardId, u64),
        files: Files,
        waiting: Arc<Waiting>,
        settings: WriterSettings,
        (number, previous_bytes): (u64, u64),
        replayed_bytes: Option<u64>,
    ) -> (Arc<Self>, Writing) {
        let (wishes, inbox) = mpsc::channel(1);
        let at = (number, previous_bytes);
        let writer = Writer::begin((shard, salt), files.clone(), waiting.clone(), settings, at);
        if replayed_bytes.is_some() {
            waiting.is_based();
        }
        let journal = Arc::new(Self {
            job: job.to_owned(),
            files,
            waiting,
            wishes,
            whole_every_bytes: settings.whole_every_bytes,
            is_kept: settings.is_kept,
            is_based: Mutex::new(replayed_bytes.is_some()),
            replayed_bytes: replayed_bytes.unwrap_or(0),
        });
        let failed = journal.waiting.clone();
        let writing = async move {
            match writer.await {
                Ok(writer) => writer.run(inbox).await.into(),
                Err(error) => {
                    failed.has_failed(&error.to_string());
                    error.into()
                }
            }
        };
        (journal, Box::pin(writing))
    }

    /// What waits to be written.
    pub(crate) fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// Whether a process that comes after this one will hold the shard's model, if it holds one.
    pub(crate) fn is_founded(&self) -> bool {
        self.waiting.is_founded()
    }

    /// Writes the shard whole if it never was: before whoever started it is told that it holds a model.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) async fn found(&self, shard: &Shard) -> Result<(), JournalError> {
        let mut is_based = self.is_based.lock().await;
        if !*is_based {
            self.write_whole(shard).await?;
            *is_based = true;
            self.waiting.is_based();
        }
        Ok(())
    }

    /// Writes the shard whole again; what came before is removed, unless it is kept.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) async fn renew(&self, shard: &Shard) -> Result<(), JournalError> {
        let is_based = self.is_based.lock().await;
        if *is_based {
            self.write_whole(shard).await?;
        }
        Ok(())
    }

    /// Writes the shard whole again and again, whenever the journal has grown so much that it is worth it.
    pub(crate) async fn keep_short(&self, shard: &Shard) {
        // What was replayed is replayed again if the process dies before.
        let (mut replayed, mut begun) = (self.replayed_bytes, 0);
        loop {
            let grown = |end: u64| replayed + end.saturating_sub(begun);
            self.waiting.reached(|end| grown(end) >= self.bytes_max(shard)).await;
            (replayed, begun) = (0, self.waiting.end_on_disk());
            match self.renew(shard).await {
                Ok(()) => tracing::debug!("the journal begins anew"),
                Err(error) => {
                    tracing::warn!("the journal grows: the shard cannot be written whole: {error}")
                }
            }
        }
    }

    /// How many bytes of records are worth writing the shard whole.
    fn bytes_max(&self, shard: &Shard) -> u64 {
        let Some(model) = shard.model() else { return self.whole_every_bytes };
        let vectors = 1 + model.spec.optimizer.slots() as u64;
        self.whole_every_bytes.max(vectors * model.weight_bytes())
    }

    async fn write_whole(&self, shard: &Shard) -> Result<(), JournalError> {
        // First a new segment: what is in earlier ones is in every chunk that is copied from now on.
        let (reply, number) = oneshot::channel();
        let _ = self.wishes.send(reply).await;
        let ended = || std::io::Error::other("the journal's writer has ended");
        let number = number.await.map_err(|_| ended())?;
        let file = self.write_values(shard, number)?;
        // Who reads the journal from before misses nothing of what the shard was when it was copied.
        self.waiting.flushed().await.map_err(failed)?;
        let Some(model) = shard.model() else { return Ok(()) };
        // After the copy: who was shut out meanwhile stays out, whether or not the segment says so.
        let base = Base::new(&self.job, &model.spec, model.origin, shard.fenced(), (number, file));
        blocking(|| {
            self.files.write(&base.name(), base.encode()?.as_bytes())?;
            if !self.is_kept {
                self.remove_before(number);
            }
            Ok(())
        })
    }

    fn write_values(&self, shard: &Shard, number: u64) -> Result<File, JournalError> {
        let copy = shard.begin_copy()?;
        let epoch = shard.epoch();
        in_background(|| shard_file::write(&self.files, copy, (number, epoch), |_| ()))
    }

    /// The job is over: removes all of it, unless it is kept.
    pub(crate) fn remove(&self) {
        if !self.is_kept {
            self.remove_before(u64::MAX);
        }
    }

    /// The job is over: writes down where a journal ends that is kept, so that whoever reads it knows that all of it is there.
    /// To be called while the journal is still written.
    pub(crate) async fn end(&self, shard: ShardId) {
        if !self.is_kept {
            return;
        }
        let location = self.files.location();
        match tokio::time::timeout(END_LONGEST, self.write_end(shard)).await {
            Ok(Ok(())) => {
                tracing::info!("shard {shard} keeps its journal in {location} (--keep-journal)");
            }
            Ok(Err(error)) => tracing::warn!("the end of the journal in {location}: {error}"),
            Err(_) => tracing::warn!(
                "the journal in {location} is kept, and its last records are not on the disk after {END_LONGEST:.0?}: nothing \
                 that was acknowledged is missing"
            ),
        }
    }

    async fn write_end(&self, shard: ShardId) -> Result<(), JournalError> {
        // Held, so that no base is begun meanwhile.
        let is_based = self.is_based.lock().await;
        if !*is_based {
            return Ok(());
        }
        self.waiting.written().await.map_err(failed)?;
        blocking(|| {
            let names = self.files.list()?;
            let numbers = names.iter().filter_map(|name| names::parse_segment_file(name));
            let segment = numbers.max().unwrap_or_default();
            let bytes = self.files.open(&names::segment_file(segment))?.bytes();
            let end = JournalEnd { job: self.job.clone(), shard, segment, bytes };
            Ok(self.files.write(names::END_FILE, end.encode()?.as_bytes())?)
        })
    }

    /// Removes what the base of this number makes superfluous; what fails is tried again with the next one.
    fn remove_before(&self, number: u64) {
        let names = match self.files.list() {
            Ok(names) => names,
            Err(error) => return tracing::warn!("trimming the journal: {error}"),
        };
        let mut unused: Vec<String> =
            names.into_iter().filter(|name| is_before(name, number)).collect();
        // Bases first: one without its values would be no base.
        unused.sort_by_key(|name| names::parse_base_file(whole_name(name)).is_none());
        for error in unused.iter().filter_map(|name| self.files.remove(name).err()) {
            tracing::warn!("trimming the journal: {error}");
        }
    }
}

fn failed(status: Status) -> std::io::Error {
    std::io::Error::other(status.message().to_owned())
}

/// The number in the name of any file of a journal.
pub(super) fn number_of(name: &str) -> Option<u64> {
    let name = whole_name(name);
    let values = || checkpoint::names::parse_shard_file(name).map(|file| file.number);
    names::parse_segment_file(name).or_else(|| names::parse_base_file(name)).or_else(values)
}

fn is_before(name: &str, number: u64) -> bool {
    number_of(name).is_some_and(|found| found < number)
}
