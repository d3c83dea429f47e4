//! Activations as layers without variables.

pub use crate::kernels::activation::Activation;
use crate::kernels::activation::{activate, activate_back};
use crate::tensor::{Floats, cpu_output, floats, has_kernel, tensor_like};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

impl Activation {
    /// The function of each value.
    ///
    /// # Errors
    /// What candle says.
    pub fn forward(self, inputs: &Tensor) -> Result<Tensor> {
        let inputs = inputs.contiguous()?;
        if has_kernel(&inputs) {
            return inputs.apply_op1(ActivationOp(self));
        }
        match self {
            Self::Relu => relu_composed(&inputs),
            Self::Gelu => inputs.gelu(),
            Self::Silu => inputs.silu(),
            Self::Tanh => inputs.tanh(),
            Self::Sigmoid => candle_nn::ops::sigmoid(&inputs),
        }
    }
}

/// Candle's own turns what is not a number into zero, which would hide that a job diverges, and has a
/// derivative of one at zero.
pub(super) fn relu_composed(inputs: &Tensor) -> Result<Tensor> {
    inputs.le(0.0)?.where_cond(&inputs.zeros_like()?, inputs)
}

struct ActivationOp(Activation);

impl CustomOp1 for ActivationOp {
    fn name(&self) -> &'static str {
        "activation"
    }

    fn cpu_fwd(&self, inputs: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let inputs = floats(inputs, layout)?;
        let mut values = vec![0.0; inputs.len()];
        activate(self.0, inputs, &mut values);
        cpu_output(values, layout.shape())
    }

    fn bwd(&self, inputs: &Tensor, outputs: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        let mut of_inputs = vec![0.0; inputs.elem_count()];
        let (given, came_out) = (Floats::of(&gradient)?, Floats::of(outputs)?);
        activate_back(self.0, &Floats::of(inputs)?, &came_out, &given, &mut of_inputs);
        tensor_like(of_inputs, inputs).map(Some)
    }
}
