//! A worker's side of a job: its session with the servers, its membership with the master, and the
//! pushes and pulls in between, exactly once.
//!
//! Knows no model: weights and gradients are flat vectors in layout order. With a master, a
//! [`Membership`] registers and says where the shards are; without one, [`Session::discover`] asks
//! the servers. Either way a [`Session`] creates the model on the servers, pushes and pulls; a
//! [`Pipeline`] keeps several exchanges under way.

mod chunks;
mod client;
mod clip;
mod config;
mod counters;
mod discover;
mod encoder;
pub mod environment;
mod error;
mod gradient;
mod heartbeat;
mod membership;
mod outstanding;
mod pipeline;
mod plan;
mod pool;
mod report;
mod session;
mod shard;
mod shard_map;
mod weights;

pub use client::{Client, NumberedPush};
pub use config::{ClientConfig, Traffic};
pub use counters::{Counters, Waiting};
pub use environment::WorkerEnvironment;
pub use error::Error;
pub use gradient::Gradient;
pub use heartbeat::HeartbeatConfig;
pub use membership::{JobWatch, Membership, MembershipEnd};
pub use pipeline::{Pipeline, StepOutcome};
pub use pool::BufferPool;
pub use report::PushReport;
pub use session::{CallOptions, Session, SessionConfig};
pub use shard_map::ShardMapWatch;
pub use weights::{Weights, WeightsPool};
