//! The simulated network and clock, in the form that the product takes them.

use futures_util::stream;
use ps_runtime::transport::{AcceptedConnection, Connection};
use ps_runtime::{Clock, Connector, Incoming, Outside, TimeSource};
use std::sync::Arc;
use std::time::Duration;
use turmoil::net::{TcpListener, TcpStream};

/// Listens on this port of the simulated host.
///
/// # Errors
/// The port is taken.
pub async fn listen(port: u16) -> std::io::Result<Incoming> {
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    Ok(Box::pin(stream::unfold(listener, |listener| async {
        let accepted = listener.accept().await;
        let accepted =
            accepted.map(|(stream, _)| AcceptedConnection::new(|| Ok(Connection::new(stream))));
        Some((accepted, listener))
    })))
}

/// Connects over the simulated network.
pub fn connector() -> Connector {
    Connector::new(|address| {
        Box::pin(async move { TcpStream::connect(address).await.map(Connection::new) })
    })
}

/// Virtual time; the same on every host, and going on while a host is down.
#[derive(Debug)]
struct SimClock;

impl TimeSource for SimClock {
    fn now(&self) -> Duration {
        turmoil::sim_elapsed().unwrap_or_default()
    }

    fn unix_ms(&self) -> u64 {
        let elapsed = turmoil::sim_elapsed().unwrap_or_default();
        1_700_000_000_000 + u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Virtual time of a machine that does not know the date.
#[derive(Debug)]
struct Undated;

impl TimeSource for Undated {
    fn now(&self) -> Duration {
        SimClock.now()
    }

    fn unix_ms(&self) -> u64 {
        1
    }
}

/// What a simulated process gets from outside, on a machine that does not know the date.
pub fn outside_undated(seed: u64, metrics: impl Fn(&str) + Send + Sync + 'static) -> Outside {
    Outside { clock: Arc::new(Undated), ..outside(seed, metrics) }
}

/// What a simulated process gets from outside.
pub fn outside(seed: u64, metrics: impl Fn(&str) + Send + Sync + 'static) -> Outside {
    let clock: Clock = Arc::new(SimClock);
    Outside { connector: connector(), clock, seed, metrics: Arc::new(metrics) }
}
