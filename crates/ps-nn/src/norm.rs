//! Norms over the last dimension: layer norm (Ba et al., 2016) and RMS norm (Zhang and Sennrich,
//! 2019).

use crate::delivery::{apply_with_parameters, deliver};
use crate::kernels::normalization::{Moments, moments, normalize_row, normalize_row_back};
use crate::saved::SavedForBackward;
use crate::tensor::{Floats, cpu_output, floats, has_kernel, rows_of, tensor_like};
use crate::tracked::tracked;
use candle_core::{CpuStorage, CustomOp3, D, Layout, Result, Shape, Tensor};
use candle_nn::{Init, VarBuilder};

/// Normalises each row to mean 0 and variance 1, then scales and shifts it by what is learnt.
#[derive(Clone, Debug)]
pub struct LayerNorm(Norm);

/// Normalises each row to a mean square of 1, then scales it by what is learnt.
#[derive(Clone, Debug)]
pub struct RmsNorm(Norm);

#[derive(Clone, Debug)]
struct Norm {
    weight: Tensor,
    bias: Tensor,
    centred: bool,
    epsilon: f32,
}

impl LayerNorm {
    /// A norm of rows of this width, with the variables `weight` and `bias`.
    ///
    /// # Errors
    /// What the variables' source says.
    pub fn new(width: usize, epsilon: f64, vars: VarBuilder) -> Result<Self> {
        let weight = vars.get_with_hints(width, "weight", Init::Const(1.0))?;
        let bias = vars.get_with_hints(width, "bias", Init::Const(0.0))?;
        Ok(Self(Norm { weight, bias, centred: true, epsilon: epsilon as f32 }))
    }

    /// The rows of `[.., width]`, normalised.
    ///
    /// # Errors
    /// Rows of another width.
    pub fn forward(&self, inputs: &Tensor) -> Result<Tensor> {
        self.0.forward(inputs)
    }
}

impl RmsNorm {
    /// A norm of rows of this width, with the variable `weight`.
    ///
    /// # Errors
    /// What the variables' source says.
    pub fn new(width: usize, epsilon: f64, vars: VarBuilder) -> Result<Self> {
        let weight = vars.get_with_hints(width, "weight", Init::Const(1.0))?;
        let bias = Tensor::zeros(width, vars.dtype(), vars.device())?;
        Ok(Self(Norm { weight, bias, centred: false, epsilon: epsilon as f32 }))
    }

    /// The rows of `[.., width]`, normalised.
    ///
    /// # Errors
    /// Rows of another width.
    pub fn forward(&self, inputs: &Tensor) -> Result<Tensor> {
        self.0.forward(inputs)
    }
}

impl Norm {
    fn forward(&self, inputs: &Tensor) -> Result<Tensor> {
        let inputs = inputs.contiguous()?;
        if has_kernel(&inputs) {
            let Self { centred, epsilon, .. } = *self;
            let layer = NormOp { centred, epsilon, moments: SavedForBackward::default() };
            return apply_with_parameters(&inputs, &self.weight, &self.bias, layer);
        }
        let centre = || inputs.broadcast_sub(&inputs.mean_keepdim(D::Minus1)?);
        let inputs = if self.centred { centre()? } else { inputs };
        let variance = (inputs.sqr()?.mean_keepdim(D::Minus1)? + f64::from(self.epsilon))?;
        let normal = inputs.broadcast_div(&variance.sqrt()?)?;
        let scaled = normal.broadcast_mul(&tracked(&self.weight)?)?;
        if self.centred { scaled.broadcast_add(&tracked(&self.bias)?) } else { Ok(scaled) }
    }
}

struct NormOp {
    centred: bool,
    epsilon: f32,
    /// Of each row.
    moments: SavedForBackward<Moments>,
}

impl CustomOp3 for NormOp {
    fn name(&self) -> &'static str {
        "norm"
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
        let (_, width) = rows_of(inputs_layout.shape())?;
        let weight = floats(weight, weight_layout)?;
        if width != weight.len() {
            candle_core::bail!("rows of {width} for a norm of {}", weight.len());
        }
        let bias = if self.centred { floats(bias, bias_layout)? } else { &[] };
        let inputs = floats(inputs, inputs_layout)?.chunks_exact(width);
        let of_row = |row| moments(row, self.centred, self.epsilon);
        let all: Vec<Moments> = inputs.clone().map(of_row).collect();
        let mut values = vec![0.0; width * all.len()];
        for ((row, moments), into) in inputs.zip(&all).zip(values.chunks_exact_mut(width)) {
            normalize_row(row, *moments, weight, bias, into);
        }
        self.moments.save(all);
        cpu_output(values, inputs_layout.shape())
    }

    fn bwd(
        &self,
        inputs: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let width = weight.elem_count();
        let gradient = gradient.contiguous()?;
        let (mut of_weight, mut of_bias) = (vec![0.0; width], vec![0.0; width]);
        let mut of_inputs = vec![0.0; inputs.elem_count()];
        let needed = inputs.track_op();
        let (rows, given, weights) =
            (Floats::of(inputs)?, Floats::of(&gradient)?, Floats::of(weight)?);
        let rows = rows.chunks_exact(width).zip(given.chunks_exact(width));
        let rows = rows.zip(of_inputs.chunks_exact_mut(width));
        for (((row, gradient), into), moments) in rows.zip(self.moments.values()) {
            let sums = (&mut of_weight[..], &mut of_bias[..]);
            normalize_row_back(row, *moments, self.centred, &weights, gradient, sums, into);
        }
        let of_bias = deliver(bias, of_bias)?;
        let of_inputs = needed.then(|| tensor_like(of_inputs, inputs)).transpose()?;
        Ok((of_inputs, deliver(weight, of_weight)?, of_bias))
    }
}
