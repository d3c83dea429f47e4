//! What programs have beside their work: options, configuration, logging, signals, exit codes.

mod choice;
mod config_file;
pub mod process;
pub mod training_args;

pub use choice::choice;
pub use training_args::TrainingArgs;
