//! Links that are slow for what goes over them: a call may take any time in which something moves, and
//! what a server has already is not sent to it again. In simulated time.

#![allow(clippy::unwrap_used)]

use ps_client::{Client, ClientConfig, Gradient, Weights};
use ps_core::TensorSpec;
use ps_core::ids::WorkerId;
use ps_core::settings::Wire;
use ps_runtime::transport::Connection;
use ps_runtime::{Connector, Lanes, Outside, Shutdown};
use ps_server::config::Bounds;
use ps_tests::loopback::{client_config, config, model_of};
use ps_tests::sim::network;
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};
use turmoil::net::TcpStream;

const SERVER: &str = "server:2223";

const WORKERS: u32 = 4;

/// What all workers send together, in a second.
const LINK_BYTES_PER_S: u64 = 1024 * 1024;

const ELEMENTS: usize = 4 * 1024 * 1024;

const BYTES: u64 = 4 * ELEMENTS as u64;

/// A link that several connections share, in one direction.
#[derive(Clone)]
struct SharedLink(Arc<Mutex<Instant>>);

impl SharedLink {
    /// When so many bytes more will have gone over it.
    fn sent(&self, bytes: usize) -> Instant {
        let mut free = self.0.lock().unwrap();
        let nanos = bytes as u64 * 1_000_000_000 / LINK_BYTES_PER_S;
        *free = (*free).max(Instant::now()) + Duration::from_nanos(nanos);
        *free
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

/// Opens connections over the link; those that are opened first break, each after so many bytes, the last of these first.
fn connector(link: SharedLink, breaks: Vec<usize>) -> Connector {
    let breaks = Arc::new(Mutex::new(breaks));
    Connector::new(move |address| {
        let (link, breaks) = (link.clone(), breaks.clone());
        Box::pin(async move {
            let inner = TcpStream::connect(address).await?;
            let breaks_after = breaks.lock().unwrap().pop().unwrap_or(usize::MAX);
            let busy = Box::pin(tokio::time::sleep(Duration::ZERO));
            Ok(Connection::new(SlowConnection { inner, link, busy, breaks_after }))
        })
    })
}

async fn serve() -> turmoil::Result {
    let (_trigger, shutdown) = Shutdown::new();
    let (incoming, outside) = (network::listen(2223).await?, network::outside(1, |_| ()));
    let (config, address) = (config(0, Bounds::default()), SERVER.into());
    ps_server::serve::run(config, incoming, Lanes::Here, address, outside, shutdown, None).await?;
    Ok(())
}

/// A worker's client, that gives up an attempt after 10 s in which nothing moves, and a server after 15.
fn client(worker: WorkerId, connector: Connector) -> Client {
    let outside = network::outside(2 + u64::from(worker), |_| ());
    let base = client_config(SERVER, 1, Wire::default());
    let (attempt, patience) = (Duration::from_secs(10), Duration::from_secs(15));
    let config = ClientConfig { worker, attempt, patience, ..base };
    Client::new(config, &Outside { connector, ..outside }).unwrap()
}

fn simulation() -> turmoil::Sim<'static> {
    let mut builder = turmoil::Builder::new();
    builder.tcp_capacity(100_000);
    builder.simulation_duration(Duration::from_secs(3600));
    builder.tick_duration(Duration::from_millis(5)).build()
}

/// Every worker's start takes longer than a server may be away, most wait for others', and each push takes
/// minutes: nothing is sent twice.
#[test]
fn what_takes_long_is_sent_once_while_it_moves() {
    let mut sim = simulation();
    sim.host("server", serve);
    let link = SharedLink(Arc::new(Mutex::new(Instant::now())));
    for worker in 0..WORKERS {
        let link = link.clone();
        sim.client(format!("worker-{worker}"), async move {
            let client = client(worker, connector(link, Vec::new()));
            let model = model_of(vec![TensorSpec::trainable("a", [ELEMENTS])]);
            let begun = Instant::now();
            client.init(&model, vec![0.0; ELEMENTS]).await?;
            assert!(begun.elapsed() > Duration::from_secs(15), "{:?}", begun.elapsed());
            let weights = Weights::new(&model);
            let layout = Arc::new(model.layout.clone());
            let gradient = Gradient::new(layout, vec![1.0; ELEMENTS], vec![true], 0.0);
            client.push(&gradient, 1.0, &weights).await?;
            assert!(begun.elapsed() > Duration::from_secs(60), "{:?}", begun.elapsed());
            assert_eq!(client.traffic().retries.load(Ordering::Relaxed), 0);
            let held = client.describe().await?.remove(0).counters.unwrap();
            assert!(held.bytes_received <= (1 + u64::from(WORKERS)) * BYTES);
            Ok(())
        });
    }
    sim.run().unwrap();
}

/// Each attempt goes on where the one before it broke off.
#[test]
fn what_a_server_has_is_not_sent_again() {
    let mut sim = simulation();
    sim.host("server", serve);
    sim.client("worker", async move {
        let link = SharedLink(Arc::new(Mutex::new(Instant::now())));
        // The start goes through; then three connections break within the push.
        let third = BYTES as usize / 3;
        let breaks = vec![third, third / 2, BYTES as usize + third];
        let client = client(0, connector(link, breaks));
        let model = model_of(vec![TensorSpec::trainable("a", [ELEMENTS])]);
        client.init(&model, vec![0.0; ELEMENTS]).await?;
        let mut weights = Weights::new(&model);
        let layout = Arc::new(model.layout.clone());
        let gradient = Gradient::new(layout, vec![1.0; ELEMENTS], vec![true], 0.0);
        client.push(&gradient, 1.0, &weights).await?;
        assert_eq!(client.traffic().retries.load(Ordering::Relaxed), 3);
        let held = client.describe().await?.remove(0).counters.unwrap();
        assert_eq!(held.bytes_received, 2 * BYTES, "sent again what was applied");
        client.read(&mut weights).await?;
        assert!(weights.values().iter().all(|weight| *weight == -1.0));
        Ok(())
    });
    sim.run().unwrap();
}
