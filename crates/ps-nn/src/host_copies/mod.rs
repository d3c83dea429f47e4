//! Gradients on their way from a GPU to the processor, while it computes the next ones.

#[cfg(feature = "cuda")]
mod cuda;
#[cfg(not(feature = "cuda"))]
mod none;

use candle_core::{Result, Tensor};
use std::collections::VecDeque;

#[cfg(feature = "cuda")]
use cuda::{CopyEngine, PendingCopy};
#[cfg(not(feature = "cuda"))]
use none::{CopyEngine, PendingCopy};

/// Copies that were started and have not been taken, oldest first.
#[derive(Default)]
pub struct HostCopies {
    engine: CopyEngine,
    copies: VecDeque<PendingCopy>,
}

impl HostCopies {
    /// Starts the copy of a parameter's gradient, which the GPU may still be computing.
    pub(super) fn start(&mut self, position: usize, gradient: Tensor) -> Result<()> {
        let copy = self.engine.start(position, gradient)?;
        self.copies.push_back(copy);
        Ok(())
    }

    /// The oldest copy if it is complete, in a buffer that `buffer` makes.
    pub(super) fn arrived(
        &mut self,
        buffer: impl FnOnce(usize) -> Vec<f32>,
    ) -> Result<Option<(usize, Vec<f32>)>> {
        match self.copies.front() {
            Some(oldest) if oldest.is_complete()? => self.next(buffer),
            _ => Ok(None),
        }
    }

    /// The oldest copy; waits for it.
    pub(super) fn next(
        &mut self,
        buffer: impl FnOnce(usize) -> Vec<f32>,
    ) -> Result<Option<(usize, Vec<f32>)>> {
        self.copies.pop_front().map(|oldest| self.engine.finish(oldest, buffer)).transpose()
    }
}
