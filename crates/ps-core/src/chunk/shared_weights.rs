//! Weights that are read while the chunk goes on.

use std::sync::Arc;

/// A chunk's weights at one version, as the wire carries them: little-endian `f32`.
///
/// They stay what they are as long as this is held, whatever is pushed meanwhile: updates are worked out in memory of
/// their own, and memory that is held is not taken for them.
#[derive(Clone, Debug)]
pub struct SharedWeights(Arc<Vec<f32>>);

impl SharedWeights {
    pub(super) fn new(weights: Arc<Vec<f32>>) -> Self {
        Self(weights)
    }
}

impl AsRef<[u8]> for SharedWeights {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}
