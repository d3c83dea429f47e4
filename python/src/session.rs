//! A worker's session with the servers, as Python holds it.

use crate::blocking::block_on;
use crate::errors::raised;
use crate::exchanges::Exchanges;
use crate::memory::Memory;
use crate::of_process::{self, OfProcess};
use ps_client::{BufferPool, CallOptions, Gradient, HeartbeatConfig, PushReport};
use ps_client::{Session as Client, SessionConfig, Weights};
use ps_core::coverage::Coverage;
use ps_core::ids::{Epoch, Incarnation};
use ps_core::keeping::{Kept, kept_header};
use ps_core::limits::PIPELINE_DEPTH_MAX;
use ps_core::settings::TrainingSettings;
use ps_core::{Layout, TensorKind, TensorSpec};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::Duration;
use tokio::runtime::Runtime;

/// A tensor as Python describes it: name, shape, whether it is trained (else a buffer), and where its values lie.
type Tensor = (String, Vec<usize>, bool, Memory);

/// What a step changes of a tensor.
#[derive(FromPyObject)]
struct Change {
    /// Its number, in the order that tensors were given in.
    tensor: usize,
    values: Memory,
    /// What the values are multiplied by.
    scale: f32,
    /// The share of the weights that is added to them: weight decay that is a part of the gradient.
    decay: f32,
    /// The rows of a table that they are of, rising; `None` for all.
    rows: Option<Memory>,
}

/// Weights that the servers hold, pulled into one piece of memory, and pushes to them.
#[pyclass(frozen, module = "psrun._native")]
pub(crate) struct Session(OfProcess<Mutex<State>>);

pub(crate) struct State {
    client: Client,
    layout: Arc<Layout>,
    /// Of the tensors in the order of Python, where they are in the layout.
    positions: Vec<usize>,
    weights: Weights,
    pool: BufferPool,
    /// Where steps do not wait for their own exchanges.
    exchanges: Option<Exchanges>,
}

#[pymethods]
impl Session {
    /// Connects to the servers and creates the model on them, or takes the one that they hold; then the weights are there.
    #[new]
    #[pyo3(signature = (*, servers, job, worker, identity, settings, tensors, patience_s))]
    #[allow(clippy::too_many_arguments, reason = "named ones, in Python")]
    fn new(
        py: Python<'_>,
        servers: Vec<String>,
        job: String,
        worker: u32,
        identity: Option<(Incarnation, Epoch)>,
        settings: &str,
        tensors: Vec<Tensor>,
        patience_s: f64,
    ) -> PyResult<Self> {
        let invalid = |error: String| PyValueError::new_err(error);
        let settings: TrainingSettings =
            serde_json::from_str(settings).map_err(|error| invalid(error.to_string()))?;
        let patience =
            Duration::try_from_secs_f64(patience_s).map_err(|error| invalid(error.to_string()))?;
        let calls = CallOptions::of_a_loop(patience, settings.wire);
        let heartbeat = HeartbeatConfig::OF_A_LOOP;
        let config = SessionConfig { job, worker, identity, servers, calls, heartbeat };
        let runtime = of_process::runtime()?;
        let state = block_on(py, &runtime, State::connect(config, &settings, &tensors))??;
        Ok(Self(OfProcess::new(Mutex::new(state), runtime)))
    }

    /// Whether steps may be under way when a call returns.
    #[getter]
    fn is_pipelined(&self) -> PyResult<bool> {
        let (state, _) = self.open()?;
        Ok(state.exchanges.is_some())
    }

    /// Where the weights of each tensor lie: address and elements, in the order that they were given in. They stay there as
    /// long as this object, and every step and pull changes them.
    fn places(&self) -> PyResult<Vec<(usize, usize)>> {
        let (state, _) = self.open()?;
        let State { layout, positions, weights, .. } = &*state;
        let places = positions.iter().map(|position| {
            let values = &weights.values()[layout.range(*position)];
            (values.as_ptr() as usize, values.len())
        });
        Ok(places.collect())
    }

