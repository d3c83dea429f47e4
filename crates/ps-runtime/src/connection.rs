//! A connection, as the protocol above it sees it.

use crate::pace::{BYTES_AT_ONCE_MAX, Pace};
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

/// Reads at most so many bytes.
fn poll_read_few<S: AsyncRead + Unpin + ?Sized>(
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
mod tests {
    use super::*;
    use std::task::Waker;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_connection_that_is_hung_up_ends_whoever_reads_it() {
        let (stream, _peer) = tokio::io::duplex(64);
        let mut connection = Connection::new(stream);
        let handle = connection.connect_info();
        let reading = tokio::spawn(async move { connection.read_u8().await });
        tokio::task::yield_now().await;
        handle.hang_up();
        let error = reading.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }

    /// Silent connections kept their places: as many as a server may have locked everybody else out.
    #[tokio::test(start_paused = true)]
    async fn regression_a_connection_that_says_nothing_or_little_ends() {
        for said in [0, 1, GREETING_BYTES - 1] {
            let (stream, mut peer) = tokio::io::duplex(64);
            let mut connection = Connection::new(stream).greeted(Repeated::default());
            let start = tokio::time::Instant::now();
            let talking = tokio::spawn(async move {
                for _ in 0..said {
                    tokio::time::sleep(GREETING_WAIT / 64).await;
                    peer.write_u8(1).await.unwrap();
                }
                std::future::pending::<()>().await;
            });
            let error = connection.read_exact(&mut [0; 64]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{said} bytes");
            let waited = start.elapsed();
            assert!(waited >= GREETING_WAIT && waited < 2 * GREETING_WAIT, "{waited:?}");
            talking.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_has_greeted_may_be_idle() {
        let (stream, mut peer) = tokio::io::duplex(64);
        let mut connection = Connection::new(stream).greeted(Repeated::default());
        peer.write_all(&[1; GREETING_BYTES]).await.unwrap();
        connection.read_exact(&mut [0; GREETING_BYTES]).await.unwrap();
        let idle = tokio::time::timeout(100 * GREETING_WAIT, connection.read_u8()).await;
        assert!(idle.is_err(), "{idle:?}");
    }

    #[test]
    fn what_is_remembered_is_the_connections_own() {
        let handle = ConnectionHandle::default();
        let same = handle.clone();
        assert_eq!((handle.remembered(|| 1), same.remembered(|| 2)), (1, 1));
        assert_eq!(ConnectionHandle::default().remembered(|| 2), 2);
    }

    #[tokio::test]
    async fn what_others_add_in_their_turn_is_written_with_what_was_there() {
        let (stream, _peer) = tokio::io::duplex(64);
        let mut connection = Connection::new(stream).gathering();
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..2 {
            let mut write = |bytes: &[u8]| Pin::new(&mut connection).poll_write(&mut cx, bytes);
            assert!(write(b"head").is_pending());
            assert!(write(b"head and body").is_ready());
            assert!(write(b"more").is_ready(), "one turn for each flush");
            assert!(Pin::new(&mut connection).poll_flush(&mut cx).is_ready());
        }
    }

    #[test]
    fn a_connection_that_always_has_bytes_lets_others_go_first() {
        let mut connection =
            Connection::new(tokio::io::join(tokio::io::repeat(1), tokio::io::sink()));
        let mut cx = Context::from_waker(Waker::noop());
        let mut room = vec![0; 64 * 1024];
        let mut bursts = Vec::new();
        for _ in 0..3 {
            let mut bytes = 0;
            loop {
                let mut buf = ReadBuf::new(&mut room);
                match Pin::new(&mut connection).poll_read(&mut cx, &mut buf) {
                    Poll::Ready(read) => read.unwrap(),
                    Poll::Pending => break,
                }
                bytes += buf.filled().len();
            }
            bursts.push(bytes);
        }
        assert_eq!(bursts, [limits::READ_BURST_BYTES_MAX; 3]);
    }
}
