//! The options that say how to train, shared by whoever decides it: the master, or a worker alone.

use crate::choice;
use crate::evaluation_args::EvaluationArgs;
use crate::given::{values, variable};
use clap::{Args, FromArgMatches};
use ps_core::correction::Correction;
use ps_core::learning::DivergenceAction;
use ps_core::parameters::ParameterGroup;
use ps_core::schedule::{LearningRate, Schedule};
use ps_core::settings::Wire;
use ps_core::settings::{Error, TrainingSettings};
use ps_kernels::encoding::Encoding;
use ps_kernels::optimizer::{Optimizer, OptimizerKind};
use serde::Serialize;

/// How to train. Options left out have the defaults that the help names.
#[derive(Args, Clone, Debug, Default, Serialize)]
#[command(next_help_heading = "Training")]
pub struct TrainingArgs {
    /// Passes over the training data [default: 20, or more for --steps-min].
    #[arg(long, env = "PS_PASSES", value_name = "P")]
    pub passes: Option<u64>,
    /// Steps that the job has at least, by more passes where samples are few and in memory [default: 1000; 0 with
    /// --passes].
    #[arg(long, env = "PS_STEPS_MIN", value_name = "N")]
    pub steps_min: Option<u64>,
    /// Samples of one step [default: 32].
    #[arg(long, env = "PS_BATCH_SIZE", value_name = "B")]
    pub batch_size: Option<u64>,
    /// What the servers apply: sgd, momentum, nesterov, adagrad, rmsprop, adam or adamw [default: adamw
    /// with the rate 0.003, a weight decay of 0.2 and the schedule cosine; sgd where --lr is given alone].
    #[arg(long, env = "PS_OPTIMIZER", value_name = "NAME")]
    pub optimizer: Option<String>,
    /// Learning rate [default: by the --optimizer that is given: sgd 0.1, momentum, nesterov, adagrad 0.01, others 0.001].
    #[arg(long, env = "PS_LR", value_name = "RATE")]
    pub lr: Option<f64>,
    /// Momentum, for momentum and nesterov [default: 0.9].
    #[arg(long, env = "PS_MOMENTUM", value_name = "M")]
    pub momentum: Option<f32>,
    /// Decoupled weight decay per push, times the rate [default: 0; adamw 0.01 if it is
    /// given].
    #[arg(long, env = "PS_WEIGHT_DECAY", value_name = "D")]
    pub weight_decay: Option<f32>,
    /// Course of the rate over the job: constant, step or cosine [default: constant if
    /// --optimizer or --lr is given].
    #[arg(long, env = "PS_SCHEDULE", value_name = "NAME")]
    pub schedule: Option<String>,
    /// Share of the job between two steps of `--schedule step` [default: a third].
    #[arg(long, env = "PS_STEP_EVERY", value_name = "SHARE")]
    pub step_every: Option<f64>,
    /// What each step of `--schedule step` multiplies the rate by [default: 0.1].
    #[arg(long, env = "PS_STEP_FACTOR", value_name = "FACTOR")]
    pub step_factor: Option<f64>,
    /// Where `--schedule cosine` ends, as a share of the rate [default: 0].
    #[arg(long, env = "PS_COSINE_MINIMUM", value_name = "SHARE")]
    pub cosine_minimum: Option<f64>,
    /// Share of the job over which the rate rises linearly to its value [default: 0].
    #[arg(long, env = "PS_WARMUP", value_name = "SHARE")]
    pub warmup: Option<f64>,
    /// Clip gradients to this global norm before they are pushed [default: no clipping].
    #[arg(long, env = "PS_CLIP_NORM", value_name = "NORM")]
    pub clip_norm: Option<f64>,
    /// Steps a worker may be ahead of the slowest: a number, 0 for lockstep, or none [default: 8].
    #[arg(long, env = "PS_STALENESS_BOUND", value_name = "STEPS|none")]
    pub staleness_bound: Option<String>,
    /// For which optimizers a stale push's rate is divided by its staleness [default: auto].
    #[arg(long, env = "PS_STALENESS_CORRECTION", value_name = "RULE",
        value_parser = choice::<Correction>())]
    pub staleness_correction: Option<Correction>,
    /// Decides start weights and the order of samples [default: 1].
    #[arg(long, env = "PS_SEED", value_name = "SEED")]
    pub seed: Option<u64>,
    /// How pushed gradients are written: f32, bf16, f16 or int8 [default: f32].
    #[arg(long, env = "PS_WIRE", value_name = "ENCODING")]
    pub wire: Option<Encoding>,
    /// How the weights are written that workers pull to train on: f32, bf16, f16 or int8 [default: f32].
    #[arg(long, env = "PS_WIRE_PULL", value_name = "ENCODING")]
    pub wire_pull: Option<Encoding>,
    /// Push only this share of each chunk's gradient, the largest values; the rest is added to the
    /// next gradient [default: all].
    #[arg(long, env = "PS_TOP_K", value_name = "SHARE")]
    pub top_k: Option<f64>,
    /// Pushes and pulls that a worker has under way while it computes: each hides a round trip and
    /// makes gradients a step staler; at most the staleness bound [default: 0].
    #[arg(long, env = "PS_PIPELINE_DEPTH", value_name = "STEPS")]
    pub pipeline_depth: Option<u64>,
    /// When the loss is not finite, or stays above ten times its start (and at least 9 above it) for
    /// 200 steps and a quarter of a pass: stop the job, warn, or off. Lesser signs are warnings
    /// [default: stop].
    #[arg(long, env = "PS_DIVERGENCE", value_name = "stop|warn|off",
        value_parser = choice::<DivergenceAction>())]
    pub divergence: Option<DivergenceAction>,
    /// Parameters that are not trained, by patterns of their names: `*` stands for any characters, for example
    /// 'embedding.*,*.bias' [default: none].
    #[arg(long, env = "PS_FREEZE", value_name = "PATTERN,..")]
    pub freeze: Option<String>,
    /// Parameters whose rate is multiplied by something, or that have a weight decay of their own; the first group
    /// that matches a name counts: '*.bias:weight-decay=0;encoder.*:lr-scale=0.1' [default: none;
    /// 'linear-path.*:lr-scale=3,weight-decay=0,if-any' with the default optimizer].
    #[arg(long, env = "PS_PARAMETER_GROUPS", value_name = "PATTERN:SETTINGS;..")]
    pub parameter_groups: Option<String>,
    #[command(flatten)]
    #[serde(flatten)]
    #[allow(missing_docs)]
    pub evaluation: EvaluationArgs,
}

