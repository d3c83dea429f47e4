//! The settings of a training job, decided in one place and handed to every worker.

use crate::correction::Correction;
use crate::keeping::{EvaluationSettings, InvalidEvaluation};
use crate::learning::DivergenceAction;
use crate::limits::PIPELINE_DEPTH_MAX;
use crate::model_spec::ModelSpec;
use crate::parameters::{self, ParameterGroup, UpdateRule};
use crate::partition::chunk_elements;
use crate::schedule::{LearningRate, Schedule};
use crate::{Layout, TensorSpec};
use ps_kernels::encoding::Encoding;
use ps_kernels::optimizer::{Optimizer, OptimizerKind};
use serde::{Deserialize, Serialize};

/// How to train.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingSettings {
    /// What applies gradients, on the servers.
    pub optimizer: Optimizer,
    /// The rate over the job.
    pub learning_rate: LearningRate,
    /// What is done about stale gradients.
    pub staleness_correction: Correction,
    /// Steps a worker may be ahead of the slowest active one; `None` for no bound.
    pub staleness_bound: Option<u64>,
    /// Global norm that gradients are clipped to before they are pushed.
    pub clip_norm: Option<f64>,
    /// Passes over the training data.
    pub passes: u64,
    /// Steps that a job has at least, by more passes where samples are few.
    #[serde(default)]
    pub steps_min: u64,
    /// Samples of one step.
    pub batch_size: u64,
    /// Decides start weights and the order of the samples.
    pub seed: u64,
    /// How gradients and weights travel.
    #[serde(default)]
    pub wire: Wire,
    /// Exchanges that a worker has under way while it computes; 0: it waits for each.
    #[serde(default)]
    pub pipeline_depth: u64,
    /// What is done when the run seems to diverge.
    #[serde(default)]
    pub divergence: DivergenceAction,
    /// Patterns of the names of parameters that are not trained.
    #[serde(default)]
    pub freeze: Vec<String>,
    /// Parameters with a rate or decay of their own; the first that matches counts.
    #[serde(default)]
    pub parameter_groups: Vec<ParameterGroup>,
    /// When weights are measured, which are kept, and when training ends early.
    #[serde(default)]
    pub evaluation: EvaluationSettings,
}

