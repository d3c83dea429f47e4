//! Batch norm (Ioffe and Szegedy, 2015).

use crate::Phase;
use crate::delivery::{apply_with_parameters, deliver};
use crate::kernels::normalization::{
    batch_norm_back, gradient_sums, planes, planes_mut, scale_and_shift, squares,
};
use crate::kernels::sum;
use crate::tensor::{Floats, cpu_output, floats, has_kernel, tensor_like};
use crate::tracked::tracked;
use candle_core::{CpuStorage, CustomOp3, InplaceOp1, Layout, Result, Shape, Tensor};
use candle_nn::{Init, VarBuilder};

/// How much of the running statistics a batch replaces.
const MOMENTUM: f32 = 0.1;

/// Normalises each channel over the batch, then scales and shifts it by what is learnt; after
/// training by statistics that ran along.
///
/// The running statistics are the variables `running_mean` and `running_var`: state tensors, which
/// the optimizer never sees; the last worker that wrote them wins.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    epsilon: f32,
}

/// Mean and variance of each channel.
#[derive(Clone, Debug, Default)]
struct Statistics {
    means: Vec<f32>,
    variances: Vec<f32>,
}

impl BatchNorm {
    /// A norm of so many channels, with the variables `weight`, `bias` and the running statistics.
    ///
    /// # Errors
    /// What the variables' source says.
    pub fn new(channels: usize, epsilon: f64, vars: VarBuilder) -> Result<Self> {
        let variable = |name, value| vars.get_with_hints(channels, name, Init::Const(value));
        Ok(Self {
            weight: variable("weight", 1.0)?,
            bias: variable("bias", 0.0)?,
            running_mean: variable("running_mean", 0.0)?,
            running_var: variable("running_var", 1.0)?,
            epsilon: epsilon as f32,
        })
    }

    /// Normalises `[samples, channels]` or `[samples, channels, height, width]`, while training by
    /// the batch's statistics, which then are part of the running ones.
    ///
    /// # Errors
    /// Other channels; a batch of one value a channel while training, which has no variance, before
    /// any larger one. Later, as when a pass ends with it, it is normalised by the running
    /// statistics, and leaves them as they are.
    pub fn forward(&self, inputs: &Tensor, mut phase: Phase) -> Result<Tensor> {
        let inputs = inputs.contiguous()?;
        let (channels, expected) = (inputs.dim(1)?, self.weight.elem_count());
        if channels != expected {
            candle_core::bail!("inputs of {channels} channels for a batch norm of {expected}");
        }
        let count = inputs.elem_count() / channels.max(1);
        if phase != Phase::Evaluating && count < 2 {
            if self.is_new()? {
                candle_core::bail!(
                    "a batch norm begins to train on {count} value a channel, which has no \
                     variance; use batches of at least 2"
                );
            }
            phase = Phase::Evaluating;
        }
        if !has_kernel(&inputs) {
            return self.composed(&inputs, phase);
        }
        if phase == Phase::Evaluating {
            let means = Floats::of(&self.running_mean)?.to_vec();
            let variances = Floats::of(&self.running_var)?.to_vec();
            return self.apply(&inputs, Statistics { means, variances }, false);
        }
        let statistics = of_batch(&Floats::of(&inputs)?, channels, plane(inputs.shape()));
        let unbiased = count as f32 / (count - 1) as f32;
        let variances = statistics.variances.iter().map(|variance| variance * unbiased).collect();
        self.running_mean.inplace_op1(&UpdateRunningStatistics(statistics.means.clone()))?;
        self.running_var.inplace_op1(&UpdateRunningStatistics(variances))?;
        self.apply(&inputs, statistics, true)
    }

    /// Whether no batch has moved the running statistics.
    fn is_new(&self) -> Result<bool> {
        let is_all = |tensor: &Tensor, start: f32| -> Result<bool> {
            Ok(tensor.flatten_all()?.to_vec1::<f32>()?.iter().all(|value| *value == start))
        };
        Ok(is_all(&self.running_mean, 0.0)? && is_all(&self.running_var, 1.0)?)
    }

    fn apply(&self, inputs: &Tensor, statistics: Statistics, of_batch: bool) -> Result<Tensor> {
        let layer = BatchNormOp { statistics, of_batch, epsilon: self.epsilon };
        apply_with_parameters(inputs, &self.weight, &self.bias, layer)
    }

    fn composed(&self, inputs: &Tensor, phase: Phase) -> Result<Tensor> {
        let (samples, channels) = (inputs.dim(0)?, inputs.dim(1)?);
        let flat = inputs.reshape((samples, channels, ()))?;
        let column = |tensor: &Tensor| tensor.reshape((1, channels, 1));
        let (mean, variance) = if phase == Phase::Evaluating {
            (column(&self.running_mean.detach())?, column(&self.running_var.detach())?)
        } else {
            let mean = flat.mean_keepdim(2)?.mean_keepdim(0)?;
            let variance = flat.broadcast_sub(&mean)?.sqr()?.mean_keepdim(2)?.mean_keepdim(0)?;
            let count = (flat.elem_count() / channels.max(1)) as f64;
            run_composed(&self.running_mean, &mean)?;
            run_composed(&self.running_var, &(&variance * (count / (count - 1.0)))?)?;
            (mean, variance)
        };
        let deviation = (variance + f64::from(self.epsilon))?.sqrt()?;
        let normal = flat.broadcast_sub(&mean)?.broadcast_div(&deviation)?;
        let outputs = normal.broadcast_mul(&column(&tracked(&self.weight)?)?)?;
        outputs.broadcast_add(&column(&tracked(&self.bias)?)?)?.reshape(inputs.shape())
    }
}

