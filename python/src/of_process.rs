//! What belongs to the process that made it: in a fork of it there are no threads of its runtime.

use ps_runtime::{Connector, Outside, SystemClock};
use pyo3::PyResult;
use pyo3::exceptions::PyRuntimeError;
use std::mem::forget;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Something with the runtime that its calls wait in.
pub(crate) struct OfProcess<T> {
    process: u32,
    /// There until the drop.
    parts: Option<(T, Runtime)>,
}

impl<T> OfProcess<T> {
    /// This, of this process.
    pub(crate) fn new(inner: T, runtime: Runtime) -> Self {
        Self { process: std::process::id(), parts: Some((inner, runtime)) }
    }

    /// It and its runtime.
    ///
    /// # Errors
    /// This process was forked from the one that made it; `words` say what to do instead.
    pub(crate) fn open(&self, words: &str) -> PyResult<(&T, &Runtime)> {
        let parts = self.parts.as_ref().filter(|_| std::process::id() == self.process);
        let (inner, runtime) = parts.ok_or_else(|| {
            PyRuntimeError::new_err(format!(
                "psrun: this process was forked from the one that is a worker of the job, and cannot speak to {words}"
            ))
        })?;
        Ok((inner, runtime))
    }
}

impl<T> Drop for OfProcess<T> {
    /// Who waited in a fork for the runtime's threads would wait for ever.
    fn drop(&mut self) {
        let parts = self.parts.take();
        if std::process::id() != self.process {
            forget(parts);
        } else if let Some((inner, runtime)) = parts {
            drop(inner);
            runtime.shutdown_background();
        }
    }
}

/// A thread beside Python's own.
pub(crate) fn runtime() -> PyResult<Runtime> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    Ok(runtime.worker_threads(1).thread_name("psrun").enable_all().build()?)
}

/// The network and the time of this process.
pub(crate) fn outside() -> Outside {
    Outside {
        connector: Connector::local_first(),
        clock: SystemClock::start(),
        seed: u64::from(std::process::id()),
        metrics: Arc::new(|_| ()),
    }
}
