//! What SageMaker and Kubeflow tell a container; parsing only, no process is started here.
//!
//! - [`hyperparameters`]: the spellings of values, and which option of ours each name is.
//! - [`resources`]: hosts, the current one, instance groups.
//! - [`channels`]: where the data are and how they come.
//! - [`environment`]: the three files, with `SM_*` variables over them.
//! - [`program`]: a program of the user's instead of a model.
//! - `script_mode`: what such a program is told by variables.
//! - [`tf_config`]: `TF_CONFIG`, as TensorFlow's launchers write it.

pub mod channels;
mod content_type;
pub mod environment;
pub mod hyperparameters;
pub mod program;
pub mod resources;
mod script_mode;
pub mod tf_config;

/// What is wrong with what the container was told, in words for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(pub String);

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
