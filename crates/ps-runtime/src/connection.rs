//! A connection, as the protocol above it sees it.

use crate::pace::{Pace, poll_read_few};
use crate::repeated::Repeated;
use futures_util::task::AtomicWaker;
use http::Extensions;
use parking_lot::Mutex;
use ps_core::limits;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tonic::transport::server::Connected;

/// What an HTTP/2 peer sends first: 24 bytes that say so, and the head of its settings.
const GREETING_BYTES: usize = 24 + 9;

/// How long it may take for that.
const GREETING_WAIT: Duration = Duration::from_millis(limits::GREETING_WAIT_MS_MAX);

/// A byte stream of any origin.
pub struct Connection {
    stream: Pin<Box<dyn ByteStream>>,
    handle: ConnectionHandle,
    /// What it has not heard of its peer's greeting, on the side that is called.
    greeting: Option<Greeting>,
    /// How fast it is read, on that side, until a call of it was taken.
    pace: Option<Pace>,
    /// Read since the connection last let others go first.
    burst_bytes: usize,
    /// Whether others go first before anything is written.
    gathers: bool,
    /// Whether they did, since the last flush.
    has_gathered: bool,
    /// Its share of those that a listener may have.
    _permit: Option<OwnedSemaphorePermit>,
}

/// A connection for those who answer its calls. Clones are of the same connection.
#[derive(Clone, Debug, Default)]
pub struct ConnectionHandle(Arc<Handle>);

#[derive(Debug, Default)]
struct Handle {
    is_cut: AtomicBool,
    is_known: AtomicBool,
    waker: AtomicWaker,
    remembered: Mutex<Extensions>,
}

impl ConnectionHandle {
    /// Cuts it, with all calls on it.
    pub fn hang_up(&self) {
        self.0.is_cut.store(true, Ordering::Release);
        self.0.waker.wake();
    }

    /// A call of it was taken: its peer belongs here, and is read as fast as it sends.
    pub fn known(&self) {
        if !self.0.is_known.swap(true, Ordering::AcqRel) {
            // It may be making a pause.
            self.0.waker.wake();
        }
    }

    /// What a service remembers of it, as long as it is open or somebody else has the same: made when it is first
    /// asked for.
    pub fn remembered<T: Clone + Send + Sync + 'static>(&self, make: impl FnOnce() -> T) -> T {
        self.0.remembered.lock().get_or_insert_with(make).clone()
    }

    fn check(&self, cx: &Context<'_>) -> io::Result<()> {
        self.0.waker.register(cx.waker());
        match self.0.is_cut.load(Ordering::Acquire) {
            true => Err(io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }
}

/// The first bytes of a connection, which its peer owes.
struct Greeting {
    deadline: Pin<Box<Sleep>>,
    bytes_left: usize,
    silent: Repeated,
}

impl Greeting {
    /// # Errors
    /// The peer took too long.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.deadline.as_mut().poll(cx).is_pending() {
            return Ok(());
        }
        self.silent.happened(|times| {
            tracing::warn!(
                "{times} connections said nothing for {GREETING_WAIT:?}: they are closed"
            );
        });
        Err(io::ErrorKind::TimedOut.into())
    }
}

trait ByteStream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> ByteStream for T {}

impl Connection {
    /// Wraps a byte stream.
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        Self {
            stream: Box::pin(stream),
            handle: ConnectionHandle::default(),
            greeting: None,
            pace: None,
            burst_bytes: 0,
            gathers: false,
            has_gathered: false,
            _permit: None,
        }
    }

    /// Lets others of its runtime go first before it writes. HTTP/2 sends the head of a small call before
    /// the task that has its body hears that there is room: with a turn for that one they leave
    /// together, and the peer is woken and reads once, not twice.
    #[must_use]
    pub fn gathering(self) -> Self {
        Self { gathers: true, ..self }
    }

    fn poll_gather(&mut self, cx: &Context<'_>) -> Poll<()> {
        if !self.gathers || std::mem::replace(&mut self.has_gathered, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Ends when its peer does not begin to speak HTTP/2 in time: it takes the place of another one. To be called on
    /// the runtime that serves it.
    pub(crate) fn greeted(self, silent: Repeated) -> Self {
        let deadline = Box::pin(tokio::time::sleep(GREETING_WAIT));
        let greeting = Greeting { deadline, bytes_left: GREETING_BYTES, silent };
        Self { greeting: Some(greeting), pace: Some(Pace::new()), ..self }
    }

    /// Counts as one of those that a listener may have, as long as it is open.
    pub(crate) fn with_permit(self, permit: OwnedSemaphorePermit) -> Self {
        Self { _permit: Some(permit), ..self }
    }
}

impl Connected for Connection {
    type ConnectInfo = ConnectionHandle;

    fn connect_info(&self) -> ConnectionHandle {
        self.handle.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.handle.check(cx)?;
        if let Some(greeting) = &mut this.greeting {
            greeting.check(cx)?;
        }
        if this.pace.is_some() && this.handle.0.is_known.load(Ordering::Acquire) {
            this.pace = None;
        }
        if let Some(pace) = &mut this.pace {
            ready!(pace.poll_ready(cx));
        }
        if this.burst_bytes >= limits::READ_BURST_BYTES_MAX {
            this.burst_bytes = 0;
            std::thread::yield_now();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = match this.pace.as_ref().and_then(Pace::bytes_at_once) {
            Some(bytes) if bytes < buf.remaining() => {
                poll_read_few(&mut this.stream, cx, buf, bytes)
            }
            _ => this.stream.as_mut().poll_read(cx, buf),
        };
        let bytes = buf.filled().len() - before;
        this.burst_bytes = match read {
            Poll::Ready(_) => this.burst_bytes + bytes,
            Poll::Pending => 0,
        };
        if let Some(pace) = &mut this.pace {
            pace.read(&buf.filled()[before..]);
        }
        if let Some(greeting) = &mut this.greeting {
            greeting.bytes_left = greeting.bytes_left.saturating_sub(bytes);
            this.greeting.take_if(|greeting| greeting.bytes_left == 0);
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_gather(cx));
        self.stream.as_mut().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_gather(cx));
        self.stream.as_mut().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.has_gathered = false;
        self.stream.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(cx)
    }
}

/// A connection that was accepted; which runtime it belongs to is decided when it is opened.
pub struct AcceptedConnection(Box<dyn FnOnce() -> io::Result<Connection> + Send>);

impl AcceptedConnection {
    /// What opens the connection, on the runtime that is to serve it.
    pub fn new(open: impl FnOnce() -> io::Result<Connection> + Send + 'static) -> Self {
        Self(Box::new(open))
    }

    /// The connection, on this runtime.
    ///
    /// # Errors
    /// It is broken already.
    pub fn open(self) -> io::Result<Connection> {
        (self.0)()
    }
}

#[cfg(test)]
mod tests;
