//! A simulated host that moves to another address: nothing that was connected to the old one comes through.

use futures_util::stream;
use ps_runtime::Incoming;
use ps_runtime::transport::{AcceptedConnection, Connection};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use turmoil::net::{TcpListener, TcpStream};

/// Listens on the port of the simulated host's address, and when that changes on the new one instead.
///
/// # Errors
/// The port is taken.
pub async fn listen(mut address: watch::Receiver<String>) -> io::Result<Incoming> {
    let listener = bind(&mut address).await?;
    let has_moved = Arc::new(AtomicBool::new(false));
    let host = Host { listener, address, has_moved };
    Ok(Box::pin(stream::unfold(host, |mut host| async {
        let accepted = host.accept().await;
        Some((accepted, host))
    })))
}

struct Host {
    listener: TcpListener,
    address: watch::Receiver<String>,
    has_moved: Arc<AtomicBool>,
}

impl Host {
    async fn accept(&mut self) -> io::Result<AcceptedConnection> {
        loop {
            tokio::select! {
                biased;
                Ok(()) = self.address.changed() => {
                    self.listener = bind(&mut self.address).await?;
                    std::mem::take(&mut self.has_moved).store(true, Ordering::Relaxed);
                }
                accepted = self.listener.accept() => {
                    let (inner, has_moved) = (accepted?.0, self.has_moved.clone());
                    let open = || Ok(Connection::new(FixedConnection { inner, has_moved }));
                    return Ok(AcceptedConnection::new(open));
                }
            }
        }
    }
}

async fn bind(address: &mut watch::Receiver<String>) -> io::Result<TcpListener> {
    let port = address.borrow_and_update().rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    TcpListener::bind(("0.0.0.0", port.unwrap_or(0_u16))).await
}

/// A connection to an address: once the host has moved, nothing is heard on it, and nothing said on it is
/// heard.
struct FixedConnection {
    inner: TcpStream,
    has_moved: Arc<AtomicBool>,
}

impl FixedConnection {
    fn has_moved(&self) -> bool {
        self.has_moved.load(Ordering::Relaxed)
    }
}

impl AsyncRead for FixedConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.has_moved() {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for FixedConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.has_moved() {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
