//! Products of matrices that lie in slices.

// The library's one function takes pointers.
#![allow(unsafe_code)]

use gemm::Parallelism;
use ndarray::{ArrayView2, ArrayViewMut2, Axis, ShapeBuilder};

/// Multiplications that make another thread worth its cost.
const PER_THREAD: usize = 1 << 20;

/// What becomes of the values that a result is written over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteMode {
    /// They count for nothing.
    Overwrite,
    /// The result is added to them.
    Accumulate,
}

/// A matrix whose rows follow each other.
pub(crate) fn rows(values: &[f32], columns: usize) -> ArrayView2<'_, f32> {
    wide_rows(values, columns, columns)
}

/// A matrix whose rows begin so many values apart; the slice ends with the last row or later.
pub(crate) fn wide_rows(values: &[f32], columns: usize, apart: usize) -> ArrayView2<'_, f32> {
    let count = count(values.len(), columns, apart);
    let shape = (count, columns).strides((apart, 1));
    ArrayView2::from_shape(shape, values).unwrap_or_else(|_| ArrayView2::from(&[] as &[[f32; 0]]))
}

/// The same to write to.
pub(crate) fn rows_mut(values: &mut [f32], columns: usize) -> ArrayViewMut2<'_, f32> {
    wide_rows_mut(values, columns, columns)
}

/// The same to write to.
pub(crate) fn wide_rows_mut(
    values: &mut [f32],
    columns: usize,
    apart: usize,
) -> ArrayViewMut2<'_, f32> {
    let count = count(values.len(), columns, apart);
    let shape = (count, columns).strides((apart, 1));
    let nothing: &mut [[f32; 0]] = &mut [];
    ArrayViewMut2::from_shape(shape, values).unwrap_or_else(|_| ArrayViewMut2::from(nothing))
}

fn count(values: usize, columns: usize, apart: usize) -> usize {
    if values < columns || apart == 0 { 0 } else { (values - columns) / apart + 1 }
}

/// `into = left * right`, or added to it, on this thread. A mistake in the sizes is a panic.
pub(crate) fn multiply_here(
    left: ArrayView2<'_, f32>,
    right: ArrayView2<'_, f32>,
    mut into: ArrayViewMut2<'_, f32>,
    mode: WriteMode,
) {
    let (height, inner) = left.dim();
    let width = right.ncols();
    assert_eq!((right.nrows(), into.dim()), (inner, (height, width)), "sizes of a product");
    let (left_strides, right_strides) = (left.strides(), right.strides());
    let into_strides = (into.strides()[0], into.strides()[1]);
    // SAFETY: the views are of these sizes and strides within memory that they borrow for as long as
    // the call takes, the result's alone; so every element that the product reads or writes is in it.
    unsafe {
        gemm::gemm(
            height,
            width,
            inner,
            into.as_mut_ptr(),
            into_strides.1,
            into_strides.0,
            mode == WriteMode::Accumulate,
            left.as_ptr(),
            left_strides[1],
            left_strides[0],
            right.as_ptr(),
            right_strides[1],
            right_strides[0],
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

/// `into = left * right`, or added to it, on the threads that there are.
pub(crate) fn multiply(
    left: ArrayView2<'_, f32>,
    right: ArrayView2<'_, f32>,
    mut into: ArrayViewMut2<'_, f32>,
    mode: WriteMode,
) {
    let (height, width) = into.dim();
    let work = height * width * left.ncols();
    let parts = rayon::current_num_threads().min(work / PER_THREAD);
    if parts < 2 {
        return multiply_here(left, right, into, mode);
    }
    // Along the longer side, so that less is packed twice.
    rayon::scope(|scope| {
        if height >= width {
            let each = height.div_ceil(parts);
            let left = left.axis_chunks_iter(Axis(0), each);
            for (left, into) in left.zip(into.axis_chunks_iter_mut(Axis(0), each)) {
                scope.spawn(move |_| multiply_here(left, right, into, mode));
            }
        } else {
            let each = width.div_ceil(parts);
            let right = right.axis_chunks_iter(Axis(1), each);
            for (right, into) in right.zip(into.axis_chunks_iter_mut(Axis(1), each)) {
                scope.spawn(move |_| multiply_here(left, right, into, mode));
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_and_strides_change_nothing() {
        let value = |seed: usize| ((seed * 37 % 101) as f32 - 50.0) / 16.0;
        let (height, inner, width) = (33, 300, 190);
        let left: Vec<f32> = (0..height * (inner + 2)).map(value).collect();
        let right: Vec<f32> = (0..width * inner).map(|n| value(n + 7)).collect();
        let expected = |row: usize, column: usize| -> f32 {
            let terms = (0..inner).map(|k| left[row * (inner + 2) + k] * right[column * inner + k]);
            terms.sum()
        };
        for (threads, held, start) in
            [(1, WriteMode::Overwrite, 0.0), (3, WriteMode::Accumulate, 5.0)]
        {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut into = vec![start; height * width];
            pool.install(|| {
                let left = wide_rows(&left[..left.len() - 2], inner, inner + 2);
                multiply(left, rows(&right, inner).t(), rows_mut(&mut into, width), held);
            });
            for (position, &found) in into.iter().enumerate() {
                let exact = start + expected(position / width, position % width);
                assert!((found - exact).abs() < 0.01, "{position}: {found}, expected {exact}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "sizes of a product")]
    fn sizes_that_do_not_fit_are_noticed() {
        let mut into = [0.0; 4];
        multiply_here(
            rows(&[1.0; 6], 3),
            rows(&[1.0; 4], 2),
            rows_mut(&mut into, 2),
            WriteMode::Overwrite,
        );
    }
}
