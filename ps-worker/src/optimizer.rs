//! The servers as an optimizer: an existing candle training loop swaps its optimizer for this one.
//!
//! ```no_run
//! # fn main() -> candle_core::Result<()> {
//! use candle_nn::{Optimizer, VarMap};
//! use ps_worker::optimizer::{AsyncOptimizer, AsyncOptimizerConfig};
//!
//! let vars = VarMap::new(); // ... build the model from it ...
//! let config = AsyncOptimizerConfig::new(vars.clone(), ["127.0.0.1:2223"]);
//! let mut optimizer = AsyncOptimizer::new(vars.all_vars(), config)?;
//! # let loss = candle_core::Tensor::new(0_f32, &candle_core::Device::Cpu)?;
//! optimizer.backward_step(&loss)?; // pushes the gradient, pulls the weights
//! # Ok(())
//! # }
//! ```

use crate::model::{FlatVars, ModelError};
use candle_core::backprop::GradStore;
use candle_core::{Result, Var};
use candle_nn::{Optimizer, VarMap};
use ps_cli::TrainingArgs;
use ps_client::environment;
use ps_client::{CallOptions, Gradient, HeartbeatConfig, PushReport, Session, SessionConfig};
use ps_client::{Weights, WorkerEnvironment};
use ps_core::Layout;
use ps_core::ids::{Epoch, Incarnation};
use ps_core::schedule::{LearningRate, Schedule};
use ps_core::settings::TrainingSettings;
use ps_runtime::{Connector, Outside, SystemClock};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Where the weights are and how gradients are applied to them.
#[derive(Clone)]
pub struct AsyncOptimizerConfig {
    /// The model's variables by name: names identify tensors on the servers.
    pub vars: VarMap,
    /// The servers, in any order.
    pub servers: Vec<String>,
    /// The job they belong to.
    pub job: String,
    /// Which of the workers this process is.
    pub worker: u32,
    /// Optimizer, rate, clipping, staleness bound and correction; the same in every worker. A schedule is
    /// refused: see [`AsyncOptimizer`]'s `set_learning_rate`. Each step waits for its exchange,
    /// whatever the pipeline: the loop reads its variables next.
    pub settings: TrainingSettings,
    /// How long a server may be away.
    pub patience: Duration,
    /// The worker's incarnation and the epoch, where somebody else speaks to a master for this process;
    /// `None` without a master.
    pub identity: Option<(Incarnation, Epoch)>,
}

impl AsyncOptimizerConfig {
    /// Worker 0 of the job `default`, with plain SGD at 0.1 and the default staleness bound.
    pub fn new(vars: VarMap, servers: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            vars,
            servers: servers.into_iter().map(Into::into).collect(),
            job: "default".to_owned(),
            worker: 0,
            // The loop is the user's, and so are the rule and the course of its rate.
            settings: TrainingSettings::sgd(0.1),
            patience: Duration::from_secs(30),
            identity: None,
        }
    }

    /// What `ps-worker -- CMD` told this process of its part in the job, and how the job trains; `None` when
    /// nobody did.
    ///
    /// # Errors
    /// A part of it is missing, or has a value that it cannot have.
    pub fn from_env(vars: VarMap) -> std::result::Result<Option<Self>, environment::Error> {
        let Some(told) = WorkerEnvironment::from_env()? else {
            return Ok(None);
        };
        Ok(Some(Self {
            job: told.job,
            worker: told.worker,
            identity: Some((told.incarnation, told.epoch)),
            settings: TrainingArgs::settings_from_env().map_err(environment::Error::Settings)?,
            ..Self::new(vars, told.servers)
        }))
    }
}

/// Pushes gradients to the servers and takes their weights.
pub struct AsyncOptimizer {
    runtime: Runtime,
    session: Session,
    vars: FlatVars,
    layout: Arc<Layout>,
    trained: Vec<bool>,
    weights: Weights,
    learning_rate: f64,
    clip_norm: Option<f64>,
    last: PushReport,
    /// Whether the first step was looked at.
    checked: bool,
}

impl Optimizer for AsyncOptimizer {
    type Config = AsyncOptimizerConfig;

    /// Connects to the servers. The first worker's variables are the start; every later worker, and
    /// this one, takes the weights that the servers hold.
    fn new(vars: Vec<Var>, config: Self::Config) -> Result<Self> {
        refuse_schedule(&config.settings.learning_rate)?;
        let mut flat = FlatVars::new(&config.vars).map_err(candle_core::Error::wrap)?;
        let frozen = config.settings.frozen(flat.layout()).map_err(candle_core::Error::wrap)?;
        flat.freeze(&frozen).map_err(candle_core::Error::wrap)?;
        let trained = trained(&flat, &vars)?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let layout = Arc::new(flat.layout().clone());
        let start = flat.get().map_err(candle_core::Error::wrap)?;
        let connected = runtime.block_on(connect(&config, &layout, &start));
        let (session, weights) = connected.map_err(candle_core::Error::wrap)?;
        flat.set(weights.values()).map_err(candle_core::Error::wrap)?;
        let learning_rate = config.settings.learning_rate.base;
        let last = PushReport::default();
        Ok(Self {
            runtime,
            session,
            vars: flat,
            layout,
            trained,
            weights,
            learning_rate,
            clip_norm: config.settings.clip_norm,
            last,
            checked: false,
        })
    }

