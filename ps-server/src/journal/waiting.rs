//! Records that are to be written, and who waits until they are.

use parking_lot::Mutex;
use ps_core::journal::{Append, BATCH_HEADER_BYTES, Record};
use ps_core::limits::{JOURNAL_WAITING_BYTES_MAX, PUSH_ROOM_WAIT_MS_MAX};
use ps_proto::convert::refusal::{self, Reason};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tonic::Status;

/// How long callers wait for a full disk before they are told to ask again.
const FULL_TOLD: Duration = Duration::from_millis(PUSH_ROOM_WAIT_MS_MAX);

/// Records that were appended and not taken to be written yet.
#[derive(Default)]
struct Records {
    /// Behind room for a batch's header; empty when there are none.
    bytes: Vec<u8>,
    /// Bytes that were ever appended.
    end: u64,
}

/// How far the disk is.
#[derive(Clone, Debug, Default)]
struct OnDisk {
    /// Of all bytes that were ever appended so many.
    end: u64,
    /// Whether what they stand on is there, too.
    is_based: bool,
    /// Why nothing more will be before there is room.
    full: Option<Arc<str>>,
    /// Why nothing more will be.
    failed: Option<Arc<str>>,
}

/// What a shard's journal has to write.
#[derive(Default)]
pub(crate) struct Waiting {
    records: Mutex<Records>,
    pub(super) news: Notify,
    on_disk: watch::Sender<OnDisk>,
}

impl Append for Waiting {
    fn append(&self, record: &Record<'_>) {
        let mut records = self.records.lock();
        let is_first = records.bytes.is_empty();
        if is_first {
            records.bytes.resize(BATCH_HEADER_BYTES, 0);
        }
        let before = records.bytes.len();
        record.encode(&mut records.bytes);
        records.end += (records.bytes.len() - before) as u64;
        drop(records);
        if is_first {
            self.news.notify_one();
        }
    }
}

impl Waiting {
    /// Waits until there is room for more records. Whoever comes at once may all find room: each adds a chunk at most.
    ///
    /// # Errors
    /// The journal has failed, or the disk has been full for a while: whoever asks again may find room.
    pub(crate) async fn room(&self) -> Result<(), Status> {
        if self.has_room() { Ok(()) } else { self.wait_for(|_| self.has_room()).await }
    }

    fn has_room(&self) -> bool {
        self.records.lock().bytes.len() < JOURNAL_WAITING_BYTES_MAX
    }

    /// Waits until all that was appended before this call is on the disk.
    ///
    /// # Errors
    /// As of [`Waiting::room`].
    pub(crate) async fn written(&self) -> Result<(), Status> {
        let end = self.records.lock().end;
        self.wait_for(|on_disk| on_disk.is_based && on_disk.end >= end).await
    }

    /// The same of the records alone, whatever they stand on.
    ///
    /// # Errors
    /// As of [`Waiting::room`].
    pub(super) async fn flushed(&self) -> Result<(), Status> {
        let end = self.records.lock().end;
        self.wait_for(|on_disk| on_disk.end >= end).await
    }

    /// Waits until the disk is so. One that is full for longer is told, so that no caller takes it for the end of this server.
    async fn wait_for(&self, is_so: impl Fn(&OnDisk) -> bool) -> Result<(), Status> {
        let mut on_disk = self.on_disk.subscribe();
        loop {
            let is_over = |on_disk: &OnDisk| on_disk.failed.is_some() || is_so(on_disk);
            if let Ok(on_disk) = tokio::time::timeout(FULL_TOLD, on_disk.wait_for(is_over)).await {
                return checked(&*on_disk.map_err(|_| ended())?);
            }
            if let Some(why) = &on_disk.borrow().full {
                return Err(full(why));
            }
        }
    }

    /// Ends when the disk is full, with what whoever waits for it is told.
    pub(crate) async fn stays_full(&self) -> Status {
        loop {
            tokio::time::sleep(FULL_TOLD).await;
            if let Some(why) = &self.on_disk.borrow().full {
                return full(why);
            }
        }
    }

    /// Waits until this is so of the bytes that are on the disk, counted from the first.
    pub(super) async fn reached(&self, is_so: impl Fn(u64) -> bool) {
        let mut on_disk = self.on_disk.subscribe();
        // Nobody closes it.
        let _ = on_disk.wait_for(|on_disk| on_disk.is_based && is_so(on_disk.end)).await;
    }

    pub(super) fn end_on_disk(&self) -> u64 {
        self.on_disk.borrow().end
    }

    /// Takes what is to be written, behind room for a batch's header, and leaves this memory for what comes; how far it
    /// goes.
    pub(super) fn take(&self, room: Vec<u8>) -> (Vec<u8>, u64) {
        let mut records = self.records.lock();
        (std::mem::replace(&mut records.bytes, room), records.end)
    }

    pub(super) fn is_on_disk(&self, end: u64) {
        self.on_disk.send_modify(|on_disk| on_disk.end = end);
    }

    /// What the records stand on is on the disk.
    pub(super) fn is_based(&self) {
        self.on_disk.send_modify(|on_disk| on_disk.is_based = true);
    }

    /// Whether there is something on the disk that records can stand on.
    pub(super) fn is_founded(&self) -> bool {
        self.on_disk.borrow().is_based
    }

    /// Nothing more will be written before there is room; or there is again.
    pub(super) fn is_full(&self, why: Option<&str>) {
        self.on_disk.send_modify(|on_disk| on_disk.full = why.map(Into::into));
    }

    /// Nothing more will be written.
    pub(super) fn has_failed(&self, why: &str) {
        self.on_disk.send_modify(|on_disk| on_disk.failed = Some(why.into()));
    }
}

fn checked(on_disk: &OnDisk) -> Result<(), Status> {
    match &on_disk.failed {
        None => Ok(()),
        Some(why) => Err(Status::unavailable(format!("the journal has failed: {why}"))),
    }
}

fn full(why: &str) -> Status {
    refusal::status(Reason::DiskFull, 0, 0, why)
}

fn ended() -> Status {
    Status::unavailable("the server is ending")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    /// Whoever calls hears of it before it would take the server for dead, and again when it asks again.
    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_full_disk_is_told_so() {
        let waiting = Waiting::default();
        waiting.is_based();
        waiting.is_full(Some("no room"));
        waiting.records.lock().end = 7;
        for _ in 0..2 {
            let begun = Instant::now();
            let status = waiting.written().await.unwrap_err();
            assert_eq!(begun.elapsed(), FULL_TOLD);
            assert_eq!(refusal::from_status(&status).unwrap().reason(), Reason::DiskFull);
            assert_eq!(waiting.stays_full().await.message(), "no room");
        }
        waiting.is_full(None);
        let room_comes = async {
            tokio::time::sleep(FULL_TOLD * 3).await;
            waiting.is_on_disk(7);
        };
        let (written, ()) = tokio::join!(waiting.written(), room_comes);
        written.unwrap();
    }
}