/// Steps that a model needs to learn anything, where nobody says how many passes.
const STEPS_MIN: u64 = 1000;

impl TrainingArgs {
    /// The settings they stand for.
    ///
    /// # Errors
    /// An unknown name or a value out of range.
    pub fn settings(&self) -> Result<TrainingSettings, Error> {
        let default = TrainingSettings::default();
        let (optimizer, rate, usual_schedule) = self.optimizer(&default)?;
        let schedule = Schedule::parse(
            self.schedule.as_deref().unwrap_or(usual_schedule),
            self.step_every,
            self.step_factor,
            self.cosine_minimum,
        )?;
        let warmup = self.warmup.unwrap_or(0.0);
        let own_groups = parts(self.parameter_groups.as_deref(), ';').map(str::parse);
        let mut parameter_groups = own_groups.collect::<Result<Vec<ParameterGroup>, _>>()?;
        if self.optimizer.is_none() && self.lr.is_none() {
            // The user's come first, and so count.
            parameter_groups.push(ParameterGroup::of_linear_path());
        }
        let settings = TrainingSettings {
            optimizer,
            learning_rate: LearningRate { base: self.lr.unwrap_or(rate), schedule, warmup },
            staleness_correction: self.staleness_correction.unwrap_or_default(),
            staleness_bound: match &self.staleness_bound {
                Some(word) => bound(word)?,
                None => default.staleness_bound,
            },
            clip_norm: self.clip_norm,
            passes: self.passes.unwrap_or(default.passes),
            steps_min: match (self.steps_min, self.passes) {
                (Some(steps), _) => steps,
                (None, Some(_)) => 0,
                (None, None) => STEPS_MIN,
            },
            batch_size: self.batch_size.unwrap_or(default.batch_size),
            seed: self.seed.unwrap_or(default.seed),
            wire: Wire {
                push: self.wire.unwrap_or_default(),
                pull: self.wire_pull.unwrap_or_default(),
                top_k: self.top_k,
            },
            pipeline_depth: self.pipeline_depth.unwrap_or(default.pipeline_depth),
            divergence: self.divergence.unwrap_or_default(),
            freeze: parts(self.freeze.as_deref(), ',').map(str::to_owned).collect(),
            parameter_groups,
            evaluation: self.evaluation.settings(),
        };
        settings.validate()?;
        Ok(settings)
    }

