//! Threads that serve a listener's connections, each with an event loop of its own.
//!
//! A connection's bytes are read, decoded and applied by one thread: handing every frame to another
//! one costs a wake-up each, which is a third of the throughput and most of a small call's time
//! (docs/adr/0010-connections.md).

use crate::transport::{AcceptedConnection, Connections, Incoming, opened};
use futures_util::StreamExt;
use std::io;
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

/// Where connections are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lanes {
    /// On the runtime that serves them: for a simulation, which has one.
    Here,
    /// On so many threads of their own, in turn.
    Threads(usize),
}

impl Lanes {
    /// One thread for each core.
    pub fn per_core() -> Self {
        Self::Threads(std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// The runtime for what would hold up a lane, if lanes are not the runtime itself.
    pub fn home(self) -> Option<Handle> {
        match self {
            Self::Here => None,
            Self::Threads(_) => Handle::try_current().ok(),
        }
    }

    /// Has every connection served by one of these services, made for each lane; ends when the
    /// listener does, and the connections end when this is dropped.
    ///
    /// # Errors
    /// A thread cannot be started, or a service failed.
    pub async fn serve<F, S>(self, mut incoming: Incoming, service: F) -> io::Result<()>
    where
        F: Fn(Connections) -> S + Clone + Send + 'static,
        S: Future<Output = Result<(), tonic::transport::Error>>,
    {
        let Self::Threads(count) = self else {
            return service(opened(incoming)).await.map_err(io::Error::other);
        };
        let lanes: io::Result<Vec<_>> =
            (0..count.max(1)).map(|lane| start(lane, &service)).collect();
        let lanes = lanes?;
        for lane in lanes.iter().cycle() {
            let Some(accepted) = incoming.next().await else { break };
            // A lane is gone when its service failed, and then says why.
            let _ = lane.send(accepted);
        }
        Ok(())
    }
}

type Lane = mpsc::UnboundedSender<io::Result<AcceptedConnection>>;

fn start<F, S>(lane: usize, service: &F) -> io::Result<Lane>
where
    F: Fn(Connections) -> S + Clone + Send + 'static,
    S: Future<Output = Result<(), tonic::transport::Error>>,
{
    let (sender, accepted) = mpsc::unbounded_channel();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let service = service.clone();
    std::thread::Builder::new().name(format!("lane-{lane}")).spawn(move || {
        let accepted: Incoming = Box::pin(UnboundedReceiverStream::new(accepted));
        // Whoever accepts connections is gone: so are the connections, with the runtime.
        let served = runtime.block_on(service(opened(accepted)));
        if let Err(error) = served {
            tracing::error!("serving connections: {error}");
        }
    })?;
    Ok(sender)
}
