//! Without GPU support nothing is ever on a GPU.

use candle_core::{Result, Tensor};

#[derive(Default)]
pub(super) struct CopyEngine;

/// What a copy would be.
pub(super) struct PendingCopy {
    position: usize,
    gradient: Tensor,
}

impl CopyEngine {
    pub(super) fn start(&mut self, position: usize, gradient: Tensor) -> Result<PendingCopy> {
        Ok(PendingCopy { position, gradient })
    }

    pub(super) fn finish(
        &mut self,
        copy: PendingCopy,
        buffer: impl FnOnce(usize) -> Vec<f32>,
    ) -> Result<(usize, Vec<f32>)> {
        let mut values = buffer(copy.gradient.elem_count());
        values.copy_from_slice(&copy.gradient.flatten_all()?.to_vec1()?);
        Ok((copy.position, values))
    }
}

impl PendingCopy {
    pub(super) fn is_complete(&self) -> Result<bool> {
        Ok(true)
    }
}
