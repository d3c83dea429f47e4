//! A worker: models and the training loop.
//!
//! - [`model`]: what is trained; knows no network.
//! - [`train`]: where the model, its data (`ps-data`) and the servers (`ps-client`) meet, through
//!   [`compute`].

pub mod compute;
pub mod config;
mod data;
pub mod device;
pub mod model;
mod model_source;
mod objective_words;
pub mod optimizer;
pub mod place;
pub mod process;
pub mod program;
mod progress_reporter;
pub mod settings;
pub mod streams;
pub mod threads;
pub mod train;
pub mod trained_model;

pub use process::main_with;
// In the version that models are made of: a program with another would have other tensors.
pub use {candle_core, candle_nn};
