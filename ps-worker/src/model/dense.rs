//! A fully connected layer whose gradient costs less on a CPU than candle's own.
//!
//! Candle's `Linear` computes the gradient of the weights transposed, copies it into place, and
//! computes the gradient of the layer's inputs even where nothing asks for it, as for the first
//! layer, whose inputs are data. One operation with its own backward pass avoids both. On a GPU the
//! layer is made of candle's operations.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use candle_nn::{Init, VarBuilder, init};

/// Whether anything needs the gradient of a layer's inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputGradient {
    /// Trained layers come before.
    Needed,
    /// The inputs are data.
    Unused,
}

/// A fully connected layer: `inputs * weight^T + bias`, stored as PyTorch stores it.
pub struct Dense {
    weight: Tensor,
    bias: Tensor,
    input_gradient: InputGradient,
}

impl Dense {
    /// A layer with the variables `weight` of the shape `[outputs, inputs]` and `bias`.
    ///
    /// # Errors
    /// What the variables' source says.
    pub fn new(
        inputs: usize,
        outputs: usize,
        input_gradient: InputGradient,
        vars: VarBuilder,
    ) -> Result<Self> {
        let bound = 1.0 / (inputs.max(1) as f64).sqrt();
        let bias_start = Init::Uniform { lo: -bound, up: bound };
        let weight =
            vars.get_with_hints((outputs, inputs), "weight", init::DEFAULT_KAIMING_NORMAL)?;
        let bias = vars.get_with_hints(outputs, "bias", bias_start)?;
        Ok(Self { weight, bias, input_gradient })
    }

    /// The outputs `[samples, outputs]` for inputs `[samples, inputs]`.
    ///
    /// # Errors
    /// Inputs of another shape.
    pub fn forward(&self, inputs: &Tensor) -> Result<Tensor> {
        if inputs.device().is_cpu() {
            let layer = CpuDense { input_gradient: self.input_gradient };
            return inputs.apply_op3(&self.weight, &self.bias, layer);
        }
        inputs.matmul(&self.weight.t()?)?.broadcast_add(&self.bias)
    }
}

/// The layer as one operation on inputs, weight and bias.
struct CpuDense {
    input_gradient: InputGradient,
}

impl CustomOp3 for CpuDense {
    fn name(&self) -> &'static str {
        "dense"
    }

    fn cpu_fwd(
        &self,
        inputs: &CpuStorage,
        inputs_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (samples, inputs_each) = inputs_layout.shape().dims2()?;
        let (outputs, expected) = weight_layout.shape().dims2()?;
        if inputs_each != expected {
            candle_core::bail!("{inputs_each} inputs for a layer of {expected}");
        }
        let sizes = (1, samples, outputs, inputs_each);
        let transposed = weight_layout.transpose(0, 1)?;
        let mut product = inputs.matmul(weight, sizes, inputs_layout, &transposed)?;
        let bias = contiguous(bias.as_slice::<f32>()?, bias_layout)?;
        if let CpuStorage::F32(values) = &mut product {
            for row in values.chunks_exact_mut(outputs) {
                for (value, bias) in row.iter_mut().zip(bias) {
                    *value += bias;
                }
            }
        }
        Ok((product, Shape::from((samples, outputs))))
    }

    fn bwd(
        &self,
        inputs: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        _outputs: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let for_inputs = match self.input_gradient {
            InputGradient::Needed => Some(gradient.matmul(weight)?),
            InputGradient::Unused => None,
        };
        let for_weight = gradient.t()?.matmul(inputs)?;
        let for_bias = gradient.sum(0)?;
        Ok((for_inputs, Some(for_weight), Some(for_bias)))
    }
}

/// The values of a contiguous tensor.
pub(super) fn contiguous<'a>(values: &'a [f32], layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => candle_core::bail!("a tensor of strides {:?}, not contiguous", layout.stride()),
    }
}
