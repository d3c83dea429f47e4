//! The options that say how to train, shared by whoever decides it: the master, or a worker alone.

use clap::{Args, FromArgMatches};
use ps_core::correction::Correction;
use ps_core::schedule::{LearningRate, Schedule};
use ps_core::settings::Wire;
use ps_core::settings::{Error, TrainingSettings};
use ps_kernels::encoding::Encoding;
use ps_kernels::optimizer::{Optimizer, OptimizerKind};

/// Default of `--passes`.
pub const PASSES: u64 = 20;
/// Default of `--batch-size`.
pub const BATCH_SIZE: u64 = 32;
/// Default of `--staleness-bound`: lets unequal workers run apart, yet keeps gradients useful.
pub const STALENESS_BOUND: u64 = 8;

/// Default of `--pipeline-depth`: on the machines that it was measured on, more costs more than it
/// hides (docs/performance.md).
pub const PIPELINE_DEPTH: u64 = 0;

/// How to train. Options left out have the defaults that the help names.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Training")]
pub struct TrainingArgs {
    /// Passes over the training data [default: 20].
    #[arg(long, env = "PS_PASSES", value_name = "P")]
    pub passes: Option<u64>,
    /// Samples of one step [default: 32].
    #[arg(long, env = "PS_BATCH_SIZE", value_name = "B")]
    pub batch_size: Option<u64>,
    /// What the servers apply: sgd, momentum, nesterov, adagrad, rmsprop, adam or adamw [default: sgd].
    #[arg(long, env = "PS_OPTIMIZER", value_name = "NAME")]
    pub optimizer: Option<String>,
    /// Learning rate [default: by optimizer: sgd 0.1, momentum, nesterov, adagrad 0.01, others 0.001].
    #[arg(long, env = "PS_LR", value_name = "RATE")]
    pub lr: Option<f64>,
    /// Momentum, for momentum and nesterov [default: 0.9].
    #[arg(long, env = "PS_MOMENTUM", value_name = "M")]
    pub momentum: Option<f32>,
    /// Decoupled weight decay per push, times the rate [default: 0; adamw 0.01].
    #[arg(long, env = "PS_WEIGHT_DECAY", value_name = "D")]
    pub weight_decay: Option<f32>,
    /// Course of the rate over the job: constant, step or cosine [default: constant].
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
    /// Divide a stale push's rate by its staleness: auto (where the optimizer has memory), none, lr
    /// (always) [default: auto].
    #[arg(long, env = "PS_STALENESS_CORRECTION", value_name = "RULE")]
    pub staleness_correction: Option<String>,
    /// Decides start weights and the order of samples [default: 1].
    #[arg(long, env = "PS_SEED", value_name = "SEED")]
    pub seed: Option<u64>,
    /// How pushed gradients are written: f32, bf16, f16 or int8 [default: f32].
    #[arg(long, env = "PS_WIRE", value_name = "ENCODING")]
    pub wire: Option<String>,
    /// How the weights are written that workers pull to train on: f32, bf16, f16 or int8 [default: f32].
    #[arg(long, env = "PS_WIRE_PULL", value_name = "ENCODING")]
    pub wire_pull: Option<String>,
    /// Push only this share of each chunk's gradient, the largest values; the rest is added to the
    /// next gradient [default: all].
    #[arg(long, env = "PS_TOP_K", value_name = "SHARE")]
    pub top_k: Option<f64>,
    /// Pushes and pulls that a worker has under way while it computes: each hides a round trip and
    /// makes gradients a step staler; at most the staleness bound [default: 0].
    #[arg(long, env = "PS_PIPELINE_DEPTH", value_name = "STEPS")]
    pub pipeline_depth: Option<u64>,
}

impl TrainingArgs {
    /// The settings they stand for.
    ///
    /// # Errors
    /// An unknown name or a value out of range.
    pub fn settings(&self) -> Result<TrainingSettings, Error> {
        let name = self.optimizer.as_deref().unwrap_or("sgd");
        let optimizer = Optimizer::parse(name, self.momentum, self.weight_decay)?;
        let base = self.lr.unwrap_or_else(|| default_rate(&optimizer));
        let schedule = Schedule::parse(
            self.schedule.as_deref().unwrap_or("constant"),
            self.step_every,
            self.step_factor,
            self.cosine_minimum,
        )?;
        let warmup = self.warmup.unwrap_or(0.0);
        let settings = TrainingSettings {
            optimizer,
            learning_rate: LearningRate { base, schedule, warmup },
            staleness_correction: correction(self.staleness_correction.as_deref())?,
            staleness_bound: bound(self.staleness_bound.as_deref())?,
            clip_norm: self.clip_norm,
            passes: self.passes.unwrap_or(PASSES),
            batch_size: self.batch_size.unwrap_or(BATCH_SIZE),
            seed: self.seed.unwrap_or(1),
            wire: Wire {
                push: encoding("wire", self.wire.as_deref())?,
                pull: encoding("wire-pull", self.wire_pull.as_deref())?,
                top_k: self.top_k,
            },
            pipeline_depth: self.pipeline_depth.unwrap_or(PIPELINE_DEPTH),
        };
        settings.validate()?;
        Ok(settings)
    }

