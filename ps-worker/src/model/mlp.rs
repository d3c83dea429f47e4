//! The built-in models: fully connected layers, and regression, which is a single one.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::looked_up::{LookedUp, width_or_usual};
use super::options::WIDTH_MAX;
use super::small_sets::L2;
use super::{Batch, DataShape, Model, ModelOptions};
use ps_core::parameters::LINEAR_PATH;
use ps_core::schema::EmbeddingRule;
use ps_nn::Linear;

/// Widths of the hidden layers for images, unless the option `hidden` says otherwise.
const IMAGE_WIDTHS: [usize; 2] = [512, 512];

/// Those for samples that are rows of values: of a table more is learnt by heart than understood.
const ROW_WIDTHS: [usize; 2] = [64, 32];

/// Fully connected layers with ReLU between them and, for rows of values, a linear path from the features to the outputs beside
/// them; options: `hidden`, their widths, by default `512,512` for images and `64,32` for rows of values; `embed-width`, the
/// width of the rows that ids are looked up in, by default by their number; `linear-path`, true or false; `l2`, which
/// follows from the number of samples unless it is given (docs/adr/0035).
pub struct Mlp {
    looked_up: LookedUp,
    layers: Vec<Linear>,
    linear_path: Option<Linear>,
}

impl Mlp {
    /// Layers of these widths and one more for the outputs, named `layer1`, `layer2` and so on, over the features and
    /// what is looked up.
    ///
    /// # Errors
    /// What candle says.
    pub fn new(
        vars: &VarBuilder,
        shape: &DataShape,
        looked_up: LookedUp,
        hidden: &[usize],
    ) -> Result<Self> {
        Self::with_l2(vars, shape, looked_up, hidden, 0.0)
    }

    fn with_l2(
        vars: &VarBuilder,
        shape: &DataShape,
        looked_up: LookedUp,
        hidden: &[usize],
        l2: f32,
    ) -> Result<Self> {
        let mut layers: Vec<Linear> = Vec::with_capacity(hidden.len() + 1);
        let mut inputs = shape.inputs() + looked_up.width();
        for &width in hidden.iter().chain([&shape.outputs]) {
            if width == 0 {
                candle_core::bail!("a layer of width 0; every layer needs at least one output");
            }
            let name = format!("layer{}", layers.len() + 1);
            layers.push(Linear::new(inputs, width, vars.pp(name))?.with_l2(l2));
            inputs = width;
        }
        Ok(Self { looked_up, layers, linear_path: None })
    }

    /// The layers alone, as the options say.
    pub(super) fn deep(
        vars: &VarBuilder,
        shape: &DataShape,
        options: &mut ModelOptions,
        l2: f32,
    ) -> Result<Self> {
        let usual = if is_row(shape) { ROW_WIDTHS } else { IMAGE_WIDTHS };
        let hidden = options.take_list_within("hidden", usual.to_vec(), 0..=WIDTH_MAX)?;
        let width = width_or_usual(options.take_within("embed-width", 0, 0..=WIDTH_MAX)?);
        let looked_up = LookedUp::new(&vars.pp("embed"), &shape.ids, width)?;
        Self::with_l2(vars, shape, looked_up, &hidden, l2)
    }

    /// The outputs, before a softmax or sigmoid, `[samples, outputs]`.
    ///
    /// # Errors
    /// What candle says.
    pub fn logits(&self, batch: &Batch) -> Result<Tensor> {
        let features = batch.features.flatten_from(1)?;
        let mut outputs = match self.looked_up.forward(&batch.ids)? {
            Some(rows) if features.dim(1)? == 0 => rows,
            Some(rows) => Tensor::cat(&[&features, &rows], 1)?,
            None => features,
        };
        let linear = match &self.linear_path {
            Some(path) => Some(path.forward(&batch.features.flatten_from(1)?)?),
            None => None,
        };
        let Some((last, hidden)) = self.layers.split_last() else { return Ok(outputs) };
        for layer in hidden {
            outputs = layer.forward_relu(&outputs)?;
        }
        let outputs = last.forward(&outputs)?;
        match linear {
            Some(linear) => outputs + linear,
            None => Ok(outputs),
        }
    }
}

fn is_row(shape: &DataShape) -> bool {
    shape.features.len() == 1
}

impl Model for Mlp {
    fn build(vars: VarBuilder, shape: &DataShape, options: &mut ModelOptions) -> Result<Self> {
        let has_path = options.take("linear-path", is_row(shape) && shape.inputs() > 0)?;
        let l2 = if has_path { L2::of(shape, options)? } else { L2::default() };
        let mut model = Self::deep(&vars, shape, options, l2.hidden)?;
        if has_path {
            let path = Linear::of_zeros(shape.inputs(), shape.outputs, vars.pp(LINEAR_PATH))?;
            model.linear_path = Some(path.with_l2(l2.linear));
        }
        Ok(model)
    }

    fn embedding() -> EmbeddingRule {
        EmbeddingRule::Large
    }

    fn outputs(&self, batch: &Batch) -> Result<Option<Tensor>> {
        self.logits(batch).map(Some)
    }
}

/// One layer from the features to the outputs: softmax, logistic or linear regression; no options. Of an id, the row that is
/// looked up is added to the outputs, as if each were an input.
pub(super) struct SoftmaxRegression {
    looked_up: LookedUp,
    layer: Option<Linear>,
}

impl SoftmaxRegression {
    pub(super) fn logits(&self, batch: &Batch) -> Result<Tensor> {
        let features = batch.features.flatten_from(1)?;
        let linear = self.layer.as_ref().map(|layer| layer.forward(&features)).transpose()?;
        match (linear, self.looked_up.sum(&batch.ids)?) {
            (Some(linear), Some(rows)) => linear + rows,
            (Some(one), None) | (None, Some(one)) => Ok(one),
            (None, None) => candle_core::bail!("samples without features and ids"),
        }
    }
}

impl Model for SoftmaxRegression {
    fn build(vars: VarBuilder, shape: &DataShape, _: &mut ModelOptions) -> Result<Self> {
        let looked_up = LookedUp::of_zeros(&vars.pp("embed"), &shape.ids, shape.outputs)?;
        let layer = || Linear::new(shape.inputs(), shape.outputs, vars.pp("layer1"));
        Ok(Self { looked_up, layer: (shape.inputs() > 0).then(layer).transpose()? })
    }

    fn embedding() -> EmbeddingRule {
        EmbeddingRule::Large
    }

    fn outputs(&self, batch: &Batch) -> Result<Option<Tensor>> {
        self.logits(batch).map(Some)
    }
}