    /// Pushes the gradients and sets the variables to the weights for the next step.
    fn step(&mut self, grads: &GradStore) -> Result<()> {
        let mut flat = self.vars.gradient(grads).map_err(candle_core::Error::wrap)?;
        for (present, trained) in flat.present.iter_mut().zip(&self.trained) {
            *present &= *trained;
        }
        if !std::mem::replace(&mut self.checked, true) {
            self.check_first_step(&flat.present)?;
        }
        let mut gradient = Gradient::new(self.layout.clone(), flat.values, flat.present, 0.0);
        if let Some(norm_max) = self.clip_norm {
            gradient = gradient.clip(norm_max);
        }
        let rate = self.learning_rate as f32;
        let call = self.session.push_pull(&gradient, 0, rate, &mut self.weights);
        self.last = self.runtime.block_on(call).map_err(candle_core::Error::wrap)?;
        self.vars.set(self.weights.values()).map_err(candle_core::Error::wrap)
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }
}

impl AsyncOptimizer {
    /// A variable that is to be trained and has no gradient would stay as it is, silently.
    fn check_first_step(&self, present: &[bool]) -> Result<()> {
        let mut trained = self.layout.tensors().iter().zip(present.iter().zip(&self.trained));
        match trained.find(|(_, (present, trained))| **trained && !**present) {
            Some((tensor, _)) => {
                Err(candle_core::Error::wrap(ModelError::NoGradient(tensor.name.clone())))
            }
            None => Ok(()),
        }
    }

    /// What became of the last push: its staleness, and chunks refused as not finite.
    pub fn last_push(&self) -> &PushReport {
        &self.last
    }

    /// Sets the variables to the weights as the servers hold them now, for an evaluation.
    ///
    /// # Errors
    /// A server is away for too long.
    pub fn pull(&mut self) -> Result<()> {
        let clock = self.weights.clock();
        let read = self.runtime.block_on(self.session.client().read(&mut self.weights));
        read.map_err(candle_core::Error::wrap)?;
        self.weights.set_clock(clock);
        self.vars.set(self.weights.values()).map_err(candle_core::Error::wrap)
    }
}

impl Drop for AsyncOptimizer {
    /// The others' gate must not wait for a worker that has ended.
    fn drop(&mut self) {
        self.runtime.block_on(self.session.leave());
    }
}

/// How far the job is, only the loop knows; a schedule that nobody follows would be silently constant.
fn refuse_schedule(rate: &LearningRate) -> Result<()> {
    if rate.schedule == Schedule::Constant && rate.warmup == 0.0 {
        return Ok(());
    }
    candle_core::bail!(
        "optimizer: the settings have a schedule ({}, warm-up {}), which an optimizer in a loop of your \
         own cannot follow, as it does not know how far the loop is; leave out --schedule and \
         --warmup, and call set_learning_rate",
        rate.schedule.name(),
        rate.warmup
    );
}

/// Which tensors the loop trains; a variable that is not in the map has no name to push under.
fn trained(flat: &FlatVars, vars: &[Var]) -> Result<Vec<bool>> {
    let mut trained = vec![false; flat.vars().len()];
    for var in vars {
        let Some(position) = flat.position(var) else {
            let shape = var.shape();
            candle_core::bail!(
                "optimizer: a variable of shape {shape:?} is not in the VarMap, so it has no name \
                 on the servers; build the model from the VarMap of the configuration"
            );
        };
        trained[position] = !flat.is_frozen(position);
    }
    Ok(trained)
}

async fn connect(
    config: &AsyncOptimizerConfig,
    layout: &Layout,
    start: &[f32],
) -> std::result::Result<(Session, Weights), ps_client::Error> {
    let outside = Outside {
        connector: Connector::local_first(),
        clock: SystemClock::start(),
        seed: u64::from(std::process::id()),
        metrics: Arc::new(|_| ()),
    };
    let session = SessionConfig {
        job: config.job.clone(),
        worker: config.worker,
        identity: config.identity,
        servers: config.servers.clone(),
        calls: CallOptions::of_a_loop(config.patience, config.settings.wire),
        heartbeat: HeartbeatConfig::OF_A_LOOP,
    };
    Session::join(session, (&config.settings, layout), start, outside).await
}
