//! Models: what a user writes, the built-in ones, and how candle computes their gradients.
//!
//! Bringing a model takes one trait, [`Model`]: build it from named variables, and give the outputs for
//! a batch, or the loss. The rest (start values, layout, gradients, evaluation) follows from the names.
//!
//! ```
//! use candle_core::{D, Result, Tensor};
//! use candle_nn::{Linear, Module, VarBuilder, linear};
//! use ps_worker::model::{Batch, DataShape, Model, ModelOptions, Models};
//!
//! struct TwoLayers(Linear, Linear);
//!
//! impl Model for TwoLayers {
//!     fn build(vars: VarBuilder, shape: &DataShape, _: &mut ModelOptions) -> Result<Self> {
//!         let first = linear(shape.inputs(), 32, vars.pp("first"))?;
//!         Ok(Self(first, linear(32, shape.outputs, vars.pp("second"))?))
//!     }
//!
//!     fn outputs(&self, batch: &Batch) -> Result<Option<Tensor>> {
//!         let inputs = batch.features.flatten(1, D::Minus1)?;
//!         self.1.forward(&self.0.forward(&inputs)?.relu()?).map(Some)
//!     }
//! }
//!
//! let models = Models::built_in().with::<TwoLayers>("two-layers");
//! assert!(models.names().any(|name| name == "two-layers"));
//! ```

mod candle_compute;
mod error;
mod flat_vars;
mod initial;
mod lenet;
mod looked_up;
mod measured;
mod mlp;
mod more_classes;
mod objective;
mod options;
mod own_data;
mod own_measures;
mod passes;
mod registry;
mod resnet;
mod seeded_start;
mod small_sets;
mod transformer;
mod wide_deep;

use candle_core::{D, DType, Result, Tensor};
use candle_nn::VarBuilder;

pub use candle_compute::{CandleCompute, ComputeOptions};
pub use error::ModelError;
pub use flat_vars::{FlatGradient, FlatVars};
pub use initial::{
    InitialError, check_schema, initial_schema, initial_weights, initial_weights_of_fewer,
    is_whole_model,
};
pub use looked_up::LookedUp;
pub use mlp::Mlp;
pub use more_classes::MoreClasses;
pub use objective::Objective;
pub use options::ModelOptions;
pub use own_data::DataRequest;
pub use own_measures::Predicted;
pub use registry::Models;
pub use seeded_start::SeededStart;

pub use ps_core::schema::{EmbeddingRule, IdColumn};
use ps_core::{DataDescription, Task};
use ps_data::{Dataset, InputWidth};
use ps_nn::Phase;
use std::sync::Arc;

/// What a model must know of the data to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataShape {
    /// Shape of the features of one sample, such as `[28, 28]`.
    pub features: Vec<usize>,
    /// The columns of ids, of which each sample has one beside its features.
    pub ids: Vec<IdColumn>,
    /// What the model is to tell.
    pub task: Task,
    /// How many outputs that takes: one for each class, number or label.
    pub outputs: usize,
    /// Training samples of the whole job; 0 where nobody knows, as of a stream, or of a model that is only used. Variables and
    /// their shapes must not depend on it.
    pub samples: u64,
}

impl DataShape {
    /// That of the training samples.
    pub fn of(data: &Dataset) -> Self {
        Self {
            features: data.train.shape().to_vec(),
            ids: data.ids.clone(),
            task: data.task,
            outputs: data.outputs,
            samples: data.train.len() as u64,
        }
    }

    /// That of all data of a job.
    pub fn of_job(data: &DataDescription) -> Self {
        let size = |size: &u64| usize::try_from(*size).unwrap_or(usize::MAX);
        Self {
            features: data.shape.iter().map(size).collect(),
            ids: data.ids.clone(),
            task: data.task,
            outputs: data.outputs as usize,
            samples: data.samples,
        }
    }

    /// Inputs of one sample.
    pub fn inputs(&self) -> usize {
        self.features.iter().product()
    }

    /// Numbers and ids of one sample.
    pub fn width(&self) -> InputWidth {
        InputWidth { features: self.inputs(), ids: self.ids.len() }
    }

    /// Channels, height and width of a sample that is an image, with one channel or several.
    ///
    /// # Errors
    /// Samples that are no images.
    pub fn image(&self) -> Result<(usize, usize, usize)> {
        match *self.features.as_slice() {
            [height, width] => Ok((1, height, width)),
            [channels, height, width] => Ok((channels, height, width)),
            _ => candle_core::bail!(
                "samples of shape {:?} are no images, expected [height, width] or [channels, \
                 height, width]; take another --model",
                self.features
            ),
        }
    }
}

