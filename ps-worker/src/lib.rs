//! A worker: client of the servers, models, data and the training loop.
//!
//! - [`client`]: push and pull; knows no candle.
//! - [`model`] and [`data`]: what is trained on what; know no network.
//! - [`train`]: where the two meet, through [`compute`].

pub mod compute;
pub mod config;
pub mod device;
mod made;
pub mod model;
pub mod optimizer;
pub mod pipe;
pub mod process;
pub mod program;
mod show;
pub mod threads;
pub mod train;

pub use process::main_with;
