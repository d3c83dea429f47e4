//! Unix domain sockets beside TCP, for peers on the same machine.
//!
//! Every listener of a TCP address also listens on a Unix socket that is named after it, and whoever
//! connects to an address of its own machine tries that name first. Nothing has to be configured, no
//! file is left behind (the names are Linux's abstract ones, which go with the process and belong to
//! one network namespace, as ports do), and where there is no such socket TCP is used.

use crate::incoming::await_many;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use tokio::net::{UnixListener, UnixStream};

/// Room in each direction: with the default a sender is woken for every few pages.
const BUFFER_BYTES: usize = 4 << 20;

/// The name of the socket that stands for a TCP address. The leading zero makes it abstract.
fn name(address: SocketAddr) -> String {
    format!("\0psrun/{address}")
}

/// Listens beside TCP; `None` where the system has no such sockets or the name is taken.
pub(crate) fn listen(address: SocketAddr) -> Option<UnixListener> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    UnixListener::bind(name(address))
        .and_then(|listener| await_many(&listener).map(|()| listener))
        .inspect_err(|error| tracing::debug!("no Unix socket beside {address}: {error}"))
        .ok()
}

/// A connection to whoever listens at an address of this machine, if it is one of ours.
pub(crate) async fn connect(address: &str) -> Option<UnixStream> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    for address in tokio::net::lookup_host(address).await.ok()? {
        if !is_own(address.ip()) {
            continue;
        }
        for ip in [address.ip(), Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()] {
            if let Ok(stream) = open(SocketAddr::new(ip, address.port())).await {
                return Some(stream);
            }
        }
    }
    None
}

async fn open(address: SocketAddr) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(name(address)).await?;
    // A name can be taken by anybody on the machine; a port of another user's looks different.
    if stream.peer_cred()?.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    set_buffers(&stream)?;
    Ok(stream)
}

/// Gives a connection its room; the system may give less.
pub(crate) fn set_buffers(stream: &UnixStream) -> io::Result<()> {
    let socket = socket2::SockRef::from(stream);
    socket.set_send_buffer_size(BUFFER_BYTES)?;
    socket.set_recv_buffer_size(BUFFER_BYTES)
}

/// Whether the address is one of this machine's: only those can be bound.
fn is_own(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{self, Connector};
    use futures_util::StreamExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_listener_is_found_by_its_address_however_it_is_named() {
        let (_incoming, local) = transport::listen("127.0.0.1:0").await.unwrap();
        assert!(connect(&local.to_string()).await.is_some());
        assert!(connect(&format!("localhost:{}", local.port())).await.is_some());
        let (_incoming, everywhere) = transport::listen("0.0.0.0:0").await.unwrap();
        assert!(connect(&format!("127.0.0.1:{}", everywhere.port())).await.is_some());
    }

    #[tokio::test]
    async fn other_ports_and_other_machines_are_not_taken_for_it() {
        let (incoming, local) = transport::listen("127.0.0.1:0").await.unwrap();
        assert!(connect(&format!("127.0.0.2:{}", local.port())).await.is_none());
        // A documentation address: nobody's, so not ours.
        assert!(connect(&format!("192.0.2.1:{}", local.port())).await.is_none());
        drop(incoming);
        assert!(connect(&local.to_string()).await.is_none());
    }

    #[tokio::test]
    async fn bytes_go_both_ways_and_without_a_socket_tcp_is_used() {
        let bare = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = bare.local_addr().unwrap().to_string();
        let accepted = tokio::spawn(async move { bare.accept().await.unwrap().0 });
        let mut connection = Connector::local_first().connect(address).await.unwrap();
        connection.write_all(b"tcp").await.unwrap();
        let mut read = [0; 3];
        accepted.await.unwrap().read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"tcp");

        let (mut incoming, local) = transport::listen("127.0.0.1:0").await.unwrap();
        let mut connection = Connector::local_first().connect(local.to_string()).await.unwrap();
        let mut accepted = incoming.next().await.unwrap().unwrap().open().unwrap();
        connection.write_all(b"uds").await.unwrap();
        accepted.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"uds");
        accepted.write_all(b"too").await.unwrap();
        connection.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"too");
    }
}
