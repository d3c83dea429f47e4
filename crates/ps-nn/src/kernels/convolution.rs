//! Convolution of a batch of images and its gradients, image by image: what belongs to one image
//! stays in the processor's cache between its product, ReLU and pool.

use super::matrix::{WriteMode, multiply_here, rows, rows_mut};
use super::windows::{Unfold, Windows, transpose};
use super::{add_rows, add_to, parts, shift_rows};
use multiversion::multiversion;

/// A convolution, what follows it, and its sizes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Convolution {
    pub(crate) windows: Windows,
    /// Output channels.
    pub(crate) outputs: usize,
    /// Height and width of the output, before a pool.
    pub(crate) size: (usize, usize),
    /// Negative outputs become zero.
    pub(crate) relu: bool,
    /// Side of squares, side by side, of which only the largest value comes out; 1 for none, at most
    /// 15.
    pub(crate) pool: usize,
}

/// Where an output of zero has no place in its square: nothing goes back.
const NOWHERE: u8 = u8::MAX;

/// One thread's share of the gradients of weight and bias.
struct Share {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

impl Convolution {
    fn plane(&self) -> usize {
        self.size.0 * self.size.1
    }

    /// Height and width of what comes out.
    pub(crate) fn pooled(&self) -> (usize, usize) {
        (self.size.0 / self.pool, self.size.1 / self.pool)
    }

    /// Values of one image's output.
    pub(crate) fn output(&self) -> usize {
        self.outputs * self.pooled().0 * self.pooled().1
    }

    /// `outputs[n] = weight * windows(images[n]) + bias`, ReLU and pool. `places` gets what the way
    /// back needs to know of the outputs, a byte each.
    pub(crate) fn forward(
        &self,
        images: &[f32],
        weight: &[f32],
        bias: &[f32],
        outputs: &mut [f32],
        places: &mut [u8],
    ) {
        let (image, output) = (self.windows.image(), self.output());
        let each = parts(images.len() / image.max(1)).max(1);
        let weight = &self.by_window(weight);
        let into = outputs.chunks_mut(each * output).zip(places.chunks_mut(each * output));
        rayon::scope(|scope| {
            for (images, (outputs, places)) in images.chunks(each * image).zip(into) {
                scope.spawn(move |_| self.forward_some(images, weight, bias, outputs, places));
            }
        });
    }

    fn forward_some(
        &self,
        images: &[f32],
        weight: &[f32],
        bias: &[f32],
        outputs: &mut [f32],
        places: &mut [u8],
    ) {
        let (size, window) = ((self.windows.height, self.windows.width), self.windows.window());
        let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        let mut unfold = Unfold::new(&self.windows, self.size);
        let mut product = vec![0.0; self.outputs * self.plane()];
        let mut pooled = vec![0.0; self.output()];
        let into = outputs.chunks_exact_mut(self.output());
        let into = into.zip(places.chunks_exact_mut(self.output()));
        for (image, (output, places)) in images.chunks_exact(self.windows.image()).zip(into) {
            let windows = rows(unfold.of_planes(image, size), window);
            let products = rows_mut(&mut product, self.outputs);
            multiply_here(windows, rows(weight, self.outputs), products, WriteMode::Overwrite);
            pool(self, &product, &mut pooled, places);
            // The same after the pool as before it, on fewer values.
            shift_rows(&mut pooled, bias, floor);
            if self.relu {
                forget_zeros(&pooled, places);
            }
            transpose(&pooled, self.outputs, output);
        }
    }

    /// Writes the gradients of weight, bias and, unless there is no room for them, images.
    pub(crate) fn backward(
        &self,
        images: &[f32],
        weight: &[f32],
        (of_outputs, places): (&[f32], &[u8]),
        of_images: &mut [f32],
        (of_weight, of_bias): (&mut [f32], &mut [f32]),
    ) {
        let (image, output) = (self.windows.image(), self.output());
        let each = parts(images.len() / image.max(1)).max(1);
        let sorted = &self.by_window(weight);
        let shares = images.len().div_ceil((each * image).max(1));
        let share = || Share { weight: vec![0.0; weight.len()], bias: vec![0.0; self.outputs] };
        let mut shares: Vec<Share> = (0..shares).map(|_| share()).collect();
        let mut of_images = of_images.chunks_mut(each * image);
        let given = of_outputs.chunks(each * output).zip(places.chunks(each * output));
        rayon::scope(|scope| {
            let given = images.chunks(each * image).zip(given);
            for ((images, given), share) in given.zip(&mut shares) {
                let of_images = of_images.next().unwrap_or_default();
                scope.spawn(move |_| self.backward_some(images, sorted, given, of_images, share));
            }
        });
        // In the order of the images, whichever thread was first.
        let mut sums = shares.into_iter();
        let Some(mut sum) = sums.next() else {
            // No images: what is in a room counts for nothing.
            of_weight.fill(0.0);
            of_bias.fill(0.0);
            return;
        };
        for share in sums {
            add_to(&mut sum.weight, &share.weight);
            add_to(&mut sum.bias, &share.bias);
        }
        self.by_channel(&sum.weight, of_weight);
        of_bias.copy_from_slice(&sum.bias);
    }

