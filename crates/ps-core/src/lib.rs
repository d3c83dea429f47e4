//! The parameter server's logic: pure and synchronous.
//!
//! Nothing here opens a socket or a file, reads a clock, spawns a task or draws from global
//! randomness: time, seeds and bytes come in as arguments, so every rule can be tested alone.

pub mod checkpoint;
pub mod chunk;
pub mod chunk_set;
pub mod correction;
pub mod coverage;
pub mod cut;
pub mod data_description;
pub mod digits;
pub mod fence;
pub mod gate;
pub mod ids;
pub mod journal;
pub mod keeping;
pub mod layout;
pub mod learning;
pub mod limits;
pub mod loss;
pub mod master;
pub mod measures;
pub mod model_config;
pub mod model_file;
pub mod model_spec;
pub mod parameters;
pub mod partition;
pub mod program_samples;
pub mod progress;
pub mod random;
pub mod replayed;
pub mod report;
pub mod safetensors_file;
pub mod sample_order;
pub mod schedule;
pub mod schema;
pub mod scores;
pub mod settings;
pub mod shard;
pub mod span;
pub mod staleness;
pub mod stop;
pub mod task;
pub mod unexpected;
pub mod window;

pub use data_description::{DataDescription, DataKind};
pub use layout::{Layout, TensorKind, TensorSpec};
pub use sample_order::SampleOrder;
pub use task::{Task, TaskChoice};
