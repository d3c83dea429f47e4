//! Losses: one operation each, whose gradient is known at once.

use crate::kernels::softmax;
use crate::saved::SavedForBackward;
use crate::tensor::{Floats, cpu_output, floats, has_kernel, rows_of, tensor_like};
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};

/// Mean cross entropy of logits `[.., classes]` and as many labels, `u32`.
///
/// # Errors
/// Another number of labels, or a label that is no class.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let (rows, classes) = rows_of(logits.shape())?;
    let logits = logits.contiguous()?;
    if labels.elem_count() != rows || rows == 0 {
        candle_core::bail!("{} labels for {rows} rows of logits", labels.elem_count());
    }
    if !has_kernel(&logits) {
        let logits = logits.reshape((rows, classes))?;
        return candle_nn::loss::cross_entropy(&logits, &labels.flatten_all()?);
    }
    let labels: Vec<u32> = labels.to_dtype(DType::U32)?.flatten_all()?.to_vec1()?;
    if let Some(label) = labels.iter().find(|label| **label as usize >= classes) {
        candle_core::bail!("label {label}, expected one below {classes}, the number of classes");
    }
    logits.apply_op1(CrossEntropy { labels, probabilities: SavedForBackward::default() })
}

/// Mean binary cross entropy of logits and as many targets from 0 to 1.
///
/// # Errors
/// Another number of targets.
pub fn binary_cross_entropy_with_logits(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let logits = logits.contiguous()?;
    if logits.elem_count() != targets.elem_count() || targets.elem_count() == 0 {
        let (found, expected) = (targets.elem_count(), logits.elem_count());
        candle_core::bail!("{found} targets for {expected} logits");
    }
    if !has_kernel(&logits) {
        // Candle's own is not a number for logits far from zero.
        let targets = targets.to_dtype(DType::F32)?.reshape(logits.shape())?;
        let around = (logits.abs()?.neg()?.exp()? + 1.0)?.log()?;
        return ((logits.relu()? - (&logits * targets)?)? + around)?.mean_all();
    }
    let targets = targets.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
    logits.apply_op1(BinaryCrossEntropy { targets })
}

struct CrossEntropy {
    labels: Vec<u32>,
    /// The logits' softmax.
    probabilities: SavedForBackward<f32>,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut probabilities = floats(logits, layout)?.to_vec();
        let loss = softmax::cross_entropy(&mut probabilities, &self.labels);
        self.probabilities.save(probabilities);
        cpu_output(vec![loss as f32], ())
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let scale = gradient.to_scalar::<f32>()? / self.labels.len() as f32;
        let mut of_logits: Vec<f32> =
            self.probabilities.values().iter().map(|share| share * scale).collect();
        let classes = of_logits.len() / self.labels.len();
        let rows = of_logits.chunks_exact_mut(classes.max(1));
        rows.zip(&self.labels).for_each(|(row, &label)| row[label as usize] -= scale);
        tensor_like(of_logits, logits).map(Some)
    }
}

struct BinaryCrossEntropy {
    targets: Vec<f32>,
}

impl CustomOp1 for BinaryCrossEntropy {
    fn name(&self) -> &'static str {
        "binary-cross-entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let loss = softmax::binary_cross_entropy(floats(logits, layout)?, &self.targets);
        cpu_output(vec![loss as f32], ())
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let scale = gradient.to_scalar::<f32>()? / self.targets.len() as f32;
        let values = Floats::of(logits)?;
        let one = |(logit, target): (&f32, &f32)| scale * (1.0 / (1.0 + (-logit).exp()) - target);
        tensor_like(values.iter().zip(&self.targets).map(one).collect(), logits).map(Some)
    }
}
