//! Waiting with Python's lock released: other threads of Python go on, and Ctrl-C is heard.

use pyo3::{PyErr, PyResult, Python};
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long Ctrl-C may go unheard.
const SIGNALS_EVERY: Duration = Duration::from_millis(100);

/// Waits for it without Python's lock. When a signal's handler raises, as that of Ctrl-C does, it is dropped and the
/// exception returned.
pub(crate) fn block_on<T: Send>(
    py: Python<'_>,
    runtime: &Runtime,
    work: impl Future<Output = T> + Send,
) -> PyResult<T> {
    py.detach(|| {
        runtime.block_on(async {
            let mut work = std::pin::pin!(work);
            loop {
                tokio::select! {
                    biased;
                    done = &mut work => return Ok(done),
                    () = tokio::time::sleep(SIGNALS_EVERY) => heard()?,
                }
            }
        })
    })
}

/// Runs the handlers of signals that came; only Python's main thread does.
fn heard() -> Result<(), PyErr> {
    Python::attach(|py| py.check_signals())
}
