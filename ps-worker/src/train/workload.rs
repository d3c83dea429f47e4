//! What a member brings to a job: data, and what is done with them.

use crate::compute::{Batch, Compute, ComputeError};
use futures_util::future::BoxFuture;
use ps_core::DataDescription;
use ps_core::settings::TrainingSettings;
use ps_data::{Draw, SampleSet, Shift};
use ps_proto::v1;
use ps_runtime::Incoming;
use std::sync::Arc;

/// Makes the model, once shape and classes of all the job's data are known.
pub type BuildModel =
    Box<dyn FnMut(&DataDescription) -> Result<Box<dyn Compute>, ComputeError> + Send>;

/// What a member brings to a job.
pub struct Workload {
    /// What training data it has, as the master hears it.
    pub data: DataDescription,
    /// What is done with them.
    pub kind: WorkloadKind,
}

/// What a member does with its data.
pub enum WorkloadKind {
    /// Trains a model of this process, or measures it.
    Model {
        /// Makes the model.
        build: BuildModel,
        /// Where samples come from when `data` is streamed.
        streams: Option<Box<dyn Streams>>,
        /// What the member serves to workers when others train on its samples.
        share: Option<Share>,
        /// What becomes of the member's own samples before a step.
        preparing: Preparing,
    },
    /// Runs a program of the user's.
    Program(Box<dyn Program>),
}

impl Workload {
    /// A model on samples that this process has.
    pub fn model(data: DataDescription, build: BuildModel) -> Self {
        let preparing = Preparing::default();
        Self { data, kind: WorkloadKind::Model { build, streams: None, share: None, preparing } }
    }
}

/// Samples that come in their own order, pass by pass.
pub trait Streams: Send {
    /// Begins with a pass; whatever is left of an older one is given up.
    fn open<'a>(
        &'a mut self,
        pass: &'a StreamPass,
    ) -> BoxFuture<'a, Result<Box<dyn Stream>, ComputeError>>;
}

/// One pass of a stream.
pub trait Stream: Send {
    /// The next samples, `batch_size` of them but for the last; `None` at the end. Can be dropped
    /// before it is ready, and the stream with it.
    fn next_batch(&mut self) -> BoxFuture<'_, Result<Option<Batch>, ComputeError>>;
}

/// What a stream must know of the pass.
#[derive(Clone, Debug)]
pub struct StreamPass {
    /// From 0.
    pub pass: u64,
    /// This worker's rank.
    pub rank: u32,
    /// Worker ranks of the job.
    pub workers: u32,
    /// Samples of one batch.
    pub batch_size: usize,
    /// The job's.
    pub seed: u64,
    /// Shape and classes of all the job's data.
    pub data: DataDescription,
}

/// A program of the user's that does a worker's work by itself.
pub trait Program: Send {
    /// Runs it to its end; what it exits with. 0 means that its work is done. Dropped when the
    /// membership is lost: the program must not outlive it.
    fn run<'a>(&'a mut self, run: ProgramRun) -> BoxFuture<'a, Result<u8, ComputeError>>;
}

/// What a program must know of the job.
pub struct ProgramRun {
    /// The job it belongs to.
    pub job: String,
    /// The master's address.
    pub master: String,
    /// This worker's rank.
    pub rank: u32,
    /// Worker ranks of the job.
    pub workers: u32,
    /// In which of the rank's lives it is.
    pub incarnation: u64,
    /// Where the shards are, and in which epoch.
    pub shard_map: v1::ShardMap,
    /// How the job is trained.
    pub settings: TrainingSettings,
    /// Where its clock starts.
    pub start_clock: u64,
    /// Ready when the master wants no more steps, or a signal came: the program is to end.
    pub stop: BoxFuture<'static, ()>,
}

/// Samples of this process that others train on.
pub struct Share {
    /// Where workers connect to.
    pub incoming: Incoming,
    /// The samples.
    pub samples: Arc<dyn SampleSet>,
}

/// How batches are made of samples by their numbers.
#[derive(Clone, Default)]
pub struct Preparing {
    /// The training samples of this process, to be gathered while the model computes; `None` where
    /// the numbers are all that the model wants, as in a simulation.
    pub samples: Option<Arc<dyn SampleSet>>,
    /// Pixels by which images are moved at the most, own ones as well as those that others serve;
    /// samples by their numbers alone are left to the model.
    pub shift: usize,
}

impl Preparing {
    /// How samples of this shape are moved, if they are.
    ///
    /// # Errors
    /// They are no images, or too small.
    pub(super) fn shift(&self, shape: &[usize], draw: Draw) -> Result<Option<Shift>, ComputeError> {
        let shift = (self.shift > 0).then(|| Shift::new(self.shift, shape, draw));
        shift.transpose().map_err(|error| ComputeError(error.to_string()))
    }
}

impl std::fmt::Debug for Preparing {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let samples = self.samples.as_ref().map(|samples| samples.count());
        to.debug_struct("Preparing").field("samples", &samples).field("shift", &self.shift).finish()
    }
}
