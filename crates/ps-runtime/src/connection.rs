//! A connection, as the protocol above it sees it.

use futures_util::task::AtomicWaker;
use ps_core::limits;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tonic::transport::server::Connected;

/// A byte stream of any origin.
pub struct Connection {
    stream: Pin<Box<dyn ByteStream>>,
    hangup: Hangup,
    /// Read since the connection last let others go first.
    burst_bytes: usize,
    /// Whether others go first before anything is written.
    gathers: bool,
    /// Whether they did, since the last flush.
    has_gathered: bool,
    /// Its share of those that a listener may have.
    _permit: Option<OwnedSemaphorePermit>,
}

/// Cuts a connection from outside, with all calls on it.
#[derive(Clone, Debug, Default)]
pub struct Hangup(Arc<(AtomicBool, AtomicWaker)>);

impl Hangup {
    /// Cuts it.
    pub fn hang_up(&self) {
        self.0.0.store(true, Ordering::Release);
        self.0.1.wake();
    }

    fn check(&self, cx: &Context<'_>) -> io::Result<()> {
        self.0.1.register(cx.waker());
        match self.0.0.load(Ordering::Acquire) {
            true => Err(io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }
}

trait ByteStream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> ByteStream for T {}

impl Connection {
    /// Wraps a byte stream.
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        Self {
            stream: Box::pin(stream),
            hangup: Hangup::default(),
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

    /// Counts as one of those that a listener may have, as long as it is open.
    pub(crate) fn with_permit(self, permit: OwnedSemaphorePermit) -> Self {
        Self { _permit: Some(permit), ..self }
    }
}

impl Connected for Connection {
    type ConnectInfo = Hangup;

    fn connect_info(&self) -> Hangup {
        self.hangup.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.hangup.check(cx)?;
        if this.burst_bytes >= limits::READ_BURST_BYTES_MAX {
            this.burst_bytes = 0;
            std::thread::yield_now();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = this.stream.as_mut().poll_read(cx, buf);
        this.burst_bytes = match read {
            Poll::Ready(_) => this.burst_bytes + (buf.filled().len() - before),
            Poll::Pending => 0,
        };
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
mod tests {
    use super::*;
    use std::task::Waker;
    use tokio::io::AsyncReadExt;

    #[tokio::test]
    async fn a_connection_that_is_hung_up_ends_whoever_reads_it() {
        let (stream, _peer) = tokio::io::duplex(64);
        let mut connection = Connection::new(stream);
        let hangup = connection.connect_info();
        let reading = tokio::spawn(async move { connection.read_u8().await });
        tokio::task::yield_now().await;
        hangup.hang_up();
        let error = reading.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
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