    /// The settings that the `PS_*` variables of this process stand for.
    ///
    /// # Errors
    /// A variable with a value that it cannot have.
    pub fn settings_from_env() -> Result<TrainingSettings, String> {
        let command = Self::augment_args(clap::Command::new("env"));
        let found = command.try_get_matches_from(["env"]).map_err(|error| error.to_string())?;
        let args = Self::from_arg_matches(&found).map_err(|error| error.to_string())?;
        args.settings().map_err(|error| error.to_string())
    }

    /// The options that were given, as variables for a process that takes the same options.
    pub fn to_variables(&self) -> Vec<(String, String)> {
        self.to_args().iter().map(|argument| variable(argument)).collect()
    }

    /// The options that were given, as arguments for a process that takes the same.
    pub fn to_args(&self) -> Vec<String> {
        let text = |value: &Option<String>| value.clone();
        fn number<T: ToString>(value: &Option<T>) -> Option<String> {
            value.as_ref().map(T::to_string)
        }
        let options = [
            ("--passes", number(&self.passes)),
            ("--batch-size", number(&self.batch_size)),
            ("--optimizer", text(&self.optimizer)),
            ("--lr", number(&self.lr)),
            ("--momentum", number(&self.momentum)),
            ("--weight-decay", number(&self.weight_decay)),
            ("--schedule", text(&self.schedule)),
            ("--step-every", number(&self.step_every)),
            ("--step-factor", number(&self.step_factor)),
            ("--cosine-minimum", number(&self.cosine_minimum)),
            ("--warmup", number(&self.warmup)),
            ("--clip-norm", number(&self.clip_norm)),
            ("--staleness-bound", text(&self.staleness_bound)),
            ("--staleness-correction", text(&self.staleness_correction)),
            ("--seed", number(&self.seed)),
            ("--wire", text(&self.wire)),
            ("--wire-pull", text(&self.wire_pull)),
            ("--top-k", number(&self.top_k)),
            ("--pipeline-depth", number(&self.pipeline_depth)),
        ];
        let given = options.into_iter().filter_map(|(name, value)| Some((name, value?)));
        given.map(|(name, value)| format!("{name}={value}")).collect()
    }
}

/// The variable that says what an argument `--name` or `--name=value` says.
pub fn variable(argument: &str) -> (String, String) {
    let (name, value) = argument.split_once('=').unwrap_or((argument, "true"));
    let name = name.trim_start_matches('-').to_uppercase().replace('-', "_");
    (format!("PS_{name}"), value.to_owned())
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
            staleness_correction: Some(settings.staleness_correction.name().to_owned()),
            seed: Some(settings.seed),
            wire: Some(settings.wire.push.name().to_owned()),
            wire_pull: Some(settings.wire.pull.name().to_owned()),
            top_k: settings.wire.top_k,
            pipeline_depth: Some(settings.pipeline_depth),
        }
    }
}

/// The optimizer's default, without the digits that `f32` has too many of.
fn default_rate(optimizer: &Optimizer) -> f64 {
    let rate = optimizer.default_learning_rate();
    rate.to_string().parse().unwrap_or_else(|_| f64::from(rate))
}

fn correction(word: Option<&str>) -> Result<Correction, Error> {
    let Some(word) = word else {
        return Ok(Correction::default());
    };
    word.parse().map_err(|_| Error::Range {
        option: "staleness-correction",
        found: word.to_owned(),
        expected: "auto, none or lr",
    })
}

fn encoding(option: &'static str, word: Option<&str>) -> Result<Encoding, Error> {
    let Some(word) = word else {
        return Ok(Encoding::default());
    };
    let expected = "f32, bf16, f16 or int8";
    word.parse().map_err(|_| Error::Range { option, found: word.to_owned(), expected })
}

