//! Softmax over rows, and the loss that goes with it.

use super::exponential::exp;
use multiversion::multiversion;

/// `exp(value) / sum` of each row, in place.
pub(crate) fn softmax_rows(values: &mut [f32], columns: usize) {
    values.chunks_exact_mut(columns.max(1)).for_each(|row| {
        softmax_row(row);
    });
}

/// One row; returns the logarithm of the sum of `exp(value)`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn softmax_row(row: &mut [f32]) -> f32 {
    let (groups, rest) = row.as_chunks::<16>();
    let mut most = [f32::NEG_INFINITY; 16];
    for group in groups {
        let pairs = most.iter_mut().zip(group);
        pairs.for_each(|(most, &value)| *most = if value > *most { value } else { *most });
    }
    let most = most.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
    row.iter_mut().for_each(|value| *value = exp(*value - most));
    let sum = super::sum(row);
    let scale = 1.0 / sum;
    row.iter_mut().for_each(|value| *value *= scale);
    most + sum.ln()
}

/// The gradients before a softmax, from its outputs and theirs, in place of theirs.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn softmax_row_back(outputs: &[f32], gradients: &mut [f32]) {
    let mut products = 0.0;
    for (gradient, output) in gradients.iter_mut().zip(outputs) {
        *gradient *= output;
        products += *gradient;
    }
    gradients.iter_mut().zip(outputs).for_each(|(gradient, output)| *gradient -= output * products);
}

/// Mean cross entropy of rows of logits, each of which counts as much as its weight, or 1; each row becomes its softmax.
pub(crate) fn cross_entropy(logits: &mut [f32], labels: &[u32], weights: Option<&[f32]>) -> f64 {
    let columns = logits.len() / labels.len().max(1);
    let mut sum = 0.0;
    for (at, (row, &label)) in logits.chunks_exact_mut(columns.max(1)).zip(labels).enumerate() {
        let logit = row[label as usize];
        let weight = weights.map_or(1.0, |weights| weights[at]);
        sum += f64::from(weight) * f64::from(softmax_row(row) - logit);
    }
    sum / labels.len() as f64
}
