//! The native half of the Python package `psrun`: what of a worker's side of the servers Python cannot do at full speed.
//!
//! Tensors are named and lie in one flat vector, as everywhere (`ps_core::Layout`); Python passes them as addresses
//! (see `memory`). What users call is in `python/psrun`.

mod blocking;
mod errors;
mod exchanges;
mod memory;
mod of_process;
mod samples;
mod session;
mod settings;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::errors::{Refused, ServerLost, Superseded};
    #[pymodule_export]
    use super::samples::{Master, sample_order};
    #[pymodule_export]
    use super::session::Session;
    #[pymodule_export]
    use super::settings::training_settings;
    use super::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
