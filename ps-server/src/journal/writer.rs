//! The task that writes what waits: batch after batch, each synced before the next.

use super::Waiting;
use ps_core::ids::ShardId;
use ps_core::journal::{SEGMENT_HEADER_BYTES, SegmentHeader, names, seal};
use ps_core::limits::{JOURNAL_BYTES_MIN, JOURNAL_FULL_MS_MAX};
use ps_runtime::blocking;
use ps_runtime::files::{FileWriter, Files, is_full};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// How often a full disk is tried again.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// Asks for a new segment; what was appended before is in earlier ones. Its answer is the new one's number.
pub(super) type NextSegment = oneshot::Sender<u64>;

/// How a journal is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterSettings {
    /// How long records are gathered before they are written.
    pub linger: Duration,
    /// Whether what is written is synced: all but tests that show what that is for.
    pub is_synced: bool,
    /// Bytes of records after which the shard is written whole again; as many as the shard has, where that is more.
    pub whole_every_bytes: u64,
    /// Whether nothing of it is ever removed: neither what a newer base makes superfluous, nor at the end of the job.
    pub is_kept: bool,
}

impl Default for WriterSettings {
    fn default() -> Self {
        Self {
            linger: Duration::ZERO,
            is_synced: true,
            whole_every_bytes: JOURNAL_BYTES_MIN,
            is_kept: false,
        }
    }
}

/// Writes a shard's journal.
pub(super) struct Writer {
    shard: ShardId,
    files: Files,
    waiting: Arc<Waiting>,
    settings: WriterSettings,
    /// Drawn for this process.
    salt: u64,
    number: u64,
    file: Box<dyn FileWriter>,
    bytes: u64,
    /// The next batch's number.
    batch: u64,
    spare: Vec<u8>,
}

impl Writer {
    /// Begins a segment of this number, after one of which so much counts; as soon as there is room for it.
    pub(super) async fn begin(
        (shard, salt): (ShardId, u64),
        files: Files,
        waiting: Arc<Waiting>,
        settings: WriterSettings,
        (number, previous_bytes): (u64, u64),
    ) -> io::Result<Self> {
        let header = SegmentHeader { shard, number, previous_bytes, salt };
        let file = once_there_is_room(&waiting, || begin(&files, &header, settings)).await?;
        let (bytes, spare) = (SEGMENT_HEADER_BYTES as u64, Vec::new());
        Ok(Self { shard, files, waiting, settings, salt, number, file, bytes, batch: 0, spare })
    }

    /// Writes what comes, for ever; why it cannot any more.
    pub(super) async fn run(mut self, mut wishes: mpsc::Receiver<NextSegment>) -> io::Error {
        loop {
            let waiting = self.waiting.clone();
            let done = tokio::select! {
                biased;
                Some(wish) = wishes.recv() => self.next_segment(wish).await,
                () = waiting.news.notified() => {
                    if !self.settings.linger.is_zero() {
                        tokio::time::sleep(self.settings.linger).await;
                    }
                    self.write_batch().await
                }
            };
            if let Err(error) = done {
                self.waiting.has_failed(&error.to_string());
                return error;
            }
        }
    }

    async fn write_batch(&mut self) -> io::Result<()> {
        let (mut batch, end) = self.waiting.take(std::mem::take(&mut self.spare));
        if batch.is_empty() {
            self.spare = batch;
            return Ok(());
        }
        seal(&mut batch, self.salt, self.batch);
        self.write(&batch).await?;
        self.batch += 1;
        self.bytes += batch.len() as u64;
        self.waiting.is_on_disk(end);
        batch.clear();
        self.spare = batch;
        Ok(())
    }

    async fn write(&mut self, batch: &[u8]) -> io::Result<()> {
        let (file, bytes, is_synced) = (&mut self.file, self.bytes, self.settings.is_synced);
        once_there_is_room(&self.waiting, || {
            file.write_at(bytes, batch)?;
            if is_synced { file.sync() } else { Ok(()) }
        })
        .await
    }

    async fn next_segment(&mut self, wish: NextSegment) -> io::Result<()> {
        self.write_batch().await?;
        let header = SegmentHeader {
            shard: self.shard,
            number: self.number + 1,
            previous_bytes: self.bytes,
            salt: self.salt,
        };
        let (files, settings) = (&self.files, self.settings);
        self.file = once_there_is_room(&self.waiting, || begin(files, &header, settings)).await?;
        (self.number, self.bytes, self.batch) = (header.number, SEGMENT_HEADER_BYTES as u64, 0);
        let _ = wish.send(self.number);
        Ok(())
    }
}

/// Writes something; where there is no room for it, as soon as there is.
async fn once_there_is_room<T>(
    waiting: &Waiting,
    mut write: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    let longest = Duration::from_millis(JOURNAL_FULL_MS_MAX);
    let deadline = Instant::now() + longest;
    let mut is_said = false;
    loop {
        match blocking(&mut write) {
            Err(error) if is_full(&error) && Instant::now() < deadline => {
                if !is_said {
                    let line = format!(
                        "{error}: pushes wait until there is room, at most {longest:.0?}; nothing that was acknowledged is lost"
                    );
                    tracing::warn!("{line}");
                    waiting.is_full(Some(&line));
                }
                is_said = true;
                tokio::time::sleep(FULL_PAUSE).await;
            }
            written => {
                if is_said {
                    waiting.is_full(None);
                }
                if is_said && written.is_ok() {
                    tracing::info!("the journal has room again: pushes go on");
                }
                return written;
            }
        }
    }
}

/// A new segment with nothing but its header, on the disk.
fn begin(
    files: &Files,
    header: &SegmentHeader,
    settings: WriterSettings,
) -> io::Result<Box<dyn FileWriter>> {
    let mut file = files.create(&names::segment_file(header.number))?;
    file.write_at(0, &header.encode())?;
    if settings.is_synced {
        file.sync()?;
        files.sync()?;
    }
    Ok(file)
}
