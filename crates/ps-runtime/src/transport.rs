//! Connections in both directions, with their limits in one place.
//!
//! No part of the product binds or connects by itself: it is given an [`Incoming`] and a
//! [`Connector`], so that the simulation runs the same code over a simulated network.

use crate::local;
use futures_util::task::AtomicWaker;
use futures_util::{Stream, StreamExt, future::BoxFuture};
use hyper_util::rt::TokioIo;
use ps_core::limits;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::transport::server::Connected;
use tonic::transport::{Channel, Endpoint, Server};

/// How long a connection attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A silent peer is asked for a sign of life this often, and dropped when none comes in time.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// A byte stream of any origin.
pub struct Connection {
    stream: Pin<Box<dyn ByteStream>>,
    hangup: Hangup,
    /// Read since the connection last let others go first.
    burst_bytes: usize,
    /// Its place among those that a listener may have.
    _place: Option<OwnedSemaphorePermit>,
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
        Self { stream: Box::pin(stream), hangup: Hangup::default(), burst_bytes: 0, _place: None }
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
        self.stream.as_mut().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream.as_mut().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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

/// Accepted connections, one by one.
pub type Incoming = Pin<Box<dyn Stream<Item = io::Result<AcceptedConnection>> + Send>>;

/// At most so many connections at once; more are closed as soon as they are accepted.
pub fn limited(incoming: Incoming, connections_max: usize) -> Incoming {
    let places = Arc::new(Semaphore::new(connections_max));
    Box::pin(incoming.filter_map(move |accepted| {
        let place = places.clone().try_acquire_owned();
        std::future::ready(match (accepted, place) {
            (Ok(accepted), Ok(place)) => Some(Ok(AcceptedConnection::new(move || {
                Ok(Connection { _place: Some(place), ..accepted.open()? })
            }))),
            (Err(error), _) => Some(Err(error)),
            (Ok(_), Err(_)) => {
                tracing::warn!(
                    "a connection is refused: there are {connections_max} already; see --connections"
                );
                None
            }
        })
    }))
}

/// Connections to be served by this runtime.
pub type Connections = Pin<Box<dyn Stream<Item = io::Result<Connection>> + Send>>;

/// Opens accepted connections on this runtime.
pub fn opened(incoming: Incoming) -> Connections {
    Box::pin(incoming.map(|accepted| accepted?.open()))
}

/// Binds a TCP address, and the Unix socket of that address for peers on this machine; the address
/// bound is returned, because port 0 means any free one.
///
/// # Errors
/// The address cannot be bound; the message names it.
pub async fn listen(address: &str) -> io::Result<(Incoming, SocketAddr)> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("listening on {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(named)?;
    let address = listener.local_addr().map_err(named)?;
    let tcp = TcpListenerStream::new(listener).map(|accepted| {
        let stream = accepted?.into_std()?;
        // Acknowledgements are small and must not wait for more.
        stream.set_nodelay(true)?;
        Ok(AcceptedConnection::new(|| Ok(Connection::new(TcpStream::from_std(stream)?))))
    });
    let Some(unix) = local::listen(address) else { return Ok((Box::pin(tcp), address)) };
    let unix = UnixListenerStream::new(unix).map(|accepted| {
        let stream = accepted?;
        local::set_buffers(&stream)?;
        let stream = stream.into_std()?;
        Ok(AcceptedConnection::new(|| Ok(Connection::new(UnixStream::from_std(stream)?))))
    });
    Ok((Box::pin(futures_util::stream::select(tcp, unix)), address))
}

/// Opens connections to `host:port`.
#[derive(Clone)]
pub struct Connector(
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Connection>> + Send + Sync>,
);

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl Connector {
    /// A connector that calls this function with `host:port`.
    pub fn new(
        connect: impl Fn(String) -> BoxFuture<'static, io::Result<Connection>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(connect))
    }

    /// A Unix socket where the peer is on this machine and has one, else TCP.
    pub fn local_first() -> Self {
        Self::new(|address| {
            Box::pin(async move {
                match local::connect(&address).await {
                    Some(stream) => Ok(Connection::new(stream)),
                    None => connect_tcp(address).await,
                }
            })
        })
    }

    /// Plain TCP.
    pub fn tcp() -> Self {
        Self::new(|address| Box::pin(connect_tcp(address)))
    }

    /// Opens one connection to `host:port`.
    ///
    /// # Errors
    /// Nobody is reached there.
    pub async fn connect(&self, address: String) -> io::Result<Connection> {
        (self.0)(address).await
    }

    /// A channel to `host:port` that connects when it is first used, and again when it broke.
    ///
    /// # Errors
    /// The address is not `host:port`.
    pub fn channel(&self, address: &str) -> Result<Channel, BadAddress> {
        let bad = || BadAddress(address.to_owned());
        let (host, port) = address.rsplit_once(':').ok_or_else(bad)?;
        port.parse::<u16>().map_err(|_| bad())?;
        if host.is_empty() {
            return Err(bad());
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|_| bad())?;
        let connect = self.0.clone();
        let address = address.to_owned();
        let connector = tower::service_fn(move |_: http::Uri| {
            let connection = connect(address.clone());
            async move { connection.await.map(TokioIo::new) }
        });
        Ok(endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
            .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
            // What a peer may send at once is the receiver's word: pulls need it as pushes do.
            .max_frame_size(limits::FRAME_BYTES_MAX)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .connect_with_connector_lazy(connector))
    }
}

async fn connect_tcp(address: String) -> io::Result<Connection> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(Connection::new(stream))
}

/// An address that is not `host:port`.
#[derive(Debug, thiserror::Error)]
#[error("address `{0}`: expected HOST:PORT, for example 127.0.0.1:2223")]
pub struct BadAddress(pub String);

/// A gRPC server with our limits, ready for services.
pub fn server() -> Server {
    Server::builder()
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .max_frame_size(limits::FRAME_BYTES_MAX)
        .max_concurrent_streams(limits::STREAMS_PER_CONNECTION_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
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
