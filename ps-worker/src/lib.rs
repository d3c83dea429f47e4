//! A worker: client of the servers, models, data and the training loop.

pub mod client;
pub mod compute;
pub mod train;