    /// Pushes a gradient and takes the newest weights that the bound allows. Returns the push's staleness and how many chunks were
    /// refused because of values that are not finite.
    fn step(
        &self,
        py: Python<'_>,
        changes: Vec<Change>,
        learning_rate: f32,
        loss: f64,
    ) -> PyResult<(u64, u64)> {
        let (mut state, runtime) = self.open()?;
        let report = block_on(py, runtime, state.step(&changes, learning_rate, loss))??;
        Ok((report.staleness, report.chunks_refused))
    }

    /// Takes the weights as the servers hold them now; no bound holds it.
    fn pull(&self, py: Python<'_>) -> PyResult<()> {
        let (mut state, runtime) = self.open()?;
        block_on(py, runtime, state.pull())?.map_err(raised)
    }

    /// Waits until every push that was begun is acknowledged.
    fn settle(&self, py: Python<'_>) -> PyResult<()> {
        let (mut state, runtime) = self.open()?;
        if state.exchanges.is_none() {
            return Ok(());
        }
        block_on(py, runtime, state.settle())?.map_err(raised)
    }

    /// Tells the servers that this worker is done, so that nobody waits for it. The weights stay where they are.
    fn leave(&self, py: Python<'_>) -> PyResult<()> {
        let (mut state, runtime) = self.open()?;
        let state = &mut *state;
        block_on(py, runtime, state.leave())?.map_err(raised)
    }
}

impl Session {
    /// The weights as they were taken last, as a file that says this of them.
    pub(crate) fn kept_file(&self, kept: Kept) -> PyResult<Vec<u8>> {
        let (state, _) = self.open()?;
        let bytes: &[u8] = bytemuck::cast_slice(state.weights.values());
        let kept = Kept { digest: state.weights.digest(), ..kept };
        let header = kept_header(&state.layout, &kept).map_err(PyRuntimeError::new_err)?;
        Ok([&header, bytes].concat())
    }

    fn open(&self) -> PyResult<(MutexGuard<'_, State>, &Runtime)> {
        let words = "the servers in its place; use the optimizer in the process that made it";
        let (state, runtime) = self.0.open(words)?;
        match state.try_lock() {
            Ok(state) => Ok((state, runtime)),
            Err(TryLockError::Poisoned(poisoned)) => Ok((poisoned.into_inner(), runtime)),
            Err(TryLockError::WouldBlock) => Err(PyRuntimeError::new_err(
                "psrun: another thread of this process is in the middle of a step; a worker makes one step after the other",
            )),
        }
    }
}

impl State {
    async fn connect(
        config: SessionConfig,
        settings: &TrainingSettings,
        tensors: &[Tensor],
    ) -> PyResult<Self> {
        let specs = tensors.iter().map(|(name, shape, is_trained, ..)| {
            let kind = if *is_trained { TensorKind::Trainable } else { TensorKind::State };
            TensorSpec { name: name.clone(), shape: shape.clone(), kind }
        });
        let layout = Layout::new(specs.collect())
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        let mut start = vec![0.0; layout.elements()];
        let mut positions = Vec::with_capacity(tensors.len());
        for (name, shape, _, values) in tensors {
            let position = layout.position(name).unwrap_or_default();
            let (range, values) = (layout.range(position), values.as_slice());
            if values.len() != range.len() {
                let found = values.len();
                return Err(PyValueError::new_err(format!(
                    "{name}: {found} values, expected shape {shape:?}"
                )));
            }
            start[range].copy_from_slice(values);
            positions.push(position);
        }
        let joined = Client::join(config, (settings, &layout), &start, of_process::outside()).await;
        let (client, mut weights) = joined.map_err(raised)?;
        let depth = settings.pipeline_depth.min(PIPELINE_DEPTH_MAX) as u32;
        let mut exchanges = None;
        if depth > 0 {
            // They are those of as many steps as may be under way.
            client.pull(weights.clock(), depth, &mut weights).await.map_err(raised)?;
            let spec = client.model_spec(settings, &layout);
            exchanges = Some(Exchanges::new(&client, depth, spec, &weights));
        }
        let (layout, pool) = (Arc::new(layout), BufferPool::default());
        Ok(Self { client, layout, positions, weights, pool, exchanges })
    }

