//! What can be wrong with a model.

use crate::compute::ComputeError;

/// Why a model cannot be built, or its variables cannot be one flat vector.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum ModelError {
    /// No model has this name.
    #[error("no model is named `{name}`; known: {known}")]
    Unknown { name: String, known: String },
    /// An option that the model does not have, or with a value it cannot use.
    #[error("model `{model}`: {problem}")]
    Option { model: String, problem: String },
    /// Data with ids, and a model that knows none.
    #[error(
        "model `{model}` looks nothing up, but the samples have {ids} columns of ids: take --model mlp, linear or wide-deep, \
         or data without (of tables: --embed none)"
    )]
    LooksNothingUp { model: String, ids: usize },
    /// Candle refused.
    #[error("{doing}: {source}")]
    Candle { doing: String, source: candle_core::Error },
    /// The data here are not like those of the job.
    #[error(
        "the samples here are of shape {found:?}, those of the job of shape {expected:?}: all data \
         of a job must be of one set"
    )]
    OtherShape { found: Vec<usize>, expected: Vec<usize> },
    /// The columns that are looked up are not like those of the job.
    #[error(
        "the samples here have {found} columns of ids, those of the job {expected}: read all data of a job with the same \
         options (--embed, --schema)"
    )]
    OtherIds { found: usize, expected: usize },
    /// The labels here do not fit into the job's model.
    #[error(
        "the labels here are of {found} classes, the job has {expected}: give --classes {found}"
    )]
    MoreClasses { found: usize, expected: usize },
    /// A measure of the program's own.
    #[error("{0}")]
    Measure(String),
    /// A loss that the task does not have, or weights of classes that are none.
    #[error("{0}")]
    Loss(String),
    /// The variables are not a model.
    #[error(transparent)]
    Layout(#[from] ps_core::layout::Error),
    /// A variable that holds something else than `f32`.
    #[error(
        "variable `{name}` is {found:?}, only F32 is trained; build the model from the variables \
         it is given, without converting them"
    )]
    NotF32 { name: String, found: candle_core::DType },
    /// One variable with two names would be trained twice.
    #[error(
        "variables `{first}` and `{second}` are one and the same; store it under one name and use \
         that twice in the model"
    )]
    Shared { first: String, second: String },
    /// Patterns that leave nothing.
    #[error(
        "every parameter of the model is frozen: there is nothing to train; leave some out of --freeze"
    )]
    AllFrozen,
    /// Patterns of the model's own that do not fit it.
    #[error(transparent)]
    Parameters(#[from] ps_core::parameters::Error),
    /// A flat vector of another length.
    #[error("{found} weights for a model of {expected}; do all processes build the same model?")]
    Length { found: usize, expected: usize },
    /// A variable that the model changes in its own forward pass.
    #[error(
        "variable `{0}` was changed by the model's own forward pass; the change would be lost at \
         the next step. Only running statistics, called `running_mean` and `running_var`, are kept"
    )]
    ChangedByModel(String),
    /// Variables that the first step did not train.
    #[error(
        "no gradient for the variable `{0}` in the first step: it would never be trained. Does the \
         loss depend on it? Some of candle's layers (LayerNorm with bias, RmsNorm, \
         softmax_last_dim, rope) cut the gradient off; use those of ps_nn. If it shall stay as it is, say so: \
         --freeze, or `Model::frozen`"
    )]
    NoGradient(String),
    /// A model that uses its variables otherwise than in its first step.
    #[error(
        "the gradient of variable `{0}` had already left when candle's own operations added to it, \
         which they did not do in the first step; let every step use the variables alike"
    )]
    LateGradient(String),
    /// Something else took the step's gradients.
    #[error("the gradients of the step were taken away while they were computed: this is a bug")]
    NoCollector,
    /// Data that the model cannot be trained on; boxed, because it is large.
    #[error(transparent)]
    Data(Box<ps_data::Error>),
}

impl ModelError {
    /// Says what was being done when candle refused.
    pub(super) fn candle(doing: impl Into<String>) -> impl FnOnce(candle_core::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Candle { doing, source: plain(source) }
    }
}

/// The error as people read it: with `RUST_BACKTRACE` set, candle's own text ends with pages of a
/// backtrace, which are for whoever asks for `--log debug`.
fn plain(mut error: candle_core::Error) -> candle_core::Error {
    while let candle_core::Error::WithBacktrace { inner, backtrace } = error {
        tracing::debug!("{inner}\n{backtrace}");
        error = *inner;
    }
    error
}

impl From<ps_data::Error> for ModelError {
    fn from(error: ps_data::Error) -> Self {
        Self::Data(Box::new(error))
    }
}

impl From<ModelError> for ComputeError {
    fn from(error: ModelError) -> Self {
        Self(error.to_string())
    }
}
