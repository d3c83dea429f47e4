//! Without GPU support nothing is ever on a GPU.

use candle_core::{Result, Tensor};

#[derive(Default)]
pub(super) struct Copier;

/// What a copy would be.
pub(super) struct Copy {
    position: usize,
    gradient: Tensor,
}

impl Copier {
    pub(super) fn start(&mut self, position: usize, gradient: Tensor) -> Result<Copy> {
        Ok(Copy { position, gradient })
    }

    pub(super) fn finish(
        &mut self,
        copy: Copy,
        room: impl FnOnce(usize) -> Vec<f32>,
    ) -> Result<(usize, Vec<f32>)> {
        let mut values = room(copy.gradient.elem_count());
        values.copy_from_slice(&copy.gradient.flatten_all()?.to_vec1()?);
        Ok((copy.position, values))
    }
}

impl Copy {
    pub(super) fn is_complete(&self) -> Result<bool> {
        Ok(true)
    }
}