    async fn step(
        &mut self,
        changes: &[Change],
        learning_rate: f32,
        loss: f64,
    ) -> PyResult<PushReport> {
        let gradient = self.gradient(changes, loss)?;
        if let Some(exchanges) = &mut self.exchanges {
            let sent = (&gradient, loss, learning_rate);
            let settled = exchanges.step(&self.client, sent, &mut self.weights).await;
            return settled.map_err(raised);
        }
        let pushed = self.client.push_pull(&gradient, 0, learning_rate, &mut self.weights).await;
        pushed.map_err(raised)
    }

    fn gradient(&self, changes: &[Change], loss: f64) -> PyResult<Gradient> {
        let mut coverage = vec![Coverage::Absent; self.layout.tensors().len()];
        for change in changes {
            let position = self.positions[change.tensor];
            coverage[position] = match change.rows {
                None => self.whole(position, change.values)?,
                Some(rows) => Coverage::Rows(self.rows(position, rows, change.values)?),
            };
        }
        let gradient = Gradient::with_pool(self.layout.clone(), coverage, loss, self.pool.clone());
        for Change { tensor, values: given, scale, decay, rows } in changes {
            let position = self.positions[*tensor];
            let mut values = self.pool.take(given.len());
            let weights = &self.weights.values()[self.layout.range(position)];
            let decay = if rows.is_some() { 0.0 } else { *decay };
            combine(&mut values, given.as_slice(), weights, *scale, decay);
            gradient.fill(position, values);
        }
        Ok(gradient)
    }

    /// All of a tensor, checked.
    fn whole(&self, position: usize, values: Memory) -> PyResult<Coverage> {
        let TensorSpec { name, shape, .. } = &self.layout.tensors()[position];
        let found = values.as_slice::<f32>().len();
        if found == self.layout.range(position).len() {
            return Ok(Coverage::Whole);
        }
        let words = format!("{name}: a gradient of {found} values, expected shape {shape:?}");
        Err(PyValueError::new_err(words))
    }

    /// Rows of a table, checked.
    fn rows(&self, position: usize, rows: Memory, values: Memory) -> PyResult<Arc<[u32]>> {
        let tensor = &self.layout.tensors()[position];
        let (count, width) = (tensor.shape[0], tensor.shape.iter().skip(1).product::<usize>());
        let rows: &[i64] = rows.as_slice();
        let is_rising = rows.windows(2).all(|pair| pair[0] < pair[1]);
        let is_inside = rows.iter().all(|row| usize::try_from(*row).is_ok_and(|row| row < count));
        if !is_rising || !is_inside || rows.len() * width != values.len() {
            let (name, shape) = (&tensor.name, &tensor.shape);
            return Err(PyValueError::new_err(format!(
                "{name}: {} rows with {} values, expected rising rows of a table of {shape:?}; coalesce the gradient",
                rows.len(),
                values.len()
            )));
        }
        Ok(rows.iter().map(|row| *row as u32).collect())
    }

    async fn leave(&mut self) -> Result<(), ps_client::Error> {
        self.settle().await?;
        self.client.leave().await;
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), ps_client::Error> {
        match &mut self.exchanges {
            Some(exchanges) => exchanges.settle(&mut self.weights).await,
            None => Ok(()),
        }
    }

    async fn pull(&mut self) -> Result<(), ps_client::Error> {
        self.settle().await?;
        let clock = self.weights.clock();
        self.client.client().read(&mut self.weights).await?;
        self.weights.set_clock(clock);
        Ok(())
    }
}

/// `scale * given + decay * weights`.
fn combine(into: &mut [f32], given: &[f32], weights: &[f32], scale: f32, decay: f32) {
    if scale == 1.0 && decay == 0.0 {
        into.copy_from_slice(given);
        return;
    }
    for ((into, given), weight) in into.iter_mut().zip(given).zip(weights) {
        *into = scale * given + decay * weight;
    }
}
