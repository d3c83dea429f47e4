//! Training: where the session with the servers and the model meet.

pub mod alone;
mod batch_loop;
mod batches;
mod error;
mod kept;
mod loader;
mod managed;
mod member;
mod prefetcher;
mod sample_client;
mod sample_numbers;
mod sample_server;
mod trainer;
mod workload;

pub use batches::{BatchStream, PassStreams, StreamPass};
pub use error::Error;
pub use loader::DataLoader;
pub use managed::run;
pub use member::WorkerConfig;
pub use sample_server::ServedSamples;
pub use trainer::{Evaluated, Trainer};
pub use workload::{BuildModel, ModelWorkload, Program, ProgramRun, Workload, WorkloadKind};
