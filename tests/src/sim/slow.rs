//! Simulated links that are slow for what goes over them.

use super::lock::lock;
use ps_runtime::Connector;
use ps_runtime::transport::Connection;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use turmoil::net::TcpStream;

/// A link that several connections share, in one direction.
#[derive(Clone)]
pub struct SharedLink {
    bytes_per_s: u64,
    /// Until when it is busy.
    busy: Arc<Mutex<Instant>>,
}

impl SharedLink {
    /// A link that is not busy.
    pub fn new(bytes_per_s: u64) -> Self {
        Self { bytes_per_s, busy: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Opens connections over it; those that are opened first break, each after so many bytes, the last of these first.
    pub fn connector(self, breaks: Vec<usize>) -> Connector {
        let breaks = Arc::new(Mutex::new(breaks));
        Connector::new(move |address| {
            let (link, breaks) = (self.clone(), breaks.clone());
            Box::pin(async move {
                let inner = TcpStream::connect(address).await?;
                let breaks_after = lock(&breaks).pop().unwrap_or(usize::MAX);
                let busy = Box::pin(tokio::time::sleep(Duration::ZERO));
                Ok(Connection::new(SlowConnection { inner, link, busy, breaks_after }))
            })
        })
    }

    /// When so many bytes more will have gone over it.
    fn sent(&self, bytes: usize) -> Instant {
        let mut busy = lock(&self.busy);
        let nanos = bytes as u64 * 1_000_000_000 / self.bytes_per_s;
        *busy = (*busy).max(Instant::now()) + Duration::from_nanos(nanos);
        *busy
    }
}

/// A connection over it, that breaks when so many bytes were sent.
struct SlowConnection {
    inner: TcpStream,
    link: SharedLink,
    busy: Pin<Box<Sleep>>,
    breaks_after: usize,
}

impl AsyncRead for SlowConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for SlowConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.busy.as_mut().poll(cx));
        if self.breaks_after == 0 {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        let most = buf.len().min(16 * 1024).min(self.breaks_after);
        let sent = ready!(Pin::new(&mut self.inner).poll_write(cx, &buf[..most]))?;
        let until = self.link.sent(sent);
        self.busy.as_mut().reset(until);
        self.breaks_after -= sent;
        Poll::Ready(Ok(sent))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