/// Some samples, on the device of the model.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `f32` of the shape `[samples, features..]`.
    pub features: Tensor,
    /// `u32` of the shape `[samples, columns]`, in the order of [`DataShape::ids`].
    pub ids: Tensor,
    /// Of classes `u32` of the shape `[samples]`; else `f32` of the shape `[samples, outputs]`: numbers as the model gives
    /// them ([`ps_core::schema::Scale`]), or 1 for each label that a sample has, else 0.
    pub labels: Tensor,
    /// What the outputs are for.
    pub objective: Arc<Objective>,
    /// What it is for.
    pub phase: Phase,
}

impl Batch {
    /// Number of samples.
    pub fn samples(&self) -> usize {
        self.labels.dims().first().copied().unwrap_or_default()
    }

    /// The mean loss of these outputs `[samples, outputs]`: of classes before the softmax, of several labels before the
    /// sigmoid.
    ///
    /// # Errors
    /// Outputs of another shape.
    pub fn loss(&self, outputs: &Tensor) -> Result<Tensor> {
        self.objective.loss(outputs, &self.labels, self.phase)
    }
}

/// How well a model does on one batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchScore {
    /// Mean loss over the batch.
    pub loss: f64,
    /// Samples classified right; `None` for a model that does not classify.
    pub correct: Option<u64>,
}

/// A model that can be trained: the one trait to implement for a model of one's own.
///
/// `ps-nn` has layers whose gradients are checked; candle's go together with them. Beware of candle
/// 0.11's layers without a gradient (`LayerNorm` with bias, `RmsNorm`, `ops::softmax_last_dim`,
/// `rope`): a variable that gets none in the first step is an error that names it; and of
/// `max_pool2d`, whose gradient is wrong. Variables that the model itself changes are refused in the
/// first step unless they are called `running_mean` or `running_var`: those are state, see
/// [`ps_nn::BatchNorm`].
pub trait Model: Send + 'static {
    /// Builds the model; every variable it asks `vars` for, by name, is trained, unless it is frozen.
    ///
    /// # Errors
    /// Shapes or options that the model cannot be built for.
    fn build(vars: VarBuilder, shape: &DataShape, options: &mut ModelOptions) -> Result<Self>
    where
        Self: Sized;

    /// Which columns of categories the model looks up, in [`Batch::ids`], where `--embed` says nothing; all others are inputs,
    /// one for each category. [`EmbeddingRule::Never`]: it knows nothing of ids, and gets none.
    fn embedding() -> EmbeddingRule
    where
        Self: Sized,
    {
        EmbeddingRule::Never
    }

    /// Patterns of the names of variables that are not trained, as of `--freeze`: they stay what they are at the
    /// start. None unless the model says so.
    fn frozen(&self) -> Vec<String> {
        Vec::new()
    }

    /// The mean loss over the batch, a scalar: of the outputs, by the job's task and options, unless the model has a loss
    /// of its own.
    ///
    /// # Errors
    /// What candle says.
    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        match self.outputs(batch)? {
            Some(outputs) => batch.loss(&outputs),
            None => candle_core::bail!(
                "the model has neither outputs nor a loss: implement `Model::outputs`"
            ),
        }
    }

    /// The outputs for the samples, whatever their labels are, `[samples, outputs]`: of classes before the softmax, of several
    /// labels before the sigmoid, of numbers as labels have them. `None` of a model that cannot be used so, and then
    /// has a loss of its own.
    ///
    /// # Errors
    /// What candle says.
    fn outputs(&self, batch: &Batch) -> Result<Option<Tensor>> {
        let _ = batch;
        Ok(None)
    }

    /// The score of a test batch, whose outputs these are: with how many are right if they are classes, else the loss alone;
    /// unless the model says more.
    ///
    /// # Errors
    /// What candle says.
    fn evaluate(&self, batch: &Batch, outputs: Option<&Tensor>) -> Result<BatchScore> {
        match outputs {
            Some(outputs) if batch.objective.task() == Task::Classification => {
                classified(outputs, batch)
            }
            Some(outputs) => Ok(BatchScore { loss: scalar(&batch.loss(outputs)?)?, correct: None }),
            None => Ok(BatchScore { loss: scalar(&self.loss(batch)?)?, correct: None }),
        }
    }
}

/// The score of a classifier from its outputs `[samples, classes]` before the softmax.
///
/// # Errors
/// Outputs of another shape.
pub fn classified(logits: &Tensor, batch: &Batch) -> Result<BatchScore> {
    let loss = scalar(&ps_nn::cross_entropy(logits, &batch.labels)?)?;
    let right = logits.argmax(D::Minus1)?.eq(&batch.labels)?;
    let correct = right.to_dtype(DType::U32)?.sum_all()?.to_scalar::<u32>()?;
    Ok(BatchScore { loss, correct: Some(u64::from(correct)) })
}

/// The number in a tensor of one element.
fn scalar(tensor: &Tensor) -> Result<f64> {
    if tensor.elem_count() != 1 {
        candle_core::bail!(
            "a loss of shape {:?}, expected one number; take the mean over the batch",
            tensor.dims()
        );
    }
    tensor.flatten_all()?.to_dtype(DType::F64)?.get(0)?.to_scalar::<f64>()
}
