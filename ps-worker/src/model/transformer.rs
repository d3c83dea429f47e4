//! A small language model over bytes (Vaswani et al., 2017; norms come first, as in Xiong et al., 2020).

use candle_core::{D, DType, Result, Tensor};
use candle_nn::VarBuilder;

use super::options::{DEPTH_MAX, WIDTH_MAX};
use super::{Batch, BatchScore, DataShape, Model, ModelOptions, scalar};
use ps_core::Task;
use ps_nn::{
    Activation, CausalSelfAttention, Dropout, Embedding, LayerNorm, Linear, cross_entropy,
};

/// What keeps a norm's scale finite.
const EPSILON: f64 = 1e-5;

/// Deviation of the start values of both tables.
const DEVIATION: f64 = 0.02;

/// Values of a byte.
const BYTES: usize = 256;

/// Learns the next byte after each byte of a sample: `--format text`. Options: `width`, `256`;
/// `layers`, `4`; `heads`, `4`; `dropout`, `0`.
pub(super) struct Transformer {
    bytes: Embedding,
    places: Embedding,
    dropout: Dropout,
    blocks: Vec<Block>,
    norm: LayerNorm,
    classes: Linear,
    context: usize,
}

/// Attention, then a layer four times as wide, each beside what goes around it.
struct Block {
    attention_norm: LayerNorm,
    attention: CausalSelfAttention,
    norm: LayerNorm,
    wide: Linear,
    narrow: Linear,
    dropouts: (Dropout, Dropout),
}

impl Block {
    fn new(
        (width, heads): (usize, usize),
        dropouts: (Dropout, Dropout),
        vars: VarBuilder,
    ) -> Result<Self> {
        Ok(Self {
            attention_norm: LayerNorm::new(width, EPSILON, vars.pp("attention_norm"))?,
            attention: CausalSelfAttention::new(width, heads, vars.pp("attention"))?,
            norm: LayerNorm::new(width, EPSILON, vars.pp("norm"))?,
            wide: Linear::new(width, 4 * width, vars.pp("wide"))?,
            narrow: Linear::new(4 * width, width, vars.pp("narrow"))?,
            dropouts,
        })
    }

    fn forward(&self, inputs: &Tensor, batch: &Batch) -> Result<Tensor> {
        let attended = self.attention.forward(&self.attention_norm.forward(inputs)?)?;
        let inputs = (inputs + self.dropouts.0.forward(&attended, batch.phase)?)?;
        let wide = Activation::Gelu.forward(&self.wide.forward(&self.norm.forward(&inputs)?)?)?;
        let narrow = self.narrow.forward(&wide)?;
        &inputs + self.dropouts.1.forward(&narrow, batch.phase)?
    }
}

impl Model for Transformer {
    fn build(vars: VarBuilder, shape: &DataShape, options: &mut ModelOptions) -> Result<Self> {
        let width = options.take_within("width", 256, 0..=WIDTH_MAX)?;
        let layers = options.take_within("layers", 4, 0..=DEPTH_MAX)?;
        let heads = options.take_within("heads", 4, 0..=WIDTH_MAX)?;
        let probability = options.take("dropout", 0.0)?;
        let dropout = |layer| Dropout::new(probability, layer);
        let (&[context], BYTES, Task::Classification) =
            (shape.features.as_slice(), shape.outputs, shape.task)
        else {
            candle_core::bail!(
                "samples of shape {:?} in {} classes, expected some bytes of text each, and one of \
                 {BYTES} after them; give --format text",
                shape.features,
                shape.outputs
            );
        };
        let block = |number: u64| {
            let dropouts = (dropout(2 * number + 1)?, dropout(2 * number + 2)?);
            Block::new((width, heads), dropouts, vars.pp(format!("block{}", number + 1)))
        };
        Ok(Self {
            bytes: Embedding::new(shape.outputs, width, DEVIATION, vars.pp("bytes"))?,
            places: Embedding::new(context, width, DEVIATION, vars.pp("places"))?,
            dropout: dropout(0)?,
            blocks: (0..layers).map(block).collect::<Result<_>>()?,
            norm: LayerNorm::new(width, EPSILON, vars.pp("norm"))?,
            classes: Linear::new(width, shape.outputs, vars.pp("classes"))?,
            context,
        })
    }

    fn loss(&self, batch: &Batch) -> Result<Tensor> {
        let (logits, next) = self.logits(batch)?;
        cross_entropy(&logits, &next)
    }

    /// Of the byte after each sample.
    fn outputs(&self, batch: &Batch) -> Result<Option<Tensor>> {
        let (logits, _) = self.logits(batch)?;
        logits.narrow(1, self.context - 1, 1)?.squeeze(1).map(Some)
    }

    /// Loss over all bytes; right are samples whose label, the byte after them, is.
    fn evaluate(&self, batch: &Batch, _: Option<&Tensor>) -> Result<BatchScore> {
        let (logits, next) = self.logits(batch)?;
        let last = logits.narrow(1, self.context - 1, 1)?.squeeze(1)?;
        let right = last.argmax(D::Minus1)?.eq(&batch.labels)?.to_dtype(DType::U32)?;
        let correct = Some(u64::from(right.sum_all()?.to_scalar::<u32>()?));
        Ok(BatchScore { loss: scalar(&cross_entropy(&logits, &next)?)?, correct })
    }
}

impl Transformer {
    /// Logits `[samples, context, 256]`, and the bytes that they should say.
    fn logits(&self, batch: &Batch) -> Result<(Tensor, Tensor)> {
        let (samples, context) = batch.features.dims2()?;
        let bytes = batch.features.to_dtype(DType::U32)?;
        let later = bytes.narrow(1, 1, context - 1)?;
        let next = Tensor::cat(&[&later, &batch.labels.reshape((samples, 1))?], 1)?;
        let places = Tensor::arange(0, context as u32, bytes.device())?;
        let places = self.places.forward(&places)?;
        let mut values = self.bytes.forward(&bytes)?.broadcast_add(&places)?;
        values = self.dropout.forward(&values, batch.phase)?;
        for block in &self.blocks {
            values = block.forward(&values, batch)?;
        }
        Ok((self.classes.forward(&self.norm.forward(&values)?)?, next))
    }
}
