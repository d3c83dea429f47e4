//! What every TCP connection has, whoever opened it.

use ps_core::limits::UNSENT_BYTES_MAX;
use std::io;
use tokio::net::TcpStream;

/// Prepares a connection for calls.
pub(crate) fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Acknowledgements are small and must not wait for more.
    stream.set_nodelay(true)?;
    bound_unsent(stream);
    Ok(())
}

/// Bounds what waits in the kernel to be sent. It keeps megabytes, and asks for more when a third of them is gone: on a slow link
/// a sender hears of nothing for half a minute, and neither a sign of life nor a call's end gets through.
#[cfg(target_os = "linux")]
fn bound_unsent(stream: &TcpStream) {
    // Where a sandbox's kernel does not know it, connections are as they were.
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX) {
        tracing::debug!("what waits to be sent is not bounded: {error}");
    }
}

#[cfg(not(target_os = "linux"))]
fn bound_unsent(_: &TcpStream) {}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::transport::{Connection, Connector, listen};
    use futures_util::{FutureExt, StreamExt};
    use tokio::io::AsyncWriteExt;

    /// Found by a test that failed now and then: of more than 128 that connected at once, the system forgot some.
    #[tokio::test]
    async fn regression_a_burst_of_connections_waits_to_be_accepted() {
        const BURST: usize = 400;
        let (mut incoming, address) = listen("127.0.0.1:0").await.unwrap();
        let longest = std::time::Duration::from_secs(30);
        for connector in [Connector::tcp(), Connector::local_first()] {
            let connect = (0..BURST).map(|_| connector.connect(address.to_string()));
            let connected =
                tokio::time::timeout(longest, futures_util::future::try_join_all(connect));
            let connected = connected.await.expect("all of them, though nobody accepts").unwrap();
            for _ in 0..BURST {
                incoming.next().await.unwrap().unwrap();
            }
            drop(connected);
        }
    }

    /// What the kernel takes of a connection whose peer does not read.
    async fn taken(connection: &mut Connection) -> usize {
        let (mut taken, mut rests) = (0, 0);
        while rests < 20 {
            match connection.write(&[0; 64 * 1024]).now_or_never() {
                Some(written) => (taken, rests) = (taken + written.unwrap(), 0),
                // The peer's kernel takes what it has room for meanwhile.
                None => {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                    rests += 1;
                }
            }
        }
        taken
    }

    /// On the slow link of the long check it was more than a MiB for each worker, behind which half a minute's bytes, signs of life
    /// and the end of a call waited; 4 MB here.
    #[tokio::test]
    async fn regression_little_waits_in_the_kernel_to_be_sent() {
        let (mut incoming, address) = listen("127.0.0.1:0").await.unwrap();
        let mut connected = Connector::tcp().connect(address.to_string()).await.unwrap();
        let mut accepted = incoming.next().await.unwrap().unwrap().open().unwrap();
        for connection in [&mut connected, &mut accepted] {
            // That, and what the peer receives.
            let taken = taken(connection).await;
            assert!(taken < 1024 * 1024, "{taken} bytes");
        }
    }
}
