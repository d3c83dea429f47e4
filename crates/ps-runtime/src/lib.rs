//! What a process gets from outside: connections, clock, shutdown, configuration, logging.
//!
//! `run` functions of the three roles take these as arguments; only `main` functions and tests make
//! them. See docs/adr/0001-runtime-crate.md for why this is a crate of its own.

pub mod advertise;
pub mod backoff;
mod blocking;
pub mod bulk;
pub mod clock;
pub mod columns;
mod connection;
pub mod descriptors;
pub mod files;
pub mod health;
mod incoming;
pub mod lanes;
pub mod link;
mod local;
pub mod member;
mod pace;
pub mod program;
pub mod progress;
pub mod pull;
mod repeated;
pub mod requests;
pub mod shutdown;
mod tcp;
pub mod transport;

pub use blocking::{blocking, in_background};
pub use clock::{Clock, SystemClock, TimeSource};
pub use lanes::Lanes;
pub use repeated::Repeated;
pub use shutdown::{Shutdown, Signal};
pub use transport::{Connector, Incoming};

/// What a role needs beside its configuration and its listener.
#[derive(Clone)]
pub struct Outside {
    /// Opens connections.
    pub connector: Connector,
    /// Tells the time.
    pub clock: Clock,
    /// Seeds what need not be reproduced in production: tokens and jitter.
    pub seed: u64,
    /// Where metric lines for machines go (stdout in production).
    pub metrics: MetricSink,
}

/// Takes metric lines, `name=value;` pairs.
pub type MetricSink = std::sync::Arc<dyn Fn(&str) + Send + Sync>;
