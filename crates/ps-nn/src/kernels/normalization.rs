//! Normalisation: of each row by itself, and of each channel over a batch.

use multiversion::multiversion;

/// What a row was normalised with: kept for the way back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moments {
    /// Zero where a norm does not subtract it.
    pub(crate) mean: f32,
    /// One over the root of the mean square distance from it.
    pub(crate) scale: f32,
}

/// The moments of one row: around its mean, or around zero.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn moments(row: &[f32], centred: bool, epsilon: f32) -> Moments {
    let count = row.len().max(1) as f32;
    let mean = if centred { super::sum(row) / count } else { 0.0 };
    let (groups, rest) = row.as_chunks::<16>();
    let mut squares = [0.0_f32; 16];
    for group in groups {
        let pairs = squares.iter_mut().zip(group);
        pairs.for_each(|(sum, value)| *sum += (value - mean) * (value - mean));
    }
    let rest = rest.iter().map(|value| (value - mean) * (value - mean)).sum::<f32>();
    let squares = squares.iter().sum::<f32>() + rest;
    Moments { mean, scale: 1.0 / (squares / count + epsilon).sqrt() }
}

/// `(row - mean) * scale * weight + bias`; an empty bias is none.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn normalize_row(
    row: &[f32],
    moments: Moments,
    weight: &[f32],
    bias: &[f32],
    into: &mut [f32],
) {
    let values = into.iter_mut().zip(row).zip(weight);
    let normal = |value: f32| (value - moments.mean) * moments.scale;
    if bias.is_empty() {
        values.for_each(|((into, value), weight)| *into = normal(*value) * weight);
    } else {
        let values = values.zip(bias);
        values.for_each(|(((into, value), weight), bias)| *into = normal(*value) * weight + bias);
    }
}

/// The gradient of a row's inputs, and what the row adds to the gradients of weight and bias.
///
/// With `n` the normalised row and `g = gradient * weight`, the inputs' is
/// `scale (g - mean(g) - n mean(g n))` (Ba et al., 2016), without the middle term where no mean was
/// subtracted.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn normalize_row_back(
    row: &[f32],
    moments: Moments,
    centred: bool,
    weight: &[f32],
    gradient: &[f32],
    (of_weight, of_bias): (&mut [f32], &mut [f32]),
    of_inputs: &mut [f32],
) {
    let count = row.len().max(1) as f32;
    let normal = |value: f32| (value - moments.mean) * moments.scale;
    let sums = of_weight.iter_mut().zip(gradient).zip(row);
    sums.for_each(|((sum, gradient), value)| *sum += gradient * normal(*value));
    of_bias.iter_mut().zip(gradient).for_each(|(sum, gradient)| *sum += gradient);
    let inputs = of_inputs.iter_mut().zip(gradient).zip(weight);
    inputs.for_each(|((into, gradient), weight)| *into = gradient * weight);
    let mean = if centred { super::sum(of_inputs) / count } else { 0.0 };
    let along = along(of_inputs, row, moments) / count;
    for (into, value) in of_inputs.iter_mut().zip(row) {
        *into = moments.scale * (*into - mean - normal(*value) * along);
    }
}

/// The sum of the products of these and the normalised row.
#[inline(always)]
fn along(values: &[f32], row: &[f32], moments: Moments) -> f32 {
    let (groups, rest) = values.as_chunks::<16>();
    let (row_groups, row_rest) = row.as_chunks::<16>();
    let normal = |value: f32| (value - moments.mean) * moments.scale;
    let mut sums = [0.0_f32; 16];
    for (group, row) in groups.iter().zip(row_groups) {
        let values = sums.iter_mut().zip(group).zip(row);
        values.for_each(|((sum, value), row)| *sum += value * normal(*row));
    }
    let rest = rest.iter().zip(row_rest).map(|(value, row)| value * normal(*row));
    sums.iter().sum::<f32>() + rest.sum::<f32>()
}

/// The values of one channel of a batch `[samples, channels, plane]`, plane by plane.
pub(crate) fn planes(
    values: &[f32],
    channels: usize,
    plane: usize,
    channel: usize,
) -> impl Iterator<Item = &[f32]> {
    values.chunks_exact(plane.max(1)).skip(channel).step_by(channels.max(1))
}

/// The same to write to.
pub(crate) fn planes_mut(
    values: &mut [f32],
    channels: usize,
    plane: usize,
    channel: usize,
) -> impl Iterator<Item = &mut [f32]> {
    values.chunks_exact_mut(plane.max(1)).skip(channel).step_by(channels.max(1))
}

/// `value * scale + shift` of each.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn scale_and_shift(values: &[f32], scale: f32, shift: f32, into: &mut [f32]) {
    into.iter_mut().zip(values).for_each(|(into, value)| *into = value * scale + shift);
}

/// Sum of the squared distances from the mean.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn squares(values: &[f32], mean: f32) -> f32 {
    let (groups, rest) = values.as_chunks::<16>();
    let mut sums = [0.0_f32; 16];
    for group in groups {
        let pairs = sums.iter_mut().zip(group);
        pairs.for_each(|(sum, value)| *sum += (value - mean) * (value - mean));
    }
    let rest = rest.iter().map(|value| (value - mean) * (value - mean));
    sums.iter().sum::<f32>() + rest.sum::<f32>()
}

/// The sums of `gradient` and of `gradient * (value - mean)`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn gradient_sums(values: &[f32], mean: f32, gradients: &[f32]) -> (f32, f32) {
    let (groups, rest) = values.as_chunks::<16>();
    let (gradient_groups, gradient_rest) = gradients.as_chunks::<16>();
    let (mut plain, mut along) = ([0.0_f32; 16], [0.0_f32; 16]);
    for (group, gradients) in groups.iter().zip(gradient_groups) {
        let sums = plain.iter_mut().zip(&mut along).zip(group.iter().zip(gradients));
        sums.for_each(|((plain, along), (value, gradient))| {
            *plain += gradient;
            *along += gradient * (value - mean);
        });
    }
    let rest = rest.iter().zip(gradient_rest);
    rest.fold((plain.iter().sum(), along.iter().sum()), |(plain, along), (value, gradient)| {
        (plain + gradient, along + gradient * (value - mean))
    })
}

/// `gradient * scale - constant - (value - mean) * slope` of each.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn batch_norm_back(
    values: &[f32],
    gradients: &[f32],
    (mean, scale, constant, slope): (f32, f32, f32, f32),
    into: &mut [f32],
) {
    for ((into, gradient), value) in into.iter_mut().zip(gradients).zip(values) {
        *into = gradient * scale - constant - (value - mean) * slope;
    }
}
