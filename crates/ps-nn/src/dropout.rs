//! Dropout (Srivastava et al., 2014).

use crate::Phase;
use crate::tensor::{Floats, cpu_output, floats, has_kernel, tensor_like};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Drops each value with this probability while training, and scales the others up, so that the mean
/// stays.
///
/// Which are dropped follows from the step's seed and the layer's own number alone: a step that is
/// done again drops the same, and no two workers and no two layers do.
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    probability: f32,
    layer: u64,
}

impl Dropout {
    /// A layer that drops with this probability; `layer` tells it from the model's other ones.
    ///
    /// # Errors
    /// A probability that is not from 0 to below 1.
    pub fn new(probability: f32, layer: u64) -> Result<Self> {
        if !(0.0..1.0).contains(&probability) {
            candle_core::bail!("dropout of {probability}, expected from 0 to below 1");
        }
        Ok(Self { probability, layer })
    }

    /// The values that are left.
    ///
    /// # Errors
    /// What candle says.
    pub fn forward(&self, inputs: &Tensor, phase: Phase) -> Result<Tensor> {
        let Phase::Training { seed } = phase else { return Ok(inputs.clone()) };
        if self.probability == 0.0 {
            return Ok(inputs.clone());
        }
        let scales = self.scales(seed, inputs.elem_count());
        if has_kernel(inputs) {
            return inputs.contiguous()?.apply_op1(Scale(scales));
        }
        inputs * Tensor::from_vec(scales, inputs.shape(), inputs.device())?
    }

    /// What each value is multiplied by.
    fn scales(&self, seed: u64, count: usize) -> Vec<f32> {
        let mut key = [0_u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&self.layer.to_le_bytes());
        // Keeps this stream apart from every other one that is keyed by the same seed.
        key[16..].copy_from_slice(b"ps dropout, v. 1");
        let mut bytes = vec![0; 2 * count];
        ChaCha8Rng::from_seed(key).fill_bytes(&mut bytes);
        // Sixteen bits are fine enough for a probability.
        let limit = f32::from(u16::MAX) * self.probability;
        let kept = 1.0 / (1.0 - self.probability);
        let (draws, _) = bytes.as_chunks::<2>();
        let scale = |draw: &[u8; 2]| match f32::from(u16::from_le_bytes(*draw)) < limit {
            true => 0.0,
            false => kept,
        };
        draws.iter().map(scale).collect()
    }
}

/// Multiplies each value by a number.
struct Scale(Vec<f32>);

impl Scale {
    fn of(&self, values: &[f32]) -> Vec<f32> {
        values.iter().zip(&self.0).map(|(value, scale)| value * scale).collect()
    }
}

impl CustomOp1 for Scale {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, inputs: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        cpu_output(self.of(floats(inputs, layout)?), layout.shape())
    }

    fn bwd(&self, inputs: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        tensor_like(self.of(&Floats::of(&gradient)?), inputs).map(Some)
    }
}
