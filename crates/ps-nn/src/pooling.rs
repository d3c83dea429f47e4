//! Pools over images.

use crate::kernels::pooling::{Pool, pool_max, pool_mean, unpool_max, unpool_mean};
use crate::saved::SavedForBackward;
use crate::tensor::{Floats, cpu_output, floats, has_kernel, tensor_like};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};

/// Sides of windows that are possible: a place in one is kept as a byte.
const SIZE_MAX: usize = 16;

/// How the windows of a pool lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// Side of a window.
    pub size: usize,
    /// Rows and columns from one window to the next.
    pub stride: usize,
    /// Rows and columns around the image where windows may reach and see nothing; at most half of
    /// a window.
    pub padding: usize,
}

impl PoolConfig {
    /// Squares side by side.
    pub fn squares(size: usize) -> Self {
        Self { size, stride: size, padding: 0 }
    }

    /// The largest value of each window of images `[samples, channels, height, width]`; where
    /// several are, one of them has the gradient: on a processor the first.
    ///
    /// # Errors
    /// Windows that are larger than the image.
    pub fn max(self, images: &Tensor) -> Result<Tensor> {
        let images = images.contiguous()?;
        if has_kernel(&images) {
            return images
                .apply_op1(MaxPoolOp { config: self, places: SavedForBackward::default() });
        }
        // One value of each window: candle's maximum gives every one of equals the whole gradient.
        let windows = self.windows(&images, f32::NEG_INFINITY)?;
        let places = windows.argmax_keepdim(2)?;
        let largest = windows.gather(&places, 2)?.squeeze(2)?;
        // To candle what is not a number is never the largest; it must not get lost.
        let strange = windows.ne(&windows)?.to_dtype(windows.dtype())?.sum(2)?.gt(0.0)?;
        let nan = Tensor::full(f32::NAN, largest.shape(), largest.device())?;
        strange.where_cond(&nan, &largest)
    }

    /// The mean of each window, over what it sees of the image.
    ///
    /// # Errors
    /// Windows that are larger than the image.
    pub fn mean(self, images: &Tensor) -> Result<Tensor> {
        let images = images.contiguous()?;
        if has_kernel(&images) {
            return images.apply_op1(MeanPoolOp(self));
        }
        let (rows, columns) = self.seen(&images)?;
        let counts = rows.iter().flat_map(|row| columns.iter().map(move |column| row * column));
        let shares: Vec<f32> = counts.map(|count| 1.0 / count as f32).collect();
        let shape = (1, 1, rows.len(), columns.len());
        let shares = Tensor::from_vec(shares, shape, images.device())?;
        self.windows(&images, 0.0)?.sum(2)?.broadcast_mul(&shares)
    }

    /// The windows' values in dimension 2, out of candle's own operations, as its pools' gradients are
    /// wrong or refused; `around` is what lies around the image.
    fn windows(self, images: &Tensor, around: f32) -> Result<Tensor> {
        let (_, _, height, width) = images.dims4()?;
        let Pool { outputs: (rows, columns), .. } = self.sizes((height, width))?;
        let images = self.padded(&self.padded(images, 2, around)?, 3, around)?;
        let pick = |from: usize, count: usize| -> Result<Tensor> {
            let picked = (0..count).map(|n| (from + n * self.stride) as u32).collect::<Vec<_>>();
            Tensor::new(picked, images.device())
        };
        let places = (0..self.size).flat_map(|y| (0..self.size).map(move |x| (y, x)));
        let seen = places.map(|(y, x)| {
            let lines = images.index_select(&pick(y, rows)?, 2)?;
            lines.index_select(&pick(x, columns)?, 3)?.unsqueeze(2)
        });
        Tensor::cat(&seen.collect::<Result<Vec<_>>>()?, 2)
    }

    /// Images with so much around them in one dimension.
    fn padded(self, images: &Tensor, dimension: usize, around: f32) -> Result<Tensor> {
        if self.padding == 0 {
            return Ok(images.clone());
        }
        let mut shape = images.dims().to_vec();
        shape[dimension] = self.padding;
        let edge = Tensor::full(around, shape, images.device())?;
        Tensor::cat(&[&edge, images, &edge], dimension)
    }

    /// How many rows and columns of the image each window sees.
    fn seen(self, images: &Tensor) -> Result<(Vec<usize>, Vec<usize>)> {
        let (_, _, height, width) = images.dims4()?;
        let Pool { outputs: (rows, columns), .. } = self.sizes((height, width))?;
        let along = |outputs: usize, length: usize| {
            let seen = |output: usize| {
                let begin = output * self.stride;
                let end = (begin + self.size).min(length + self.padding);
                end - begin.max(self.padding)
            };
            (0..outputs).map(seen).collect()
        };
        Ok((along(rows, height), along(columns, width)))
    }

    /// The pool of a channel of this size.
    pub(super) fn sizes(self, (height, width): (usize, usize)) -> Result<Pool> {
        let Self { size, stride, padding } = self;
        let along = |length: usize| Some((length + 2 * padding).checked_sub(size)? / stride + 1);
        let is_possible = (1..=SIZE_MAX).contains(&size) && stride > 0 && padding <= size / 2;
        let outputs = if is_possible { along(height).zip(along(width)) } else { None };
        let Some(outputs) = outputs else {
            candle_core::bail!(
                "a pool of size {size}, stride {stride} and padding {padding} over {height} x \
                 {width}: expected a size of 1 to {SIZE_MAX} that fits, a stride of at least 1 and \
                 a padding of at most half the size"
            );
        };
        Ok(Pool { height, width, size, stride, padding, outputs })
    }

    fn of(self, images: &Shape) -> Result<(Pool, Shape)> {
        let (samples, channels, height, width) = images.dims4()?;
        let pool = self.sizes((height, width))?;
        Ok((pool, Shape::from((samples, channels, pool.outputs.0, pool.outputs.1))))
    }
}

struct MaxPoolOp {
    config: PoolConfig,
    places: SavedForBackward<u8>,
}

impl CustomOp1 for MaxPoolOp {
    fn name(&self) -> &'static str {
        "max-pool"
    }

    fn cpu_fwd(&self, images: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (pool, shape) = self.config.of(layout.shape())?;
        let mut values = vec![0.0; shape.elem_count()];
        let mut places = vec![0; values.len()];
        pool_max(&pool, floats(images, layout)?, &mut values, &mut places);
        self.places.save(places);
        cpu_output(values, shape)
    }

    fn bwd(&self, images: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (pool, _) = self.config.of(images.shape())?;
        let gradient = gradient.contiguous()?;
        let mut of_images = vec![0.0; images.elem_count()];
        unpool_max(&pool, &Floats::of(&gradient)?, self.places.values(), &mut of_images);
        tensor_like(of_images, images).map(Some)
    }
}

struct MeanPoolOp(PoolConfig);

impl CustomOp1 for MeanPoolOp {
    fn name(&self) -> &'static str {
        "mean-pool"
    }

    fn cpu_fwd(&self, images: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (pool, shape) = self.0.of(layout.shape())?;
        let mut values = vec![0.0; shape.elem_count()];
        pool_mean(&pool, floats(images, layout)?, &mut values);
        cpu_output(values, shape)
    }

    fn bwd(&self, images: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (pool, _) = self.0.of(images.shape())?;
        let gradient = gradient.contiguous()?;
        let mut of_images = vec![0.0; images.elem_count()];
        unpool_mean(&pool, &Floats::of(&gradient)?, &mut of_images);
        tensor_like(of_images, images).map(Some)
    }
}
