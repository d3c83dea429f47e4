//! Losses: one operation each, whose gradient is known at once.

use crate::kernels::softmax;
use crate::saved::SavedForBackward;
use crate::tensor::{cpu_output, floats, has_kernel, rows_of, tensor_like};
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
    let labels = class_numbers(labels, classes)?;
    let (weights, probabilities) = (None, SavedForBackward::default());
    logits.apply_op1(CrossEntropy { labels, weights, probabilities })
}

/// The same where each class counts as much as its weight: the sum of `weight * cross entropy` over the number of labels, so
/// that steps of weights with the mean 1 are as large as those without.
///
/// # Errors
/// As [`cross_entropy`], or another number of weights than classes.
pub fn weighted_cross_entropy(logits: &Tensor, labels: &Tensor, weights: &[f32]) -> Result<Tensor> {
    let (rows, classes) = rows_of(logits.shape())?;
    let logits = logits.contiguous()?;
    if labels.elem_count() != rows || rows == 0 || weights.len() != classes {
        let (labels, count) = (labels.elem_count(), weights.len());
        candle_core::bail!(
            "{labels} labels and {count} weights for {rows} rows of {classes} logits"
        );
    }
    let labels = class_numbers(labels, classes)?;
    let weights: Vec<f32> = labels.iter().map(|label| weights[*label as usize]).collect();
    if !has_kernel(&logits) {
        let chosen = Tensor::from_vec(labels, (rows, 1), logits.device())?;
        let shares = candle_nn::ops::log_softmax(&logits.reshape((rows, classes))?, 1)?;
        let weights = Tensor::from_vec(weights, (rows, 1), logits.device())?;
        return (shares.gather(&chosen, 1)? * weights)?.mean_all()?.neg();
    }
    let probabilities = SavedForBackward::default();
    logits.apply_op1(CrossEntropy { labels, weights: Some(weights), probabilities })
}

fn class_numbers(labels: &Tensor, classes: usize) -> Result<Vec<u32>> {
    let labels: Vec<u32> = labels.to_dtype(DType::U32)?.flatten_all()?.to_vec1()?;
    if let Some(label) = labels.iter().find(|label| **label as usize >= classes) {
        candle_core::bail!("label {label}, expected one below {classes}, the number of classes");
    }
    Ok(labels)
}

struct CrossEntropy {
    labels: Vec<u32>,
    /// Of each label; all 1 where there are none.
    weights: Option<Vec<f32>>,
    /// The logits' softmax.
    probabilities: SavedForBackward<f32>,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut probabilities = floats(logits, layout)?.to_vec();
        let loss =
            softmax::cross_entropy(&mut probabilities, &self.labels, self.weights.as_deref());
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
        if let Some(weights) = &self.weights {
            for (row, weight) in of_logits.chunks_exact_mut(classes.max(1)).zip(weights) {
                row.iter_mut().for_each(|gradient| *gradient *= weight);
            }
        }
        tensor_like(of_logits, logits).map(Some)
    }
}