    /// The optimizer, with the rate and the schedule that go with it where nobody says: of the default, or of whatever is
    /// given.
    fn optimizer(&self, default: &TrainingSettings) -> Result<(Optimizer, f64, &str), Error> {
        // A rate is some optimizer's: one that is given alone is that of plain SGD, as in most scripts.
        let alone = self.lr.map(|_| "sgd");
        if let Some(name) = self.optimizer.as_deref().or(alone) {
            let optimizer = Optimizer::parse(name, self.momentum, self.weight_decay)?;
            return Ok((optimizer, default_rate(&optimizer), "constant"));
        }
        let decay = self.weight_decay.unwrap_or(default.optimizer.weight_decay);
        let optimizer = Optimizer::parse(default.optimizer.name(), self.momentum, Some(decay))?;
        Ok((optimizer, default.learning_rate.base, default.learning_rate.schedule.name()))
    }

    /// The settings that the `PS_*` variables of this process stand for, for a loop of one's own, which knows no schedule
    /// unless one is asked for.
    ///
    /// # Errors
    /// A variable with a value that it cannot have.
    pub fn settings_from_env() -> Result<TrainingSettings, String> {
        let command = Self::augment_args(clap::Command::new("env"));
        let found = command.try_get_matches_from(["env"]).map_err(|error| error.to_string())?;
        let mut args = Self::from_arg_matches(&found).map_err(|error| error.to_string())?;
        args.schedule.get_or_insert_with(|| "constant".to_owned());
        args.settings().map_err(|error| error.to_string())
    }

    /// The options that were given, as variables for a process that takes the same options.
    pub fn to_variables(&self) -> Vec<(String, String)> {
        values(self).into_iter().map(|(name, value)| (variable(&name), value)).collect()
    }
}

impl From<&TrainingSettings> for TrainingArgs {
    /// The options that give these settings.
    fn from(settings: &TrainingSettings) -> Self {
        let LearningRate { base, schedule, warmup } = settings.learning_rate;
        let (mut step_every, mut step_factor, mut cosine_minimum) = (None, None, None);
        match schedule {
            Schedule::Constant => (),
            Schedule::Step { every, factor } => {
                (step_every, step_factor) = (Some(every), Some(factor));
            }
            Schedule::Cosine { minimum } => cosine_minimum = Some(minimum),
        }
        let momentum = match settings.optimizer.kind {
            OptimizerKind::Momentum { momentum } | OptimizerKind::Nesterov { momentum } => {
                Some(momentum)
            }
            _ => None,
        };
        let bound = settings.staleness_bound;
        Self {
            passes: Some(settings.passes),
            steps_min: Some(settings.steps_min),
            batch_size: Some(settings.batch_size),
            optimizer: Some(settings.optimizer.name().to_owned()),
            lr: Some(base),
            momentum,
            weight_decay: Some(settings.optimizer.weight_decay),
            schedule: Some(schedule.name().to_owned()),
            step_every,
            step_factor,
            cosine_minimum,
            warmup: Some(warmup),
            clip_norm: settings.clip_norm,
            staleness_bound: Some(bound.map_or("none".to_owned(), |bound| bound.to_string())),
            staleness_correction: Some(settings.staleness_correction),
            seed: Some(settings.seed),
            wire: Some(settings.wire.push),
            wire_pull: Some(settings.wire.pull),
            top_k: settings.wire.top_k,
            pipeline_depth: Some(settings.pipeline_depth),
            divergence: Some(settings.divergence),
            freeze: joined(&settings.freeze, ","),
            parameter_groups: joined(&settings.parameter_groups, ";"),
            evaluation: EvaluationArgs::from(&settings.evaluation),
        }
    }
}

/// The parts of a list.
fn parts(list: Option<&str>, separator: char) -> impl Iterator<Item = &str> {
    list.into_iter().flat_map(move |list| list.split(separator)).map(str::trim)
}

/// A list of these; `None` for an empty one.
fn joined(parts: &[impl ToString], separator: &str) -> Option<String> {
    let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
    (!parts.is_empty()).then(|| parts.join(separator))
}

/// The optimizer's default, without the digits that `f32` has too many of.
fn default_rate(optimizer: &Optimizer) -> f64 {
    let rate = optimizer.default_learning_rate();
    rate.to_string().parse().unwrap_or_else(|_| f64::from(rate))
}

fn bound(word: &str) -> Result<Option<u64>, Error> {
    match word {
        "none" => Ok(None),
        word => word.parse().map(Some).map_err(|_| Error::Range {
            option: "staleness-bound",
            found: word.to_owned(),
            expected: "a number of steps (0 = lockstep), or none",
        }),
    }
}

#[cfg(test)]
mod tests;
