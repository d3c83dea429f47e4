//! Samples that the master leases to this worker's program, and what it measured.

use crate::blocking::block_on;
use crate::session::Session;
use ps_core::SampleOrder;
use ps_core::keeping::Kept;
use ps_core::master::SamplesAnswer;
use ps_runtime::member::Error;
use ps_runtime::program::{ProgramIdentity, ProgramLink, SamplesWish};
use ps_runtime::{Connector, Outside, SystemClock};
use pyo3::exceptions::{PyConnectionError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

/// The order of one set of samples, which every worker has.
const SOURCE: u32 = 0;

/// What there is of a pass: `lease`, `wait`, `over` or `ended`; the lease's number, its pass and its places.
type Offer = (&'static str, u64, u64, (u64, u64));

/// A program's line to the master of its job.
#[pyclass(frozen, module = "psrun._native")]
pub(crate) struct Master {
    process: u32,
    /// There until the drop.
    parts: Option<(Mutex<ProgramLink>, Runtime)>,
    /// What is to be said of the weights that were measured last, where the job keeps the best and they are.
    wanted: std::sync::Mutex<Option<Kept>>,
}

#[pymethods]
impl Master {
    #[new]
    #[pyo3(signature = (*, address, job, worker, incarnation))]
    fn new(address: &str, job: String, worker: u32, incarnation: u64) -> PyResult<Self> {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_name("psrun").enable_all().build()?;
        let process = std::process::id();
        let outside = Outside {
            connector: Connector::local_first(),
            clock: SystemClock::start(),
            seed: u64::from(process),
            metrics: Arc::new(|_| ()),
        };
        // A worker has one program at a time, and its incarnations have different numbers.
        let identity = ProgramIdentity { job, worker, incarnation, process: process.into() };
        let _entered = runtime.enter();
        let link = ProgramLink::new(&outside, address, identity).map_err(raised)?;
        drop(_entered);
        let wanted = std::sync::Mutex::default();
        Ok(Self { process, parts: Some((Mutex::new(link), runtime)), wanted })
    }

    /// Says which leases were trained, and asks for another one; `waits`: until there is one, or the pass is over.
    #[pyo3(signature = (*, samples, batch, number, finished, gives_back, wants_lease, waits))]
    #[allow(clippy::too_many_arguments, reason = "named ones, in Python")]
    fn next_samples(
        &self,
        py: Python<'_>,
        samples: u64,
        batch: u64,
        number: u64,
        finished: Vec<u64>,
        gives_back: bool,
        wants_lease: bool,
        waits: bool,
    ) -> PyResult<Offer> {
        let (link, runtime) = self.open()?;
        let pass = number;
        let mut wish = SamplesWish { samples, batch, pass, finished, gives_back, wants_lease };
        block_on(py, runtime, async {
            let mut link = link.lock().await;
            loop {
                match link.next_samples(wish.clone()).await.map_err(raised)? {
                    SamplesAnswer::Lease { lease, pass, start, end } => {
                        return Ok(("lease", lease, pass, (start, end)));
                    }
                    SamplesAnswer::Over => return Ok(("over", 0, 0, (0, 0))),
                    SamplesAnswer::Ended => return Ok(("ended", 0, 0, (0, 0))),
                    SamplesAnswer::Wait(_) if !waits => return Ok(("wait", 0, 0, (0, 0))),
                    SamplesAnswer::Wait(wait) => tokio::time::sleep(wait).await,
                }
                // They are taken.
                (wish.finished, wish.gives_back) = (Vec::new(), false);
            }
        })?
    }

    /// Says what was measured; whether it is the best so far, whether the job ends, and whether the weights are wanted.
    #[pyo3(signature = (*, measures, number, on_validation))]
    fn report(
        &self,
        py: Python<'_>,
        measures: BTreeMap<String, f64>,
        number: Option<u64>,
        on_validation: bool,
    ) -> PyResult<(bool, bool, bool)> {
        let (link, runtime) = self.open()?;
        let answer = block_on(py, runtime, async {
            link.lock().await.report_measures(measures, number, on_validation).await.map_err(raised)
        })??;
        let is_wanted = answer.keep.is_some();
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner) = answer.keep;
        Ok((answer.is_best, answer.is_ended, is_wanted))
    }

    /// Sends the weights of a session, which were measured and are wanted; whether they are the best so far, and whether the job
    /// ends.
    fn keep(&self, py: Python<'_>, session: &Session) -> PyResult<(bool, bool)> {
        let (link, runtime) = self.open()?;
        let kept = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).take();
        let kept = kept.ok_or_else(|| PyRuntimeError::new_err("psrun: no weights are wanted"))?;
        let file = session.kept_file(kept)?;
        let answer = block_on(py, runtime, async {
            link.lock().await.keep_weights(&file).await.map_err(raised)
        })??;
        Ok((answer.is_best, answer.is_ended))
    }
}

impl Master {
    fn open(&self) -> PyResult<(&Mutex<ProgramLink>, &Runtime)> {
        let parts = self.parts.as_ref().filter(|_| std::process::id() == self.process);
        let (link, runtime) = parts.ok_or_else(|| {
            PyRuntimeError::new_err(
                "psrun: this process was forked from the one that is a worker of the job, and cannot speak to the master in its \
                 place; draw samples and report in the process that began",
            )
        })?;
        Ok((link, runtime))
    }
}

impl Drop for Master {
    /// As that of a session: in a process that was forked there are no threads of the runtime.
    fn drop(&mut self) {
        let parts = self.parts.take();
        if std::process::id() != self.process {
            std::mem::forget(parts);
        } else if let Some((link, runtime)) = parts {
            drop(link);
            runtime.shutdown_background();
        }
    }
}

fn raised(error: Error) -> PyErr {
    let words = error.to_string();
    match error {
        Error::Address(_) => PyValueError::new_err(words),
        Error::MasterLost { .. } => PyConnectionError::new_err(words),
        Error::Expired => crate::errors::Superseded::new_err(
            "the job does not count on this worker any more: its ps-worker was silent for too long, or another took its place",
        ),
        Error::Refused { .. } => crate::errors::Refused::new_err(words),
    }
}

/// The samples at these places of a pass's order.
#[pyfunction]
pub(crate) fn sample_order(seed: u64, number: u64, samples: u64, start: u64, end: u64) -> Vec<u64> {
    SampleOrder::new(seed, number, SOURCE, samples).at(start..end).collect()
}
