//! Connections in both directions, with their limits in one place.
//!
//! No part of the product binds or connects by itself: it is given an [`Incoming`] and a
//! [`Connector`], so that the simulation runs the same code over a simulated network.

use crate::incoming::{await_many, patient};
use crate::{local, tcp};
use futures_util::{StreamExt, future::BoxFuture};
use hyper_util::rt::TokioIo;
use ps_core::limits;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::transport::{Channel, Endpoint, Server};

pub use crate::connection::{AcceptedConnection, Connection, ConnectionHandle};
pub use crate::incoming::{Connections, Incoming, limited, opened};

/// How long a connection attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A silent peer is asked for a sign of life this often, and dropped when none comes in time.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Binds a TCP address, and the Unix socket of that address for peers on this machine; the address
/// bound is returned, because port 0 means any free one.
///
/// # Errors
/// The address cannot be bound; the message names it.
pub async fn listen(address: &str) -> io::Result<(Incoming, SocketAddr)> {
    let named =
        |error: io::Error| io::Error::new(error.kind(), format!("listening on {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(named)?;
    await_many(&listener).map_err(named)?;
    let address = listener.local_addr().map_err(named)?;
    let tcp = TcpListenerStream::new(listener).map(|accepted| {
        let stream = accepted?;
        tcp::prepare(&stream)?;
        let stream = stream.into_std()?;
        Ok(AcceptedConnection::new(|| Ok(Connection::new(TcpStream::from_std(stream)?))))
    });
    let Some(unix) = local::listen(address) else { return Ok((patient(tcp), address)) };
    let unix = UnixListenerStream::new(unix).map(|accepted| {
        let stream = accepted?;
        local::set_buffers(&stream)?;
        let stream = stream.into_std()?;
        Ok(AcceptedConnection::new(|| Ok(Connection::new(UnixStream::from_std(stream)?))))
    });
    // Each makes its own pauses: both may fail at once.
    Ok((Box::pin(futures_util::stream::select(patient(tcp), patient(unix))), address))
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

    /// The same for small calls, one at a time ([`Connection::gathering`]).
    #[must_use]
    pub fn gathering(&self) -> Self {
        let connect = self.0.clone();
        Self::new(move |address| {
            let connection = connect(address);
            Box::pin(async move { Ok(connection.await?.gathering()) })
        })
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
    tcp::prepare(&stream)?;
    Ok(Connection::new(stream))
}

/// An address that is not `host:port`.
#[derive(Debug, thiserror::Error)]
#[error("address `{0}`: expected HOST:PORT, for example 127.0.0.1:2223")]
pub struct BadAddress(pub String);

/// A gRPC server with our limits, ready for services that take and send much.
pub fn server() -> Server {
    alive_server()
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .max_frame_size(limits::FRAME_BYTES_MAX)
        .max_concurrent_streams(limits::STREAMS_PER_CONNECTION_MAX)
}

/// The same for services whose calls are small: what a connection may make it hold is little.
pub fn server_of_small_calls() -> Server {
    alive_server()
        .initial_stream_window_size(limits::SMALL_CALLS_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::SMALL_CALLS_CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(limits::SMALL_CALLS_STREAMS_PER_CONNECTION_MAX)
}

fn alive_server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
}
