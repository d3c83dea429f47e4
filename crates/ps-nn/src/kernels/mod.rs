//! Arithmetic over slices of `f32`: what the layers compute on a processor. Knows no candle.

pub(crate) mod activation;
pub(crate) mod attention;
pub(crate) mod convolution;
mod exponential;
pub(crate) mod matrix;
pub(crate) mod normalization;
pub(crate) mod pooling;
pub(crate) mod softmax;
pub(crate) mod windows;

use multiversion::multiversion;

/// How many of these each thread takes.
pub(crate) fn parts(count: usize) -> usize {
    count.div_ceil(rayon::current_num_threads())
}

/// `sums += values`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn add_to(sums: &mut [f32], values: &[f32]) {
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

/// The sum, in an order that the vector unit likes and that is always the same.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn sum(values: &[f32]) -> f32 {
    let (groups, rest) = values.as_chunks::<16>();
    let mut sums = [0.0_f32; 16];
    for group in groups {
        sums.iter_mut().zip(group).for_each(|(sum, value)| *sum += value);
    }
    sums.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

/// Adds a row to each row; what is then below `floor` becomes it. NaN passes.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn shift_rows(values: &mut [f32], row: &[f32], floor: f32) {
    for values in values.chunks_exact_mut(row.len().max(1)) {
        for (value, number) in values.iter_mut().zip(row) {
            let shifted = *value + number;
            *value = if shifted < floor { floor } else { shifted };
        }
    }
}

/// The gradient of ReLU's inputs: the outputs' where they are more than zero.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn relu_gradient(of_outputs: &[f32], outputs: &[f32], of_inputs: &mut [f32]) {
    for ((of_input, gradient), output) in of_inputs.iter_mut().zip(of_outputs).zip(outputs) {
        *of_input = if *output <= 0.0 { 0.0 } else { *gradient };
    }
}

/// Adds the sum over the rows to these sums.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn add_rows(sums: &mut [f32], values: &[f32]) {
    for row in values.chunks_exact(sums.len().max(1)) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
}
