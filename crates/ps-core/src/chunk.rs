//! A chunk: the unit of lock, version and update.

mod shared_weights;
mod update;
mod update_buffer;

pub use shared_weights::SharedWeights;
pub use update::{Error, NonFinite, Outcome, Update};
pub use update_buffer::UpdateBuffer;

use crate::TensorKind;
use crate::correction::Correction;
use crate::parameters::UpdateRule;
use ps_kernels::optimizer::{Optimizer, Step, kernel};
use std::sync::Arc;

pub use crate::limits::CHUNK_ELEMENTS_MAX as ELEMENTS_MAX;

// Pulls and state pushes copy weights to and from the wire's little-endian bytes as they are.
const _: () = assert!(cfg!(target_endian = "little"), "weights are sent as they lie in memory");

/// A run of a shard's weights with what the optimizer remembers about them.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Shared with whoever sends them: an update that finds them in use leaves them as they are.
    weights: Arc<Vec<f32>>,
    slots: Vec<Vec<f32>>,
    version: u64,
    updates: u64,
}

/// All that a chunk is, as a checkpoint holds it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChunkSnapshot {
    /// The weights.
    pub weights: Vec<f32>,
    /// The optimizer's state vectors, each as long as the weights.
    pub slots: Vec<Vec<f32>>,
    /// Updates of any kind so far.
    pub version: u64,
    /// Gradient updates so far.
    pub updates: u64,
}

impl ChunkSnapshot {
    /// The weights, then the state vectors.
    pub fn vectors(&self) -> impl Iterator<Item = &[f32]> {
        std::iter::once(&self.weights).chain(&self.slots).map(Vec::as_slice)
    }

    /// CRC-32 of all of it.
    pub fn checksum(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.version.to_le_bytes());
        hasher.update(&self.updates.to_le_bytes());
        self.vectors().for_each(|values| hasher.update(bytemuck::cast_slice(values)));
        hasher.finalize()
    }
}

impl Chunk {
    /// A chunk at version 0 with the state that the optimizer starts from.
    ///
    /// # Errors
    /// Too many weights, or one that is not finite.
    pub fn new(weights: Vec<f32>, optimizer: &Optimizer) -> Result<Self, Error> {
        let slots = vec![vec![0.0; weights.len()]; optimizer.slots()];
        Self::from_snapshot(ChunkSnapshot { weights, slots, version: 0, updates: 0 })
    }

    /// A chunk as it was.
    ///
    /// # Errors
    /// Too many weights, state of another length, or a value that is not finite.
    pub fn from_snapshot(parts: ChunkSnapshot) -> Result<Self, Error> {
        let ChunkSnapshot { weights, slots, version, updates } = parts;
        let expected = weights.len();
        if expected > ELEMENTS_MAX {
            return Err(Error::TooLarge(expected));
        }
        if let Some(slot) = slots.iter().find(|slot| slot.len() != expected) {
            return Err(Error::SlotLength { expected, found: slot.len() });
        }
        let finite = |values: &Vec<f32>| kernel::all_finite(bytemuck::cast_slice(values));
        if !finite(&weights) || !slots.iter().all(finite) {
            return Err(Error::NotFinite);
        }
        Ok(Self { weights: Arc::new(weights), slots, version, updates })
    }

    /// Copies all that the chunk is into memory of an earlier copy.
    pub fn copy_into(&self, copy: &mut ChunkSnapshot) {
        copy.weights.clone_from(&self.weights);
        copy.slots.clone_from(&self.slots);
        copy.version = self.version;
        copy.updates = self.updates;
    }

    /// The weights.
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// The optimizer's state vectors.
    pub fn slots(&self) -> &[Vec<f32>] {
        &self.slots
    }

    /// Updates of any kind so far.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Gradient updates so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// The weights as they are now, to be read when the chunk's lock is given back.
    pub fn shared_weights(&self) -> SharedWeights {
        SharedWeights::new(self.weights.clone())
    }

    /// Applies an update to the elements that it covers: all of it or, when it is malformed or
    /// would leave a value that is not finite, nothing. `buffer` holds nothing that matters, before
    /// or after.
    ///
    /// # Errors
    /// The update cannot be meant for this chunk, or the chunk was made for another optimizer.
    pub fn apply(
        &mut self,
        optimizer: &Optimizer,
        correction: Correction,
        update: &Update<'_>,
        buffer: &mut UpdateBuffer,
    ) -> Result<Outcome, Error> {
        update.check(self.weights.len(), self.version)?;
        if self.slots.len() != optimizer.slots() {
            let (expected, found) = (optimizer.slots(), self.slots.len());
            return Err(Error::Slots { optimizer: optimizer.name(), expected, found });
        }
        let staleness = self.version - update.pulled_version;
        let refused = match update.kind {
            TensorKind::State => self.replace(update).err(),
            TensorKind::Trainable => {
                let rate = correction.rate(&optimizer.kind, update.learning_rate, staleness);
                let count = self.updates + 1;
                let step = |rule: UpdateRule| {
                    rule.optimizer(optimizer).step(rate * rule.learning_rate_scale, count)
                };
                self.train(step, update, buffer).err()
            }
        };
        if let Some(refusal) = refused {
            return Ok(Outcome::Refused(refusal));
        }
        self.version += 1;
        Ok(Outcome::Applied { staleness })
    }

    fn replace(&mut self, update: &Update<'_>) -> Result<(), NonFinite> {
        if !kernel::all_finite(update.values) {
            return Err(NonFinite::Gradient);
        }
        update.for_each_span(self.weights.len(), |range, values| {
            let weights = Arc::make_mut(&mut self.weights);
            bytemuck::cast_slice_mut(&mut weights[range]).copy_from_slice(values);
        });
        Ok(())
    }

    /// Takes the step, unless a result would not be finite.
    fn train(
        &mut self,
        step: impl Fn(UpdateRule) -> Step,
        update: &Update<'_>,
        buffer: &mut UpdateBuffer,
    ) -> Result<(), NonFinite> {
        let (mut finite, mut done) = (true, 0);
        let length = self.weights.len();
        update.for_each_rule(length, |range, rule, values| {
            let part = done..done + range.len();
            done = part.end;
            let after = buffer.part(length, self.slots.len(), part);
            finite &= step(rule).compute(&self.weights, &self.slots, range, values, after);
        });
        if !finite {
            return Err(if kernel::all_finite(update.values) {
                NonFinite::Result
            } else {
                NonFinite::Gradient
            });
        }
        buffer.commit(update.spans, &mut self.weights, &mut self.slots);
        self.updates += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
