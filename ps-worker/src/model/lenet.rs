//! A small convolutional network (after LeCun et al., 1998, with ReLU and larger layers).

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::options::WIDTH_MAX;
use super::{Batch, DataShape, Model, ModelOptions};
use ps_nn::{Conv2d, Conv2dConfig, Linear};

/// Two convolutions 5x5, each with ReLU and the largest of every 2x2, and two fully connected layers.
/// Options: `channels`, of the convolutions, `32,64`; `hidden`, width of the first fully connected
/// layer, `512`.
pub(super) struct LeNet {
    convolutions: Vec<Conv2d>,
    hidden: Linear,
    classes: Linear,
    image: (usize, usize, usize),
}

impl Model for LeNet {
    fn build(vars: VarBuilder, shape: &DataShape, options: &mut ModelOptions) -> Result<Self> {
        let widths = options.take_list_within("channels", vec![32, 64], 0..=WIDTH_MAX)?;
        let hidden = options.take_within("hidden", 512, 0..=WIDTH_MAX)?;
        let image = shape.image()?;
        let config = Conv2dConfig { padding: 2, ..Conv2dConfig::default() };
        let (mut channels, mut height, mut width) = image;
        let mut convolutions = Vec::new();
        for (number, &outputs) in widths.iter().enumerate() {
            let vars = vars.pp(format!("conv{}", number + 1));
            convolutions.push(Conv2d::new(channels, outputs, 5, config, vars)?);
            (channels, height, width) = (outputs, height / 2, width / 2);
        }
        let inputs = channels * height * width;
        if hidden == 0 || widths.contains(&0) {
            candle_core::bail!("a layer of no outputs; give --hidden and --channels of at least 1");
        }
        if inputs == 0 {
            candle_core::bail!(
                "nothing is left of images of {} x {} after {} halvings; give fewer --channels, or \
                 larger images",
                image.1,
                image.2,
                widths.len()
            );
        }
        let hidden_layer = Linear::new(inputs, hidden, vars.pp("hidden"))?;
        let classes = Linear::new(hidden, shape.outputs, vars.pp("classes"))?;
        Ok(Self { convolutions, hidden: hidden_layer, classes, image })
    }

    fn outputs(&self, batch: &Batch) -> Result<Option<Tensor>> {
        self.logits(batch).map(Some)
    }
}

impl LeNet {
    fn logits(&self, batch: &Batch) -> Result<Tensor> {
        let (channels, height, width) = self.image;
        let mut images = batch.features.reshape((batch.samples(), channels, height, width))?;
        for convolution in &self.convolutions {
            images = convolution.forward_relu_max_pool(&images, 2)?;
        }
        self.classes.forward(&self.hidden.forward_relu(&images.flatten_from(1)?)?)
    }
}
