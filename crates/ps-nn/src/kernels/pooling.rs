//! The largest and the mean of windows of each channel.

use multiversion::multiversion;

/// How a pool looks at one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pool {
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Side of a window; at most 16, so that a place in it is a byte.
    pub(crate) size: usize,
    pub(crate) stride: usize,
    /// Rows and columns around the channel that no window sees as values.
    pub(crate) padding: usize,
    /// Height and width of what comes out.
    pub(crate) outputs: (usize, usize),
}

impl Pool {
    /// Values that come out of one channel.
    pub(crate) fn plane(&self) -> usize {
        self.outputs.0 * self.outputs.1
    }

    fn is_halving(&self) -> bool {
        (self.size, self.stride, self.padding) == (2, 2, 0)
    }

    /// The values of the window that leads to an output: each one's place in the window, and its
    /// position in the channel.
    fn window(&self, output: usize) -> impl Iterator<Item = (u8, usize)> + use<> {
        let Self { height, width, size, stride, padding, outputs } = *self;
        let (top, left) = (output / outputs.1 * stride, output % outputs.1 * stride);
        (0..size * size).filter_map(move |place| {
            let y = (top + place / size).checked_sub(padding).filter(|&y| y < height)?;
            let x = (left + place % size).checked_sub(padding).filter(|&x| x < width)?;
            Some((place as u8, y * width + x))
        })
    }
}

/// The largest value of each window, the first where there are several, and its place; NaN is
/// larger than any other.
pub(crate) fn pool_max(pool: &Pool, values: &[f32], outputs: &mut [f32], places: &mut [u8]) {
    let plane = pool.height * pool.width;
    let into = outputs.chunks_exact_mut(pool.plane()).zip(places.chunks_exact_mut(pool.plane()));
    for (values, (outputs, places)) in values.chunks_exact(plane).zip(into) {
        if pool.is_halving() {
            halve_max(pool, values, outputs, places);
            continue;
        }
        for (number, (output, place)) in outputs.iter_mut().zip(places).enumerate() {
            let mut first = true;
            for (here, position) in pool.window(number) {
                let value = values[position];
                if first || value > *output || value.is_nan() {
                    (*output, *place, first) = (value, here, false);
                }
            }
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn halve_max(pool: &Pool, values: &[f32], outputs: &mut [f32], places: &mut [u8]) {
    let width = pool.outputs.1;
    let into = outputs.chunks_exact_mut(width).zip(places.chunks_exact_mut(width));
    for (rows, (outputs, places)) in values.chunks_exact(2 * pool.width).zip(into) {
        let (upper, lower) = rows.split_at(pool.width);
        let (upper, _) = upper.as_chunks::<2>();
        let (lower, _) = lower.as_chunks::<2>();
        let squares = upper.iter().zip(lower);
        for ((output, place), (&[a, b], &[c, d])) in outputs.iter_mut().zip(places).zip(squares) {
            let (up, up_place) = larger(a, 0, b, 1);
            let (low, low_place) = larger(c, 2, d, 3);
            (*output, *place) = larger(up, up_place, low, low_place);
        }
    }
}

#[inline(always)]
fn larger(first: f32, first_place: u8, second: f32, second_place: u8) -> (f32, u8) {
    // Not `second <= first`, so that a NaN comes through.
    if second > first || second.is_nan() { (second, second_place) } else { (first, first_place) }
}

/// Adds each output's gradient to the value that it came from.
pub(crate) fn unpool_max(pool: &Pool, of_outputs: &[f32], places: &[u8], of_values: &mut [f32]) {
    let (plane, each) = (pool.height * pool.width, pool.plane());
    for (channel, of_values) in of_values.chunks_exact_mut(plane).enumerate() {
        let range = channel * each..(channel + 1) * each;
        let (gradients, places) = (&of_outputs[range.clone()], &places[range]);
        for (number, (gradient, place)) in gradients.iter().zip(places).enumerate() {
            let (y, x) = (number / pool.outputs.1, number % pool.outputs.1);
            let (down, right) = (usize::from(*place) / pool.size, usize::from(*place) % pool.size);
            let (y, x) = (y * pool.stride + down, x * pool.stride + right);
            of_values[(y - pool.padding) * pool.width + x - pool.padding] += gradient;
        }
    }
}

/// The mean of each window, over the values that it sees.
pub(crate) fn pool_mean(pool: &Pool, values: &[f32], outputs: &mut [f32]) {
    let plane = pool.height * pool.width;
    let outputs = outputs.chunks_exact_mut(pool.plane());
    for (values, outputs) in values.chunks_exact(plane).zip(outputs) {
        for (number, output) in outputs.iter_mut().enumerate() {
            let sum: f32 = pool.window(number).map(|(_, position)| values[position]).sum();
            *output = sum / pool.window(number).count() as f32;
        }
    }
}

/// Adds to each value its part of the gradients of the means that it is in.
pub(crate) fn unpool_mean(pool: &Pool, of_outputs: &[f32], of_values: &mut [f32]) {
    let plane = pool.height * pool.width;
    let of_outputs = of_outputs.chunks_exact(pool.plane());
    for (of_values, of_outputs) in of_values.chunks_exact_mut(plane).zip(of_outputs) {
        for (number, gradient) in of_outputs.iter().enumerate() {
            let part = gradient / pool.window(number).count() as f32;
            pool.window(number).for_each(|(_, position)| of_values[position] += part);
        }
    }
}
