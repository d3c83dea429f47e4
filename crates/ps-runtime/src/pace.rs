//! How fast a connection is read whose peer has not shown yet that it belongs here.
//!
//! Frames that mean nothing (pings, settings, calls that are refused) cost their sender less than whoever answers them.
//! They are counted as they come, until a call has been taken: then nothing is looked at any more.

use ps_core::limits::{STRANGER_CONTROL_FRAME, STRANGER_FRAMES_BURST, STRANGER_FRAMES_PER_S};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep};

/// What HTTP/2 begins with, and the head of each of its frames: three bytes of length ahead of six others.
const PREFACE_BYTES: usize = 24;
const HEAD_BYTES: usize = 9;

/// What stands in the head of a frame of data (RFC 9113, 6.1).
const DATA: u8 = 0;

/// Bytes that are read at once where frames are small: thousands of them would fit into what is read of a connection
/// else, all of them before the first is counted.
const BYTES_AT_ONCE_MAX: usize = 1024;
const BYTES_AT_ONCE: usize = 256;

/// The frames of one connection.
pub(crate) struct Pace {
    /// Bytes that are no frame's head: of the preface, or of a frame's payload.
    skipped: usize,
    /// What has come of the next head.
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    /// Frames that may come at once.
    frames_left: f64,
    counted: Instant,
    /// Until when nothing is read.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    /// Of a connection that begins now.
    pub(crate) fn new() -> Self {
        Self {
            skipped: PREFACE_BYTES,
            head: [0; HEAD_BYTES],
            head_bytes: 0,
            frames_left: STRANGER_FRAMES_BURST,
            counted: Instant::now(),
            pause: None,
        }
    }

    /// How much is to be read at once; `None`: a large frame's payload is, as much as there is room for.
    pub(crate) fn bytes_at_once(&self) -> Option<usize> {
        Some(self.skipped + BYTES_AT_ONCE).filter(|bytes| *bytes <= BYTES_AT_ONCE_MAX)
    }

    /// Waits until more may be read.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        Poll::Ready(())
    }

    /// Counts what was read; where that were too many frames, the next time is later.
    pub(crate) fn read(&mut self, bytes: &[u8]) {
        let (frames, now) = (self.count(bytes), Instant::now());
        let since = now.duration_since(std::mem::replace(&mut self.counted, now));
        let more = since.as_secs_f64() * STRANGER_FRAMES_PER_S;
        self.frames_left = (self.frames_left + more).min(STRANGER_FRAMES_BURST) - frames;
        if self.frames_left < 0.0 {
            let pause = Duration::from_secs_f64(-self.frames_left / STRANGER_FRAMES_PER_S);
            self.pause = Some(Box::pin(tokio::time::sleep(pause)));
        }
    }

    /// Frames whose heads are complete with these bytes, by what they cost.
    fn count(&mut self, mut bytes: &[u8]) -> f64 {
        let mut frames = 0.0;
        loop {
            let skipped = self.skipped.min(bytes.len());
            self.skipped -= skipped;
            bytes = &bytes[skipped..];
            let taken = (HEAD_BYTES - self.head_bytes).min(bytes.len());
            if taken == 0 {
                return frames;
            }
            self.head[self.head_bytes..self.head_bytes + taken].copy_from_slice(&bytes[..taken]);
            self.head_bytes += taken;
            bytes = &bytes[taken..];
            if self.head_bytes == HEAD_BYTES {
                let [high, middle, low, kind, ..] = self.head;
                self.skipped = u32::from_be_bytes([0, high, middle, low]) as usize;
                self.head_bytes = 0;
                frames += if kind == DATA { 1.0 } else { STRANGER_CONTROL_FRAME };
            }
        }
    }
}

/// Reads at most so many bytes.
pub(crate) fn poll_read_few<S: AsyncRead + Unpin + ?Sized>(
    stream: &mut S,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
    bytes: usize,
) -> Poll<io::Result<()>> {
    let mut room = [0; BYTES_AT_ONCE_MAX];
    let mut few = ReadBuf::new(&mut room[..bytes.min(BYTES_AT_ONCE_MAX)]);
    ready!(Pin::new(stream).poll_read(cx, &mut few))?;
    buf.put_slice(few.filled());
    Poll::Ready(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Connection;
    use crate::repeated::Repeated;
    use std::task::Waker;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tonic::transport::server::Connected;

    const PING: u8 = 6;

    fn frame(kind: u8, payload: usize) -> Vec<u8> {
        let [_, length @ ..] = (payload as u32).to_be_bytes();
        [&length[..], &[kind, 0, 0, 0, 0, 0], &vec![0xff; payload]].concat()
    }

    #[tokio::test(start_paused = true)]
    async fn frames_are_counted_however_they_come() {
        let sent = [
            vec![b'P'; PREFACE_BYTES],
            frame(PING, 0),
            frame(PING, 8),
            frame(DATA, 70_000),
            frame(DATA, 1),
        ]
        .concat();
        for size in [1, 2, 7, 9, 10, 1000, sent.len()] {
            let mut pace = Pace::new();
            let frames: f64 = sent.chunks(size).map(|chunk| pace.count(chunk)).sum();
            assert_eq!(frames, 2.0 * STRANGER_CONTROL_FRAME + 2.0, "in pieces of {size}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_read_at_its_pace_and_few_frames_at_once() {
        let mut pace = Pace::new();
        pace.read(&[b'P'; PREFACE_BYTES]);
        let (flood, begun) = (frame(DATA, 8).repeat(20), Instant::now());
        let mut read = 0;
        while begun.elapsed() < Duration::from_secs(60) {
            std::future::poll_fn(|cx| pace.poll_ready(cx)).await;
            pace.read(&flood);
            read += 20;
        }
        let allowed = 60.0 * STRANGER_FRAMES_PER_S + STRANGER_FRAMES_BURST;
        assert!((allowed * 0.95..allowed * 1.05).contains(&f64::from(read)), "{read}");
        // Whoever was quiet may send some at once again.
        tokio::time::sleep(Duration::from_secs(600)).await;
        std::future::poll_fn(|cx| pace.poll_ready(cx)).await;
        pace.read(&flood);
        assert!(pace.poll_ready(&mut Context::from_waker(Waker::noop())).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn who_becomes_known_is_read_at_once() {
        let (stream, mut peer) = tokio::io::duplex(1 << 20);
        let mut connection = Connection::new(stream).greeted(Repeated::default());
        let handle = connection.connect_info();
        let sent = [vec![b'P'; PREFACE_BYTES], frame(PING, 0).repeat(1000)].concat();
        peer.write_all(&sent).await.unwrap();
        let begun = Instant::now();
        let mut read = vec![0; sent.len()];
        let reading = tokio::spawn(async move { connection.read_exact(&mut read).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!reading.is_finished(), "a flood is read at its pace");
        handle.known();
        reading.await.unwrap().unwrap();
        // But for the pause that had begun.
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }
}
