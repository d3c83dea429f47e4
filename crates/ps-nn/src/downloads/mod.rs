//! Gradients on their way from a GPU to the processor, while it computes the next ones.

#[cfg(feature = "cuda")]
mod cuda;
#[cfg(not(feature = "cuda"))]
mod none;

use candle_core::{Result, Tensor};
use std::collections::VecDeque;

#[cfg(feature = "cuda")]
use cuda::{Copier, Copy};
#[cfg(not(feature = "cuda"))]
use none::{Copier, Copy};

/// Copies that were started and have not been taken, oldest first.
#[derive(Default)]
pub struct Downloads {
    copier: Copier,
    copies: VecDeque<Copy>,
}

impl Downloads {
    /// Starts the copy of a parameter's gradient, which the GPU may still be computing.
    pub(super) fn start(&mut self, position: usize, gradient: Tensor) -> Result<()> {
        let copy = self.copier.start(position, gradient)?;
        self.copies.push_back(copy);
        Ok(())
    }

    /// The oldest copy if it is complete, in a buffer that `room` makes.
    pub(super) fn arrived(
        &mut self,
        room: impl FnOnce(usize) -> Vec<f32>,
    ) -> Result<Option<(usize, Vec<f32>)>> {
        match self.copies.front() {
            Some(oldest) if oldest.is_complete()? => self.next(room),
            _ => Ok(None),
        }
    }

    /// The oldest copy; waits for it.
    pub(super) fn next(
        &mut self,
        room: impl FnOnce(usize) -> Vec<f32>,
    ) -> Result<Option<(usize, Vec<f32>)>> {
        self.copies.pop_front().map(|oldest| self.copier.finish(oldest, room)).transpose()
    }
}
