//! A worker: client of the servers, models, data and the training loop.

pub mod compute;
pub mod data;
pub mod device;
pub mod model;
pub mod threads;
