//! The built-in models: fully connected layers, and regression, which is a single one.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::{Batch, DataShape, Model, ModelOptions};
use ps_nn::Linear;

/// Widths of the hidden layers for images, unless the option `hidden` says otherwise.
const IMAGE_WIDTHS: [usize; 2] = [512, 512];

/// Those for samples that are rows of values: of a table more is learnt by heart than understood.
const ROW_WIDTHS: [usize; 2] = [64, 32];

/// Fully connected layers with ReLU between them; option `hidden`: their widths, by default `512,512` for images and `64,32` for rows
/// of values.
pub struct Mlp {
    layers: Vec<Linear>,
}

impl Mlp {
    /// Layers of these widths and one more for the outputs, named `layer1`, `layer2` and so on.
    ///
    /// # Errors
    /// What candle says.
    pub fn new(vars: &VarBuilder, shape: &DataShape, hidden: &[usize]) -> Result<Self> {
        let mut layers: Vec<Linear> = Vec::with_capacity(hidden.len() + 1);
        let mut inputs = shape.inputs();
        for &width in hidden.iter().chain([&shape.outputs]) {
            if width == 0 {
                candle_core::bail!("a layer of width 0; every layer needs at least one output");
            }
            let name = format!("layer{}", layers.len() + 1);
            layers.push(Linear::new(inputs, width, vars.pp(name))?);
            inputs = width;
        }
        Ok(Self { layers })
    }

    /// The outputs, before a softmax or sigmoid, `[samples, outputs]`.
    ///
    /// # Errors
    /// What candle says.
    pub fn logits(&self, features: &Tensor) -> Result<Tensor> {
        let samples = features.dim(0)?;
        let mut outputs = features.reshape((samples, ()))?;
        let Some((last, hidden)) = self.layers.split_last() else { return Ok(outputs) };
        for layer in hidden {
            outputs = layer.forward_relu(&outputs)?;
        }
        last.forward(&outputs)
    }
}

impl Model for Mlp {
    fn build(vars: VarBuilder, shape: &DataShape, options: &mut ModelOptions) -> Result<Self> {
        let usual = if shape.features.len() == 1 { ROW_WIDTHS } else { IMAGE_WIDTHS };
        let hidden = options.take_list("hidden", usual.to_vec())?;
        Self::new(&vars, shape, &hidden)
    }

    fn outputs(&self, batch: &Batch) -> Result<Option<Tensor>> {
        self.logits(&batch.features).map(Some)
    }
}

/// One layer from the features to the outputs: softmax, logistic or linear regression; no options.
pub(super) struct SoftmaxRegression(Mlp);

impl Model for SoftmaxRegression {
    fn build(vars: VarBuilder, shape: &DataShape, _: &mut ModelOptions) -> Result<Self> {
        Ok(Self(Mlp::new(&vars, shape, &[])?))
    }

    fn outputs(&self, batch: &Batch) -> Result<Option<Tensor>> {
        self.0.outputs(batch)
    }
}
