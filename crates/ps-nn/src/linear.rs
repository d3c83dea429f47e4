//! A fully connected layer.

use super::activation::relu_composed;
use crate::delivery::{apply_with_parameters, deliver, gradient_buffer};
use crate::kernels::matrix::{WriteMode, multiply, rows, rows_mut};
use crate::kernels::{add_rows, relu_gradient, shift_rows};
use crate::tensor::{Floats, cpu_output, floats, has_kernel, rows_of, tensor_like, with_last};
use crate::tracked::{tracked, tracked_with_l2};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use candle_nn::{Init, VarBuilder, init};

/// A fully connected layer: `inputs * weight^T + bias`, stored as PyTorch stores it.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
    /// Part of the weight that is added to its gradient.
    l2: f32,
}

impl Linear {
    /// A layer with the variables `weight` of the shape `[outputs, inputs]` and `bias`.
    ///
    /// # Errors
    /// No inputs or no outputs, or what the variables' source says.
    pub fn new(inputs: usize, outputs: usize, vars: VarBuilder) -> Result<Self> {
        let bound = 1.0 / (inputs.max(1) as f64).sqrt();
        let bias_start = Init::Uniform { lo: -bound, up: bound };
        Self::started(inputs, outputs, vars, [init::DEFAULT_KAIMING_NORMAL, bias_start])
    }

    /// The same, whose outputs are 0 until it has learnt something.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_zeros(inputs: usize, outputs: usize, vars: VarBuilder) -> Result<Self> {
        Self::started(inputs, outputs, vars, [init::ZERO, init::ZERO])
    }

    fn started(inputs: usize, outputs: usize, vars: VarBuilder, start: [Init; 2]) -> Result<Self> {
        if inputs == 0 || outputs == 0 {
            candle_core::bail!("a layer from {inputs} to {outputs} values, expected at least one");
        }
        let weight = vars.get_with_hints((outputs, inputs), "weight", start[0])?;
        let bias = vars.get_with_hints(outputs, "bias", start[1])?;
        Ok(Self { weight, bias, l2: 0.0 })
    }

    /// Trained as if the loss were larger by `l2 / 2` times the sum of the squared weights, biases left out. It goes through
    /// the gradient, so that an optimizer that weighs gradients weighs it with them; the loss that is told is without it.
    #[must_use]
    pub fn with_l2(self, l2: f32) -> Self {
        Self { l2, ..self }
    }

    /// The outputs `[.., outputs]` for inputs `[.., inputs]`.
    ///
    /// # Errors
    /// Inputs of another width.
    pub fn forward(&self, inputs: &Tensor) -> Result<Tensor> {
        self.apply(inputs, false)
    }

    /// The same, with negative outputs as zero.
    ///
    /// # Errors
    /// Inputs of another width.
    pub fn forward_relu(&self, inputs: &Tensor) -> Result<Tensor> {
        self.apply(inputs, true)
    }

    fn apply(&self, inputs: &Tensor, relu: bool) -> Result<Tensor> {
        let inputs = inputs.contiguous()?;
        if has_kernel(&inputs) {
            return apply_with_parameters(
                &inputs,
                &self.weight,
                &self.bias,
                LinearOp { relu, l2: self.l2 },
            );
        }
        let (count, width) = rows_of(inputs.shape())?;
        let product = inputs
            .reshape((count, width))?
            .matmul(&tracked_with_l2(&self.weight, self.l2)?.t()?)?;
        let outputs = product.broadcast_add(&tracked(&self.bias)?)?;
        let outputs = outputs.reshape(with_last(inputs.shape(), self.bias.elem_count()))?;
        if relu { relu_composed(&outputs) } else { Ok(outputs) }
    }
}

/// The layer as one operation on inputs, weight and bias.
struct LinearOp {
    relu: bool,
    l2: f32,
}

impl CustomOp3 for LinearOp {
    fn name(&self) -> &'static str {
        "linear"
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
        let (count, width) = rows_of(inputs_layout.shape())?;
        let (outputs, expected) = weight_layout.shape().dims2()?;
        if width != expected {
            candle_core::bail!("{width} inputs for a layer of {expected}");
        }
        let inputs = rows(floats(inputs, inputs_layout)?, width);
        let weight = rows(floats(weight, weight_layout)?, width);
        let mut values = vec![0.0; count * outputs];
        multiply(inputs, weight.t(), rows_mut(&mut values, outputs), WriteMode::Overwrite);
        let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        shift_rows(&mut values, floats(bias, bias_layout)?, floor);
        cpu_output(values, with_last(inputs_layout.shape(), outputs))
    }

    fn bwd(
        &self,
        inputs: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        outputs: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (width, count) = (weight.dim(1)?, bias.elem_count());
        let gradient = gradient.contiguous()?;
        let given = Floats::of(&gradient)?;
        let mut before = Vec::new();
        if self.relu {
            before.resize(given.len(), 0.0);
            relu_gradient(&given, &Floats::of(outputs)?, &mut before);
        }
        let before = rows(if self.relu { &before } else { &given }, count);
        let mut of_weight = gradient_buffer(weight);
        let input_rows = Floats::of(inputs)?;
        let input_rows = rows(&input_rows, width);
        let mut mode = WriteMode::Overwrite;
        if self.l2 > 0.0 {
            mode = WriteMode::Accumulate;
            let weights = Floats::of(weight)?;
            for (gradient, weight) in of_weight.iter_mut().zip(weights.iter()) {
                *gradient = self.l2 * weight;
            }
        }
        multiply(before.t(), input_rows, rows_mut(&mut of_weight, width), mode);
        let mut of_bias = vec![0.0; count];
        add_rows(&mut of_bias, before.as_slice().unwrap_or_default());
        // Handed over before the inputs' is computed: it can leave meanwhile.
        let of_bias = deliver(bias, of_bias)?;
        let of_weight = deliver(weight, of_weight)?;
        if !inputs.track_op() {
            return Ok((None, of_weight, of_bias));
        }
        let mut of_inputs = vec![0.0; inputs.elem_count()];
        let weight = Floats::of(weight)?;
        multiply(
            before,
            rows(&weight, width),
            rows_mut(&mut of_inputs, width),
            WriteMode::Overwrite,
        );
        Ok((Some(tensor_like(of_inputs, inputs)?), of_weight, of_bias))
    }
}