fn bound(word: Option<&str>) -> Result<Option<u64>, Error> {
    match word {
        None => Ok(Some(STALENESS_BOUND)),
        Some("none") => Ok(None),
        Some(word) => word.parse().map(Some).map_err(|_| Error::Range {
            option: "staleness-bound",
            found: word.to_owned(),
            expected: "a number of steps (0 = lockstep), or none",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_round() {
        let settings = TrainingArgs::default().settings().unwrap();
        assert_eq!(settings.learning_rate.base, 0.1);
        assert_eq!(settings.staleness_bound, Some(STALENESS_BOUND));
        let adam = TrainingArgs { optimizer: Some("adam".into()), ..TrainingArgs::default() };
        assert_eq!(adam.settings().unwrap().learning_rate.base, 0.001);
    }

    #[test]
    fn bad_values_are_named() {
        let none = TrainingArgs { staleness_bound: Some("none".into()), ..Default::default() };
        assert_eq!(none.settings().unwrap().staleness_bound, None);
        let bad = TrainingArgs { staleness_bound: Some("-1".into()), ..Default::default() };
        assert!(bad.settings().unwrap_err().to_string().contains("--staleness-bound"));
        let deep = |depth, bound: &str| TrainingArgs {
            pipeline_depth: Some(depth),
            staleness_bound: Some(bound.into()),
            ..Default::default()
        };
        assert_eq!(deep(2, "2").settings().unwrap().pipeline_depth, 2);
        assert_eq!(deep(16, "none").settings().unwrap().pipeline_depth, 16);
        let error = deep(3, "2").settings().unwrap_err().to_string();
        assert!(error.contains("--pipeline-depth 3") && error.contains("own pushes"), "{error}");
        let error = deep(17, "none").settings().unwrap_err().to_string();
        assert!(error.contains("--pipeline-depth: found 17"), "{error}");
        let lockstep = TrainingArgs { staleness_bound: Some("0".into()), ..Default::default() };
        assert!(lockstep.settings().is_ok(), "the default suits every bound");
        let bad = TrainingArgs { passes: Some(0), ..Default::default() };
        assert!(bad.settings().unwrap_err().to_string().contains("--passes"));
        let bad = TrainingArgs { optimizer: Some("sdg".into()), ..Default::default() };
        assert!(bad.settings().unwrap_err().to_string().contains("sgd"));
        let bad = TrainingArgs { wire_pull: Some("fp16".into()), ..Default::default() };
        let error = bad.settings().unwrap_err().to_string();
        assert!(error.contains("--wire-pull") && error.contains("bf16"), "{error}");
        for share in [0.0, -0.1, 1.1, f64::NAN] {
            let bad = TrainingArgs { top_k: Some(share), ..Default::default() };
            assert!(bad.settings().unwrap_err().to_string().contains("--top-k"), "{share}");
        }
    }

    #[test]
    fn settings_are_told_and_read_whole() {
        let steps = TrainingArgs {
            optimizer: Some("nesterov".into()),
            momentum: Some(0.8),
            weight_decay: Some(0.01),
            lr: Some(0.03),
            schedule: Some("step".into()),
            step_every: Some(0.25),
            step_factor: Some(0.5),
            warmup: Some(0.1),
            clip_norm: Some(2.0),
            staleness_bound: Some("none".into()),
            staleness_correction: Some("lr".into()),
            wire: Some("int8".into()),
            wire_pull: Some("bf16".into()),
            top_k: Some(0.01),
            pipeline_depth: Some(2),
            ..TrainingArgs::default()
        };
        let waves = TrainingArgs {
            optimizer: Some("adamw".into()),
            schedule: Some("cosine".into()),
            cosine_minimum: Some(0.2),
            ..TrainingArgs::default()
        };
        for args in [TrainingArgs::default(), steps, waves] {
            let settings = args.settings().unwrap();
            assert_eq!(TrainingArgs::from(&settings).settings().unwrap(), settings);
        }
        assert_eq!(variable("--batch-size=3"), ("PS_BATCH_SIZE".into(), "3".into()));
        assert_eq!(variable("--sharded"), ("PS_SHARDED".into(), "true".into()));
    }

    #[test]
    fn given_options_are_passed_on() {
        let args = TrainingArgs { lr: Some(0.5), seed: Some(3), ..TrainingArgs::default() };
        assert_eq!(args.to_args(), vec!["--lr=0.5", "--seed=3"]);
    }
}
