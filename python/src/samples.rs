//! Samples that the master leases to this worker's program, and what it measured.

use crate::blocking::block_on;
use crate::of_process::{self, OfProcess};
use crate::session::Session;
use ps_core::SampleOrder;
use ps_core::keeping::Kept;
use ps_core::master::{CheckpointProgress, SamplesAnswer};
use ps_runtime::Outside;
use ps_runtime::member::{Error, checkpoint_now};
use ps_runtime::program::{ProgramIdentity, ProgramLink, SamplesWish};
use pyo3::exceptions::{PyConnectionError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::PoisonError;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

/// The order of one set of samples, which every worker has.
const SOURCE: u32 = 0;

/// How often it is asked whether a checkpoint is complete.
const POLL: Duration = Duration::from_millis(50);

/// What there is of a pass: `lease`, `wait`, `over` or `ended`; the lease's number, its pass and its places.
type Offer = (&'static str, u64, u64, (u64, u64));

/// A program's line to the master of its job.
#[pyclass(frozen, module = "psrun._native")]
pub(crate) struct Master {
    of_process: OfProcess<Mutex<ProgramLink>>,
    outside: Outside,
    address: String,
    job: String,
    /// What is to be said of the weights that were measured last, where the job keeps the best and they are.
    wanted: std::sync::Mutex<Option<Kept>>,
}

#[pymethods]
impl Master {
    #[new]
    #[pyo3(signature = (*, address, job, worker, incarnation))]
    fn new(address: &str, job: String, worker: u32, incarnation: u64) -> PyResult<Self> {
        let (runtime, outside) = (of_process::runtime()?, of_process::outside());
        // Not the process's id: in a container that is started again it is that of the one before.
        let process = RandomState::new().build_hasher().finish();
        let identity = ProgramIdentity { job: job.clone(), worker, incarnation, process };
        let link = {
            let _entered = runtime.enter();
            ProgramLink::new(&outside, address, identity).map_err(raised)?
        };
        let of_process = OfProcess::new(Mutex::new(link), runtime);
        let (address, wanted) = (address.to_owned(), std::sync::Mutex::default());
        Ok(Self { of_process, outside, address, job, wanted })
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

    /// Has the job write a checkpoint of what its servers hold, and waits for it: its number, or why there is none.
    fn checkpoint(&self, py: Python<'_>) -> PyResult<(Option<u64>, String)> {
        let (_, runtime) = self.open()?;
        block_on(py, runtime, async {
            let mut asked = None;
            loop {
                match checkpoint_now(&self.outside, &self.address, &self.job, asked).await {
                    Ok((number, CheckpointProgress::Written)) => {
                        return Ok((Some(number), String::new()));
                    }
                    Ok((number, CheckpointProgress::Writing)) => asked = Some(number),
                    Ok((_, CheckpointProgress::Failed(reason))) => return Ok((None, reason)),
                    Err(Error::Refused { message, .. }) => return Ok((None, message)),
                    Err(error) => return Err(raised(error)),
                }
                tokio::time::sleep(POLL).await;
            }
        })?
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
        self.of_process
            .open("the master in its place; draw samples and report in the process that began")
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
