//! Causal self-attention.

use super::Linear;
use crate::kernels::attention::Attention;
use crate::saved::SavedForBackward;
use crate::tensor::{Floats, cpu_output, floats, has_kernel, tensor_like};
use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor};
use candle_nn::VarBuilder;

/// Every position attends to itself and to those before it, in several heads (Vaswani et al., 2017).
#[derive(Clone, Debug)]
pub struct CausalSelfAttention {
    heads: usize,
    inputs: Linear,
    outputs: Linear,
}

impl CausalSelfAttention {
    /// A layer with the variables of two [`Linear`] layers: `inputs`, which makes queries, keys and
    /// values, and `outputs`.
    ///
    /// # Errors
    /// A width that the heads cannot share evenly, or what the variables' source says.
    pub fn new(width: usize, heads: usize, vars: VarBuilder) -> Result<Self> {
        if heads == 0 || !width.is_multiple_of(heads) {
            candle_core::bail!("{heads} heads cannot share a width of {width} evenly");
        }
        let inputs = Linear::new(width, 3 * width, vars.pp("inputs"))?;
        Ok(Self { heads, inputs, outputs: Linear::new(width, width, vars.pp("outputs"))? })
    }

    /// The outputs `[samples, positions, width]` for inputs of the same shape.
    ///
    /// # Errors
    /// Inputs of another width.
    pub fn forward(&self, inputs: &Tensor) -> Result<Tensor> {
        let (_, positions, width) = inputs.dims3()?;
        let sizes = Attention { positions, width, heads: self.heads };
        let inputs = self.inputs.forward(inputs)?;
        let attended = if has_kernel(&inputs) {
            inputs.apply_op1(AttentionOp { sizes, probabilities: SavedForBackward::default() })?
        } else {
            composed(&inputs, sizes)?
        };
        self.outputs.forward(&attended)
    }
}

fn composed(inputs: &Tensor, sizes: Attention) -> Result<Tensor> {
    let Attention { positions, width, heads } = sizes;
    let samples = inputs.dim(0)?;
    let part = |part: usize| {
        let part = inputs.narrow(D::Minus1, part * width, width)?;
        part.reshape((samples, positions, heads, width / heads))?.transpose(1, 2)?.contiguous()
    };
    let scale = 1.0 / ((width / heads) as f64).sqrt();
    let products = (part(0)?.matmul(&part(1)?.t()?)? * scale)?;
    let unseen = (0..positions * positions)
        .map(|n| if n % positions > n / positions { f32::NEG_INFINITY } else { 0.0 });
    let unseen = Tensor::from_iter(unseen, inputs.device())?.reshape((positions, positions))?;
    let probabilities = candle_nn::ops::softmax(&products.broadcast_add(&unseen)?, D::Minus1)?;
    let attended = probabilities.matmul(&part(2)?)?.transpose(1, 2)?;
    attended.reshape((samples, positions, width))
}

/// From queries, keys and values side by side to what each position gets.
struct AttentionOp {
    sizes: Attention,
    /// How much each position attends to each.
    probabilities: SavedForBackward<f32>,
}

impl CustomOp1 for AttentionOp {
    fn name(&self) -> &'static str {
        "causal-attention"
    }

    fn cpu_fwd(&self, inputs: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Attention { positions, width, heads } = self.sizes;
        let (samples, _, _) = layout.shape().dims3()?;
        let mut values = vec![0.0; samples * positions * width];
        let mut probabilities = vec![0.0; samples * heads * positions * positions];
        self.sizes.forward(floats(inputs, layout)?, &mut values, &mut probabilities);
        self.probabilities.save(probabilities);
        cpu_output(values, (samples, positions, width))
    }

    fn bwd(&self, inputs: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        let mut of_inputs = vec![0.0; inputs.elem_count()];
        let (given, values) = (Floats::of(&gradient)?, Floats::of(inputs)?);
        self.sizes.backward(&values, self.probabilities.values(), &given, &mut of_inputs);
        tensor_like(of_inputs, inputs).map(Some)
    }
}