fn run_composed(running: &Tensor, batch: &Tensor) -> Result<()> {
    let batch = batch.detach().reshape(running.shape())?;
    let kept = (running.detach() * f64::from(1.0 - MOMENTUM))?;
    let next = (kept + (batch * f64::from(MOMENTUM))?)?;
    candle_core::Var::from_tensor(running)?.set(&next)
}

/// Values of one channel of one sample.
fn plane(shape: &Shape) -> usize {
    shape.dims().iter().skip(2).product()
}

fn of_batch(inputs: &[f32], channels: usize, plane: usize) -> Statistics {
    let count = (inputs.len() / channels.max(1)) as f32;
    let mut statistics = Statistics::default();
    for channel in 0..channels {
        let mean = planes(inputs, channels, plane, channel).map(sum).sum::<f32>() / count;
        let squares = planes(inputs, channels, plane, channel).map(|values| squares(values, mean));
        statistics.means.push(mean);
        statistics.variances.push(squares.sum::<f32>() / count);
    }
    statistics
}

/// Moves running statistics towards those of a batch.
struct UpdateRunningStatistics(Vec<f32>);

impl InplaceOp1 for UpdateRunningStatistics {
    fn name(&self) -> &'static str {
        "running-statistics"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (CpuStorage::F32(running), Some((start, end))) = (storage, layout.contiguous_offsets())
        else {
            candle_core::bail!("running statistics that are not contiguous f32");
        };
        for (running, batch) in running[start..end].iter_mut().zip(&self.0) {
            *running += MOMENTUM * (batch - *running);
        }
        Ok(())
    }
}

struct BatchNormOp {
    statistics: Statistics,
    /// Whether the statistics depend on the inputs.
    of_batch: bool,
    epsilon: f32,
}

impl BatchNormOp {
    fn scale(&self, channel: usize) -> f32 {
        1.0 / (self.statistics.variances[channel] + self.epsilon).sqrt()
    }
}

impl CustomOp3 for BatchNormOp {
    fn name(&self) -> &'static str {
        "batch-norm"
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
        let inputs = floats(inputs, inputs_layout)?;
        let (weight, bias) = (floats(weight, weight_layout)?, floats(bias, bias_layout)?);
        let (channels, plane) = (weight.len(), plane(inputs_layout.shape()));
        let mut values = vec![0.0; inputs.len()];
        for channel in 0..channels {
            let scale = self.scale(channel) * weight[channel];
            let shift = bias[channel] - self.statistics.means[channel] * scale;
            let into = planes_mut(&mut values, channels, plane, channel);
            for (values, into) in planes(inputs, channels, plane, channel).zip(into) {
                scale_and_shift(values, scale, shift, into);
            }
        }
        cpu_output(values, inputs_layout.shape())
    }

    /// With `d` a value's distance from the mean and `s` one over the deviation, the inputs' gradient
    /// is `w s (g - mean(g) - d s^2 mean(g d))`, without the last two terms where the statistics do
    /// not depend on the inputs.
    fn bwd(
        &self,
        inputs: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let (values, given) = (Floats::of(inputs)?, Floats::of(&gradient)?);
        let (weights, channels) = (Floats::of(weight)?.to_vec(), weight.elem_count());
        let plane = plane(inputs.shape());
        let count = (values.len() / channels.max(1)) as f32;
        let (mut of_weight, mut of_bias) = (vec![0.0; channels], vec![0.0; channels]);
        let mut of_inputs = vec![0.0; if inputs.track_op() { values.len() } else { 0 }];
        for channel in 0..channels {
            let (mean, scale) = (self.statistics.means[channel], self.scale(channel));
            let pairs = planes(&values, channels, plane, channel)
                .zip(planes(&given, channels, plane, channel));
            let (plain, along) = pairs.fold((0.0, 0.0), |(plain, along), (values, given)| {
                let more = gradient_sums(values, mean, given);
                (plain + more.0, along + more.1)
            });
            (of_weight[channel], of_bias[channel]) = (along * scale, plain);
            let whole = scale * weights[channel];
            let terms = match self.of_batch {
                true => (mean, whole, whole * plain / count, whole * scale * scale * along / count),
                false => (mean, whole, 0.0, 0.0),
            };
            let pairs = planes(&values, channels, plane, channel)
                .zip(planes(&given, channels, plane, channel));
            let into = planes_mut(&mut of_inputs, channels, plane, channel);
            for ((values, given), into) in pairs.zip(into) {
                batch_norm_back(values, given, terms, into);
            }
        }
        let of_inputs = inputs.track_op().then(|| tensor_like(of_inputs, inputs)).transpose()?;
        Ok((of_inputs, deliver(weight, of_weight)?, deliver(bias, of_bias)?))
    }
}
