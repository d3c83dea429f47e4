//! Every layer against a plain one in `f64`: its outputs, and its gradients against central finite
//! differences of the plain one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod check;
mod custom;
mod images;
mod losses;
mod plain;
mod rows;
mod scale;
mod with_candle;
