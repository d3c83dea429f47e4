//! What goes wrong, as exceptions with the same sentences.

use pyo3::exceptions::{PyConnectionError, PyRuntimeError, PyValueError};
use pyo3::{PyErr, create_exception};

create_exception!(
    psrun,
    Refused,
    PyValueError,
    "What was asked does not fit what the servers hold, however often it is asked."
);
create_exception!(
    psrun,
    Superseded,
    PyRuntimeError,
    "Another process took this worker's place, or the job no longer counts on it."
);
create_exception!(psrun, ServerLost, PyConnectionError, "A server was away for too long.");

/// The exception of an error of the client.
pub(crate) fn raised(error: ps_client::Error) -> PyErr {
    let words = error.to_string();
    match error {
        ps_client::Error::Address(_) => PyValueError::new_err(words),
        ps_client::Error::Refused { .. } => Refused::new_err(words),
        ps_client::Error::Superseded { .. } => Superseded::new_err(words),
        ps_client::Error::Server { .. } => ServerLost::new_err(words),
    }
}
