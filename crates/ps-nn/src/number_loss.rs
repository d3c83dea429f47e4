//! Losses of numbers: each of a model's outputs by itself.

use crate::tensor::{Floats, cpu_output, floats, has_kernel, tensor_like};
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};

/// What is to be small of each output and its target.
#[derive(Clone, Debug, PartialEq)]
pub enum NumberLoss {
    /// The square of the error.
    Squared,
    /// The error without its sign.
    Absolute,
    /// Half the square of an error up to this, and beyond it as steep as there (Huber, 1964).
    Huber(f32),
    /// Cross entropy of a logit and a target from 0 to 1, where targets of 1 count as much as the weight of their column, or
    /// 1 where there are no weights.
    BinaryCrossEntropy(Vec<f32>),
}

/// The mean of a loss over all outputs `[.., columns]`.
///
/// # Errors
/// Another number of targets, or of weights than columns.
pub fn number_loss(outputs: &Tensor, targets: &Tensor, loss: &NumberLoss) -> Result<Tensor> {
    let outputs = outputs.contiguous()?;
    if outputs.elem_count() != targets.elem_count() || targets.elem_count() == 0 {
        let (found, expected) = (targets.elem_count(), outputs.elem_count());
        candle_core::bail!("{found} targets for {expected} outputs");
    }
    if let NumberLoss::BinaryCrossEntropy(weights) = loss {
        let columns = outputs.dims().last().copied().unwrap_or(1);
        if !weights.is_empty() && weights.len() != columns {
            candle_core::bail!("{} weights for {columns} columns", weights.len());
        }
    }
    if !has_kernel(&outputs) {
        let targets = targets.to_dtype(DType::F32)?.reshape(outputs.shape())?;
        return composed(&outputs, &targets, loss);
    }
    let targets = targets.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    outputs.apply_op1(MeanLoss { targets, loss: loss.clone() })
}

/// Mean binary cross entropy of logits and as many targets from 0 to 1.
///
/// # Errors
/// Another number of targets.
pub fn binary_cross_entropy_with_logits(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    number_loss(logits, targets, &NumberLoss::BinaryCrossEntropy(Vec::new()))
}

/// Of candle's operations, for a GPU.
fn composed(outputs: &Tensor, targets: &Tensor, loss: &NumberLoss) -> Result<Tensor> {
    let error = || outputs - targets;
    match loss {
        NumberLoss::Squared => error()?.sqr()?.mean_all(),
        NumberLoss::Absolute => error()?.abs()?.mean_all(),
        NumberLoss::Huber(delta) => {
            let error = error()?.abs()?;
            let small = error.minimum(f64::from(*delta))?;
            // Half the square of what is below delta, and delta for each of the rest.
            let rest = ((&error - &small)? * f64::from(*delta))?;
            ((small.sqr()? * 0.5)? + rest)?.mean_all()
        }
        NumberLoss::BinaryCrossEntropy(weights) => {
            // Candle's own is not a number for logits far from zero.
            let around = (outputs.abs()?.neg()?.exp()? + 1.0)?.log()?;
            let of_zero = (outputs.relu()? + around)?;
            let of_one = (&of_zero - outputs)?;
            let of_one = match weights.is_empty() {
                true => of_one,
                false => {
                    let weights = Tensor::new(weights.as_slice(), outputs.device())?;
                    of_one.broadcast_mul(&weights)?
                }
            };
            let mixed = ((of_one * targets)? + (of_zero * targets.affine(-1.0, 1.0)?)?)?;
            mixed.mean_all()
        }
    }
}

struct MeanLoss {
    targets: Vec<f32>,
    loss: NumberLoss,
}

impl MeanLoss {
    /// Of one output: the loss, and its slope.
    fn at(&self, place: usize, output: f32) -> (f64, f32) {
        let target = self.targets[place];
        let error = output - target;
        match &self.loss {
            NumberLoss::Squared => (f64::from(error) * f64::from(error), 2.0 * error),
            NumberLoss::Absolute => {
                let slope = if error == 0.0 { 0.0 } else { error.signum() };
                (f64::from(error.abs()), slope)
            }
            NumberLoss::Huber(delta) => {
                let small = error.abs().min(*delta);
                let rest = f64::from(error.abs() - small) * f64::from(*delta);
                (f64::from(small).powi(2) / 2.0 + rest, error.clamp(-delta, *delta))
            }
            NumberLoss::BinaryCrossEntropy(weights) => {
                let weight = weights.get(place % weights.len().max(1)).copied().unwrap_or(1.0);
                let (x, y) = (f64::from(output), f64::from(target));
                let around = (-x.abs()).exp().ln_1p();
                let of_one = f64::from(weight) * y * (around + (-x).max(0.0));
                let share = 1.0 / (1.0 + (-output).exp());
                let slope = (1.0 - target) * share - weight * target * (1.0 - share);
                (of_one + (1.0 - y) * (around + x.max(0.0)), slope)
            }
        }
    }
}

impl CustomOp1 for MeanLoss {
    fn name(&self) -> &'static str {
        "number-loss"
    }

    fn cpu_fwd(&self, outputs: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let outputs = floats(outputs, layout)?;
        let sum: f64 = outputs.iter().enumerate().map(|(at, output)| self.at(at, *output).0).sum();
        cpu_output(vec![(sum / outputs.len() as f64) as f32], ())
    }

    fn bwd(&self, outputs: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let scale = gradient.to_scalar::<f32>()? / self.targets.len() as f32;
        let values = Floats::of(outputs)?;
        let slope = |(at, output): (usize, &f32)| scale * self.at(at, *output).1;
        tensor_like(values.iter().enumerate().map(slope).collect(), outputs).map(Some)
    }
}
