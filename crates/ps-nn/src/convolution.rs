//! Convolution over images.

use super::activation::relu_composed;
use super::pooling::PoolConfig;
use crate::delivery::{apply_with_parameters, deliver, gradient_buffer};
use crate::kernels::convolution::Convolution;
use crate::kernels::windows::Windows;
use crate::saved::SavedForBackward;
use crate::tensor::{Floats, cpu_output, floats, has_kernel, tensor_like};
use crate::tracked::tracked;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use candle_nn::{Init, VarBuilder, init};

/// Sides of squares that are possible: a place in one is kept as a byte, and one more means none.
const POOL_MAX: usize = 15;

/// How the windows of a convolution lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dConfig {
    /// Rows and columns from one window to the next.
    pub stride: usize,
    /// Zeros around the image; less than the kernel.
    pub padding: usize,
}

impl Default for Conv2dConfig {
    fn default() -> Self {
        Self { stride: 1, padding: 0 }
    }
}

/// A convolution of images `[samples, channels, height, width]`, stored as PyTorch stores it.
#[derive(Clone, Debug)]
pub struct Conv2d {
    weight: Tensor,
    bias: Tensor,
    config: Conv2dConfig,
}

impl Conv2d {
    /// A layer with the variables `weight` of the shape `[outputs, inputs, kernel, kernel]` and
    /// `bias`.
    ///
    /// # Errors
    /// A padding that is not less than the kernel, no stride or channels, or what the variables'
    /// source says.
    pub fn new(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        config: Conv2dConfig,
        vars: VarBuilder,
    ) -> Result<Self> {
        let bound = 1.0 / ((inputs * kernel * kernel).max(1) as f64).sqrt();
        let bias_start = Init::Uniform { lo: -bound, up: bound };
        let plain = Self::without_bias(inputs, outputs, kernel, config, vars.clone())?;
        Ok(Self { bias: vars.get_with_hints(outputs, "bias", bias_start)?, ..plain })
    }

    /// The same without `bias`, for one that a norm follows.
    ///
    /// # Errors
    /// As [`Conv2d::new`].
    pub fn without_bias(
        inputs: usize,
        outputs: usize,
        kernel: usize,
        config: Conv2dConfig,
        vars: VarBuilder,
    ) -> Result<Self> {
        let Conv2dConfig { stride, padding } = config;
        if padding >= kernel || stride == 0 || inputs == 0 || outputs == 0 {
            candle_core::bail!(
                "a convolution from {inputs} to {outputs} channels, of kernel {kernel} with \
                 padding {padding} and stride {stride}: expected a padding below the kernel, and \
                 at least 1 of the others"
            );
        }
        let shape = (outputs, inputs, kernel, kernel);
        let weight = vars.get_with_hints(shape, "weight", init::DEFAULT_KAIMING_NORMAL)?;
        let bias = Tensor::zeros(outputs, vars.dtype(), vars.device())?;
        Ok(Self { weight, bias, config })
    }

    /// The outputs `[samples, outputs, height, width]`.
    ///
    /// # Errors
    /// Images of other channels, or smaller than the kernel.
    pub fn forward(&self, images: &Tensor) -> Result<Tensor> {
        self.apply(images, false, 1)
    }

    /// The same, with negative outputs as zero.
    ///
    /// # Errors
    /// As [`Conv2d::forward`].
    pub fn forward_relu(&self, images: &Tensor) -> Result<Tensor> {
        self.apply(images, true, 1)
    }

    /// The same, and of each square of `size` a side, side by side, only the largest: much less
    /// memory is written than one after the other.
    ///
    /// # Errors
    /// As [`Conv2d::forward`]; outputs smaller than a square.
    pub fn forward_relu_max_pool(&self, images: &Tensor, size: usize) -> Result<Tensor> {
        self.apply(images, true, size)
    }

    fn apply(&self, images: &Tensor, relu: bool, pool: usize) -> Result<Tensor> {
        let images = images.contiguous()?;
        let layer =
            Conv2dOp { config: self.config, relu, pool, places: SavedForBackward::default() };
        // Candle panics over images that are smaller than the kernel.
        layer.sizes(images.shape(), self.weight.shape())?;
        if has_kernel(&images) {
            return apply_with_parameters(&images, &self.weight, &self.bias, layer);
        }
        self.composed(&images, relu, pool)
    }