/// Why settings cannot be trained with.
#[derive(Debug, thiserror::Error, PartialEq)]
#[allow(missing_docs)]
pub enum Error {
    #[error(transparent)]
    Optimizer(#[from] ps_kernels::optimizer::Error),
    #[error(transparent)]
    LearningRate(#[from] crate::schedule::Error),
    #[error(transparent)]
    Parameters(#[from] parameters::Error),
    #[error(transparent)]
    Evaluation(#[from] InvalidEvaluation),
    #[error("--{option}: found {found}, expected {expected}")]
    Range { option: &'static str, found: String, expected: &'static str },
    /// Weights that no gate could let through.
    #[error(
        "--pipeline-depth {depth}: expected at most --staleness-bound, {bound}: with more exchanges \
         under way a worker would wait for its own pushes"
    )]
    PipelineDepth { depth: u64, bound: u64 },
}

impl Default for TrainingSettings {
    fn default() -> Self {
        // What learns tables, images and numbers alike (docs/adr/0031-defaults.md).
        let kind = OptimizerKind::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
        Self {
            optimizer: Optimizer { kind, weight_decay: 0.2 },
            learning_rate: LearningRate {
                base: 0.003,
                schedule: Schedule::Cosine { minimum: 0.0 },
                warmup: 0.0,
            },
            staleness_correction: Correction::default(),
            // Lets unequal workers run apart, yet keeps gradients useful.
            staleness_bound: Some(8),
            clip_norm: None,
            passes: 20,
            steps_min: 0,
            batch_size: 32,
            seed: 1,
            wire: Wire::default(),
            // On the machines that it was measured on, more costs more than it hides
            // (docs/performance.md).
            pipeline_depth: 0,
            divergence: DivergenceAction::default(),
            freeze: Vec::new(),
            parameter_groups: Vec::new(),
            evaluation: EvaluationSettings::default(),
        }
    }
}

impl TrainingSettings {
    /// Plain SGD at a constant rate.
    pub fn sgd(rate: f64) -> Self {
        Self {
            optimizer: Optimizer { kind: OptimizerKind::Sgd, weight_decay: 0.0 },
            learning_rate: LearningRate::constant(rate),
            ..Self::default()
        }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn validate(&self) -> Result<(), Error> {
        self.optimizer.validate()?;
        self.learning_rate.validate()?;
        let at_least_1 = "at least 1";
        for (option, value) in [("passes", self.passes), ("batch-size", self.batch_size)] {
            if value == 0 {
                return Err(Error::Range { option, found: "0".into(), expected: at_least_1 });
            }
        }
        if let Some(norm) = self.clip_norm.filter(|norm| !norm.is_finite() || *norm <= 0.0) {
            let (found, expected) = (norm.to_string(), "a finite norm above 0");
            return Err(Error::Range { option: "clip-norm", found, expected });
        }
        if let Some(share) = self.wire.top_k.filter(|share| !(*share > 0.0 && *share <= 1.0)) {
            let (found, expected) = (share.to_string(), "a share above 0, at most 1");
            return Err(Error::Range { option: "top-k", found, expected });
        }
        self.evaluation.validate()?;
        self.parameter_groups.iter().try_for_each(ParameterGroup::validate)?;
        self.freeze.iter().try_for_each(|pattern| parameters::validate_frozen(pattern))?;
        self.validate_pipeline()
    }

    /// What weights are changed by, in words.
    pub fn words(&self) -> String {
        let LearningRate { base, schedule, warmup } = &self.learning_rate;
        let warmup = match *warmup {
            0.0 => String::new(),
            share => format!(" after a warm-up over {share} of the job"),
        };
        let decay = match self.optimizer.weight_decay {
            0.0 => String::new(),
            decay => format!(", weight decay {decay}"),
        };
        let (name, course, batch) = (self.optimizer.name(), schedule.name(), self.batch_size);
        let groups =
            self.parameter_groups.iter().map(|it| format!("; {} with {}", it.pattern, it.rule));
        let groups: String = groups.collect();
        format!("{name}, rate {base} ({course}{warmup}){decay}, batches of {batch} samples{groups}")
    }

    /// Passes over so many samples: as many as asked for, or more for [`Self::steps_min`].
    pub fn passes_over(&self, samples: u64) -> u64 {
        let steps_per_pass = samples.div_ceil(self.batch_size.max(1)).max(1);
        self.passes.max(self.steps_min.div_ceil(steps_per_pass))
    }

    /// Which tensors of a model are not trained, by their places in the layout.
    ///
    /// # Errors
    /// A pattern, of these or of the groups, matches no tensor.
    pub fn frozen(&self, layout: &Layout) -> Result<Vec<bool>, parameters::Error> {
        parameters::rules(&self.parameter_groups, layout)?;
        parameters::frozen(parameters::FREEZE_OPTION, &self.freeze, layout)
    }

    fn validate_pipeline(&self) -> Result<(), Error> {
        let depth = self.pipeline_depth;
        if depth > PIPELINE_DEPTH_MAX {
            let (found, expected) = (depth.to_string(), "at most 16");
            return Err(Error::Range { option: "pipeline-depth", found, expected });
        }
        match self.staleness_bound {
            Some(bound) if depth > bound => Err(Error::PipelineDepth { depth, bound }),
            _ => Ok(()),
        }
    }

    /// The same with how servers that hold this model apply pushes to it: what a program trains with, it says to them alone.
    #[must_use]
    pub fn as_held(self, held: &ModelSpec) -> Self {
        let told = self.model_spec(&held.layout, held.shards);
        if told.optimizer == held.optimizer && told.rules == held.rules {
            return self;
        }
        let rules = held.layout.tensors().iter().zip(&held.rules);
        let special = rules.filter(|(_, rule)| **rule != UpdateRule::default());
        let group = |(tensor, rule): (&TensorSpec, &UpdateRule)| ParameterGroup {
            pattern: parameters::literal(&tensor.name),
            rule: *rule,
            if_any: false,
        };
        Self { optimizer: held.optimizer, parameter_groups: special.map(group).collect(), ..self }
    }

    /// What the servers must agree on, for a model that is initialised on so many servers.
    pub fn model_spec(&self, layout: &Layout, shards: u32) -> ModelSpec {
        ModelSpec {
            layout: layout.clone(),
            optimizer: self.optimizer,
            // A pattern that matches nothing is an error where the model is made.
            rules: parameters::rules(&self.parameter_groups, layout).unwrap_or_default(),
            correction: self.staleness_correction,
            bound: self.staleness_bound,
            chunk_elements: chunk_elements(layout.elements(), shards),
            shards,
        }
    }
}

/// How a job's values travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wire {
    /// Of gradients.
    pub push: Encoding,
    /// Of the weights that a worker pulls to train on.
    pub pull: Encoding,
    /// Share of a chunk's gradient values that are sent, the largest; `None` for all.
    pub top_k: Option<f64>,
}

impl Wire {
    /// Whether what a push leaves out is kept for the next one.
    pub fn has_feedback(&self) -> bool {
        self.top_k.is_some() || self.push == Encoding::Int8
    }
}
