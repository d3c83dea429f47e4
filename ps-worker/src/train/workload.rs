//! What a member brings to a job: data, and what is done with them.

use super::batches::PassStreams;
use super::error::Error;
use super::loader::DataLoader;
use super::sample_server::ServedSamples;
use crate::compute::{Compute, ComputeError, ComputeOn};
use futures_util::future::BoxFuture;
use ps_client::WorkerEnvironment;
use ps_core::DataDescription;
use ps_core::limits::ABOUT_BYTES_MAX;
use ps_core::model_config::About;
use ps_core::settings::TrainingSettings;
use ps_runtime::files::Files;
use std::sync::Arc;

/// Makes the model, once shape and classes of all the job's data are known. It runs on a thread that
/// goes on when nobody waits for it any more.
pub type BuildModel =
    Arc<dyn Fn(&DataDescription) -> Result<Box<dyn Compute>, ComputeError> + Send + Sync>;

/// What a member brings to a job; it outlives a membership that is lost.
pub struct Workload {
    /// What training data it has, as the master hears it.
    pub data: DataDescription,
    /// What is done with them.
    pub kind: WorkloadKind,
}

impl Workload {
    /// Where the best weights are written, by who measures them.
    pub(super) fn keeps(&self) -> Option<Files> {
        match &self.kind {
            WorkloadKind::Model(model) => model.keeps.clone(),
            WorkloadKind::Program(_) => None,
        }
    }

    /// What the master hears of the model; empty where this process has none.
    pub(super) fn about(&self) -> String {
        match &self.kind {
            WorkloadKind::Model(model) => {
                let about = model.about.as_deref();
                about.and_then(|about| about.told(ABOUT_BYTES_MAX).ok()).unwrap_or_default()
            }
            WorkloadKind::Program(_) => String::new(),
        }
    }
}

/// What a member does with its data.
pub enum WorkloadKind {
    /// Trains a model of this process, or measures it.
    Model(ModelWorkload),
    /// Runs a program of the user's.
    Program(Box<dyn Program>),
}

/// A model of this process, and its samples.
pub struct ModelWorkload {
    /// Makes the model.
    pub build: BuildModel,
    /// Where samples come from when the data are streamed.
    pub streams: Option<Box<dyn PassStreams>>,
    /// What the member serves to workers when others train on its samples.
    pub served: Option<ServedSamples>,
    /// What makes batches of the member's own samples.
    pub loader: DataLoader,
    /// Of an evaluator: where the master finds the best weights, if the job keeps them.
    pub keeps: Option<Files>,
    /// What it is called and made of, for a master that was not told.
    pub about: Option<Box<About>>,
    /// The model of a membership that was lost.
    pub(super) compute: Option<Box<dyn Compute>>,
}

impl ModelWorkload {
    /// A model on samples that it knows by their numbers.
    pub fn new(build: BuildModel) -> Self {
        let loader = DataLoader::default();
        let (about, compute) = (None, None);
        Self { build, streams: None, served: None, loader, keeps: None, about, compute }
    }

    /// The model: the one that was there, or a new one for these data.
    pub(super) async fn model(
        &mut self,
        data: &DataDescription,
        compute_on: ComputeOn,
    ) -> Result<Box<dyn Compute>, Error> {
        if let Some(compute) = self.compute.take() {
            return Ok(compute);
        }
        let data = data.clone();
        let (_, compute) = compute_on.run(self.build.clone(), move |build| build(&data)).await?;
        Ok(compute?)
    }
}

/// A program of the user's that does a worker's work by itself.
pub trait Program: Send {
    /// Runs it to its end; what it exits with. 0 means that its work is done. Dropped when the
    /// membership is lost: the program must not outlive it.
    fn run<'a>(&'a mut self, run: ProgramRun) -> BoxFuture<'a, Result<u8, ComputeError>>;
}

/// What a program must know of the job.
pub struct ProgramRun {
    /// Its part in the job.
    pub environment: WorkerEnvironment,
    /// How the job is trained.
    pub settings: TrainingSettings,
    /// Ready when the master wants no more steps, or a signal came: the program is to end.
    pub stop: BoxFuture<'static, ()>,
}