    fn composed(&self, images: &Tensor, relu: bool, pool: usize) -> Result<Tensor> {
        let Conv2dConfig { stride, mut padding } = self.config;
        let (kernel, mut images) = (self.weight.dim(2)?, images.clone());
        // What no window reaches at the end of a row or column. Candle's way back takes both for equal.
        let rest = |length: usize| (length + 2 * padding).saturating_sub(kernel) % stride;
        let (_, _, height, width) = images.dims4()?;
        let rests = (rest(height), rest(width));
        if rests.0 != rests.1 {
            images = images.pad_with_zeros(2, padding, padding)?;
            images = images.pad_with_zeros(3, padding, padding)?;
            images = images.narrow(2, 0, height + 2 * padding - rests.0)?;
            images = images.narrow(3, 0, width + 2 * padding - rests.1)?.contiguous()?;
            padding = 0;
        }
        let outputs = images.conv2d(&tracked(&self.weight)?, padding, stride, 1, 1)?;
        let outputs = outputs.broadcast_add(&tracked(&self.bias)?.reshape((1, (), 1, 1))?)?;
        let outputs = if relu { relu_composed(&outputs)? } else { outputs };
        if pool == 1 { Ok(outputs) } else { PoolConfig::squares(pool).max(&outputs) }
    }
}

/// The layer as one operation on images, weight and bias.
struct Conv2dOp {
    config: Conv2dConfig,
    relu: bool,
    /// Side of the squares of which the largest is left; 1 for all.
    pool: usize,
    /// What the way back needs to know of each output.
    places: SavedForBackward<u8>,
}

impl Conv2dOp {
    fn sizes(&self, images: &Shape, weight: &Shape) -> Result<(usize, Convolution)> {
        let (samples, channels, height, width) = images.dims4()?;
        let (outputs, expected, kernel_height, kernel_width) = weight.dims4()?;
        if channels != expected {
            candle_core::bail!("images of {channels} channels for a convolution of {expected}");
        }
        let Conv2dConfig { stride, padding } = self.config;
        let kernel = (kernel_height, kernel_width);
        let windows = Windows { channels, height, width, kernel, stride, padding };
        let Some(size) = windows.outputs() else {
            candle_core::bail!(
                "images of {height} x {width} with padding {padding}, smaller than the kernel of \
                 {kernel_height} x {kernel_width}"
            );
        };
        let sizes = Convolution { windows, outputs, size, relu: self.relu, pool: self.pool };
        if !(1..=POOL_MAX).contains(&self.pool) || sizes.output() == 0 {
            candle_core::bail!(
                "a pool of {} x {0} over {} x {}: expected one that fits, of at most {POOL_MAX}",
                self.pool,
                size.0,
                size.1
            );
        }
        Ok((samples, sizes))
    }
}

impl CustomOp3 for Conv2dOp {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        images: &CpuStorage,
        images_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (samples, sizes) = self.sizes(images_layout.shape(), weight_layout.shape())?;
        let mut values = vec![0.0; samples * sizes.output()];
        let mut places = vec![0; values.len()];
        let images = floats(images, images_layout)?;
        let weight = floats(weight, weight_layout)?;
        let bias = floats(bias, bias_layout)?;
        sizes.forward(images, weight, bias, &mut values, &mut places);
        self.places.save(places);
        let (height, width) = sizes.pooled();
        cpu_output(values, (samples, sizes.outputs, height, width))
    }

    fn bwd(
        &self,
        images: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (_, sizes) = self.sizes(images.shape(), weight.shape())?;
        let gradient = gradient.contiguous()?;
        let needed = images.track_op();
        let mut of_images = vec![0.0; if needed { images.elem_count() } else { 0 }];
        let mut of_weight = gradient_buffer(weight);
        let mut of_bias = vec![0.0; bias.elem_count()];
        sizes.backward(
            &Floats::of(images)?,
            &Floats::of(weight)?,
            (&Floats::of(&gradient)?, self.places.values()),
            &mut of_images,
            (&mut of_weight, &mut of_bias),
        );
        let of_images = needed.then(|| tensor_like(of_images, images)).transpose()?;
        let of_bias = deliver(bias, of_bias)?;
        Ok((of_images, deliver(weight, of_weight)?, of_bias))
    }
}
