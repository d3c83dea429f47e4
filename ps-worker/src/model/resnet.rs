//! A small residual network (He et al., 2016), for images of some 28 x 28.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::options::{DEPTH_MAX, WIDTH_MAX};
use super::{Batch, DataShape, Model, ModelOptions};
use ps_nn::{Activation, BatchNorm, Conv2d, Conv2dConfig, Linear, Phase};

/// What keeps a batch norm's scale finite.
const EPSILON: f64 = 1e-5;

/// A convolution 3x3, stages of residual blocks of which each but the first halves the image, the
/// mean over what is left, and one fully connected layer. Options: `channels`, of the stages,
/// `16,32,64`; `blocks`, in each stage, `1`.
pub(super) struct ResNet {
    first: Normed,
    blocks: Vec<Block>,
    classes: Linear,
    image: (usize, usize, usize),
}

/// A convolution and a batch norm.
struct Normed(Conv2d, BatchNorm);

/// Two convolutions, and a way around them.
struct Block {
    first: Normed,
    second: Normed,
    /// Where the shape changes.
    around: Option<Normed>,
}

impl Normed {
    fn new(sizes: (usize, usize), kernel: usize, stride: usize, vars: VarBuilder) -> Result<Self> {
        let config = Conv2dConfig { stride, padding: kernel / 2 };
        let conv = Conv2d::without_bias(sizes.0, sizes.1, kernel, config, vars.pp("conv"))?;
        Ok(Self(conv, BatchNorm::new(sizes.1, EPSILON, vars.pp("norm"))?))
    }

    fn forward(&self, images: &Tensor, phase: Phase) -> Result<Tensor> {
        self.1.forward(&self.0.forward(images)?, phase)
    }
}

impl Block {
    fn new(inputs: usize, outputs: usize, stride: usize, vars: VarBuilder) -> Result<Self> {
        let first = Normed::new((inputs, outputs), 3, stride, vars.pp("first"))?;
        let second = Normed::new((outputs, outputs), 3, 1, vars.pp("second"))?;
        let same = inputs == outputs && stride == 1;
        let around = || Normed::new((inputs, outputs), 1, stride, vars.pp("around"));
        Ok(Self { first, second, around: if same { None } else { Some(around()?) } })
    }

    fn forward(&self, images: &Tensor, phase: Phase) -> Result<Tensor> {
        let inner = Activation::Relu.forward(&self.first.forward(images, phase)?)?;
        let inner = self.second.forward(&inner, phase)?;
        let around = match &self.around {
            Some(around) => &around.forward(images, phase)?,
            None => images,
        };
        Activation::Relu.forward(&(inner + around)?)
    }
}

impl Model for ResNet {
    fn build(vars: VarBuilder, shape: &DataShape, options: &mut ModelOptions) -> Result<Self> {
        let widths = options.take_list_within("channels", vec![16, 32, 64], 0..=WIDTH_MAX)?;
        let each = options.take_within("blocks", 1, 0..=DEPTH_MAX)?;
        if each == 0 {
            candle_core::bail!("--blocks 0: expected at least one in each stage");
        }
        let image = shape.image()?;
        let Some(&start) = widths.first() else {
            candle_core::bail!("--channels names no stage; expected at least one, such as 16");
        };
        let first = Normed::new((image.0, start), 3, 1, vars.pp("first"))?;
        let (mut blocks, mut inputs) = (Vec::new(), start);
        for (stage, &outputs) in widths.iter().enumerate() {
            for number in 0..each {
                let stride = if stage > 0 && number == 0 { 2 } else { 1 };
                let vars = vars.pp(format!("stage{}.block{}", stage + 1, number + 1));
                blocks.push(Block::new(inputs, outputs, stride, vars)?);
                inputs = outputs;
            }
        }
        let classes = Linear::new(inputs, shape.outputs, vars.pp("classes"))?;
        Ok(Self { first, blocks, classes, image })
    }

    fn outputs(&self, batch: &Batch) -> Result<Option<Tensor>> {
        self.logits(batch).map(Some)
    }
}

impl ResNet {
    fn logits(&self, batch: &Batch) -> Result<Tensor> {
        let (channels, height, width) = self.image;
        let images = batch.features.reshape((batch.samples(), channels, height, width))?;
        let mut images = Activation::Relu.forward(&self.first.forward(&images, batch.phase)?)?;
        for block in &self.blocks {
            images = block.forward(&images, batch.phase)?;
        }
        self.classes.forward(&images.flatten_from(2)?.mean(2)?)
    }
}
