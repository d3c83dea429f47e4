//! What one host of several does: `psrun train`.
//!
//! - [`options`]: its options, which are hyperparameters, too.
//! - [`layout`]: from the hosts to what this one does; pure.
//! - `hyperparameters`: which of them are options of ours.
//! - [`plan`]: from the layout to processes with their arguments; pure.
//! - [`address`]: a host and a port as one word.
//! - [`names`]: waits until the other hosts can be reached.
//! - [`failure_file`]: where the launcher looks for why the job failed.
//! - [`setting`]: SageMaker's or TensorFlow's way of saying all this.
//! - `code`: the user's code, where a launcher left it in S3.
//! - `requirements`: what that code needs, installed.
//! - [`train`]: everything together.

pub mod address;
mod code;
pub mod failure_file;
mod hyperparameters;
pub mod layout;
pub mod names;
pub mod options;
pub mod plan;
mod requirements;
pub mod setting;
pub mod train;