    fn backward_some(
        &self,
        images: &[f32],
        weight: &[f32],
        (of_outputs, places): (&[f32], &[u8]),
        of_images: &mut [f32],
        share: &mut Share,
    ) {
        let (size, window) = ((self.windows.height, self.windows.width), self.windows.window());
        let mut unfold = Unfold::new(&self.windows, self.size);
        // Another one, because in the first one's frame the zeros stay.
        let mut back = (!of_images.is_empty()).then(|| Unfold::new(&self.windows, self.size));
        let mut pooled = vec![0.0; self.output()];
        // What no square covers stays zero.
        let mut before = vec![0.0; self.outputs * self.plane()];
        let mut of_images = of_images.chunks_exact_mut(self.windows.image());
        let given = of_outputs.chunks_exact(self.output()).zip(places.chunks_exact(self.output()));
        for (image, (given, places)) in images.chunks_exact(self.windows.image()).zip(given) {
            transpose(given, given.len() / self.outputs, &mut pooled);
            unpool(self, &pooled, places, &mut before);
            add_rows(&mut share.bias, &before);
            let windows = rows(unfold.of_planes(image, size), window);
            let into = rows_mut(&mut share.weight, self.outputs);
            multiply_here(windows.t(), rows(&before, self.outputs), into, WriteMode::Accumulate);
            if let (Some(back), Some(of_image)) = (&mut back, of_images.next()) {
                let into = rows_mut(back.windows_mut(), window);
                let weight = rows(weight, self.outputs);
                multiply_here(rows(&before, self.outputs), weight.t(), into, WriteMode::Overwrite);
                back.fold(size, of_image);
            }
        }
    }

    fn kernel(&self) -> usize {
        self.windows.kernel.0 * self.windows.kernel.1
    }

    /// `[kernel, channels, outputs]` of the weight `[outputs, channels, kernel]`.
    fn by_window(&self, weight: &[f32]) -> Vec<f32> {
        let (kernel, channels) = (self.kernel(), self.windows.channels);
        let mut sorted = vec![0.0; weight.len()];
        for (number, values) in weight.chunks_exact(kernel).enumerate() {
            let (output, channel) = (number / channels, number % channels);
            for (place, value) in values.iter().enumerate() {
                sorted[(place * channels + channel) * self.outputs + output] = *value;
            }
        }
        sorted
    }

    /// The way back from [`Convolution::by_window`].
    fn by_channel(&self, sorted: &[f32], weight: &mut [f32]) {
        let (kernel, channels) = (self.kernel(), self.windows.channels);
        for (number, values) in weight.chunks_exact_mut(kernel).enumerate() {
            let (output, channel) = (number / channels, number % channels);
            for (place, value) in values.iter_mut().enumerate() {
                *value = sorted[(place * channels + channel) * self.outputs + output];
            }
        }
    }
}

/// The largest of each square, the first where there are several, and its place; NaN is larger than
/// any other.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn pool(sizes: &Convolution, values: &[f32], pooled: &mut [f32], places: &mut [u8]) {
    let (channels, (_, width)) = (sizes.outputs, sizes.pooled());
    let into = pooled.chunks_exact_mut(channels).zip(places.chunks_exact_mut(channels));
    for (number, (pooled, places)) in into.enumerate() {
        let (y, x) = (number / width * sizes.pool, number % width * sizes.pool);
        for place in 0..sizes.pool * sizes.pool {
            let pixel = (y + place / sizes.pool) * sizes.size.1 + x + place % sizes.pool;
            let values = &values[pixel * channels..(pixel + 1) * channels];
            if place == 0 {
                pooled.copy_from_slice(values);
                places.fill(0);
                continue;
            }
            for ((most, best), &value) in pooled.iter_mut().zip(&mut *places).zip(values) {
                let is_more = value > *most || value.is_nan();
                *most = if is_more { value } else { *most };
                *best = if is_more { place as u8 } else { *best };
            }
        }
    }
}

/// Marks outputs that ReLU made zero.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn forget_zeros(outputs: &[f32], places: &mut [u8]) {
    for (place, output) in places.iter_mut().zip(outputs) {
        *place = if *output <= 0.0 { NOWHERE } else { *place };
    }
}

/// The gradient before pool and ReLU.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn unpool(sizes: &Convolution, pooled: &[f32], places: &[u8], before: &mut [f32]) {
    let (channels, (_, width)) = (sizes.outputs, sizes.pooled());
    let given = pooled.chunks_exact(channels).zip(places.chunks_exact(channels));
    for (number, (pooled, places)) in given.enumerate() {
        let (y, x) = (number / width * sizes.pool, number % width * sizes.pool);
        for place in 0..sizes.pool * sizes.pool {
            let pixel = (y + place / sizes.pool) * sizes.size.1 + x + place % sizes.pool;
            let before = &mut before[pixel * channels..(pixel + 1) * channels];
            for ((value, gradient), from) in before.iter_mut().zip(pooled).zip(places) {
                *value = if *from == place as u8 { *gradient } else { 0.0 };
            }
        }
    }
}
