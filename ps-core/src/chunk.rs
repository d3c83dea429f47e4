//! A chunk: the unit of lock, version and update.

mod update;

pub use update::{Error, Outcome, Refusal, Update};

use crate::TensorKind;
use crate::optimizer::{Bounds, Correction, Optimizer, Step, kernel};

pub use crate::limits::CHUNK_ELEMENTS_MAX as ELEMENTS_MAX;

// Pulls and state pushes copy weights to and from the wire's little-endian bytes as they are.
const _: () = assert!(cfg!(target_endian = "little"), "weights are sent as they lie in memory");

/// A run of a shard's weights with what the optimizer remembers about them.
#[derive(Clone, Debug)]
pub struct Chunk {
    weights: Vec<f32>,
    slots: Vec<Vec<f32>>,
    version: u64,
    updates: u64,
    bounds: Bounds,
}

/// All that a chunk is, as a checkpoint holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// The weights.
    pub weights: Vec<f32>,
    /// The optimizer's state vectors, each as long as the weights.
    pub slots: Vec<Vec<f32>>,
    /// Updates of any kind so far.
    pub version: u64,
    /// Gradient updates so far.
    pub updates: u64,
}

impl Chunk {
    /// A chunk at version 0 with the state that the optimizer starts from.
    ///
    /// # Errors
    /// Too many weights, or one that is not finite.
    pub fn new(weights: Vec<f32>, optimizer: &Optimizer) -> Result<Self, Error> {
        let slots = vec![vec![0.0; weights.len()]; optimizer.slots()];
        Self::from_parts(Parts { weights, slots, version: 0, updates: 0 })
    }

    /// A chunk as it was.
    ///
    /// # Errors
    /// Too many weights, state of another length, or a value that is not finite.
    pub fn from_parts(parts: Parts) -> Result<Self, Error> {
        let Parts { weights, slots, version, updates } = parts;
        let expected = weights.len();
        if expected > ELEMENTS_MAX {
            return Err(Error::TooLarge(expected));
        }
        if let Some(slot) = slots.iter().find(|slot| slot.len() != expected) {
            return Err(Error::SlotLength { expected, found: slot.len() });
        }
        let bounds = Bounds::measure(&weights, &slots).ok_or(Error::NotFinite)?;
        Ok(Self { weights, slots, version, updates, bounds })
    }

    /// A copy of all that the chunk is.
    pub fn to_parts(&self) -> Parts {
        Parts {
            weights: self.weights.clone(),
            slots: self.slots.clone(),
            version: self.version,
            updates: self.updates,
        }
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

    /// The weights as the wire carries them: little-endian `f32`.
    pub fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.weights)
    }

    /// Applies an update to the elements that it covers: all of it or, when it is malformed or
    /// would leave a value that is not finite, nothing.
    ///
    /// # Errors
    /// The update cannot be meant for this chunk, or the chunk was made for another optimizer.
    pub fn apply(
        &mut self,
        optimizer: &Optimizer,
        correction: Correction,
        update: &Update<'_>,
    ) -> Result<Outcome, Error> {
        update.check(self.weights.len(), self.version)?;
        if self.slots.len() != optimizer.slots() {
            let (expected, found) = (optimizer.slots(), self.slots.len());
            return Err(Error::Slots { optimizer: optimizer.name(), expected, found });
        }
        let Some(largest) = kernel::largest_magnitude(update.values) else {
            return Ok(Outcome::Refused(Refusal::NonFiniteGradient));
        };
        let staleness = self.version - update.pulled_version;
        match update.kind {
            TensorKind::State => self.replace(update, largest),
            TensorKind::Trainable => {
                let rate = correction.rate(&optimizer.kind, update.learning_rate, staleness);
                let step = optimizer.step(rate, self.updates + 1);
                if !self.train(&step, update, largest) {
                    return Ok(Outcome::Refused(Refusal::NonFiniteResult));
                }
                self.updates += 1;
            }
        }
        self.version += 1;
        Ok(Outcome::Applied { staleness })
    }

    fn replace(&mut self, update: &Update<'_>, largest: f32) {
        update.for_each_span(self.weights.len(), |range, values| {
            bytemuck::cast_slice_mut(&mut self.weights[range]).copy_from_slice(values);
        });
        self.bounds.weights = self.bounds.weights.max(largest.into());
    }

    /// Takes the step, unless a result would not be finite; says whether it was taken.
    fn train(&mut self, step: &Step, update: &Update<'_>, largest: f32) -> bool {
        let bounds = step.bounds(self.bounds, largest);
        if bounds.are_safe() {
            take(step, update, &mut self.weights, &mut self.slots);
            self.bounds = bounds;
            return true;
        }
        // It may overflow: find out on a copy.
        let (mut weights, mut slots) = (self.weights.clone(), self.slots.clone());
        take(step, update, &mut weights, &mut slots);
        let Some(bounds) = Bounds::measure(&weights, &slots) else {
            return false;
        };
        (self.weights, self.slots, self.bounds) = (weights, slots, bounds);
        true
    }
}

fn take(step: &Step, update: &Update<'_>, weights: &mut [f32], slots: &mut [Vec<f32>]) {
    update.for_each_span(weights.len(), |range, values| step.apply(weights, slots, range, values));
}

#[cfg(test)]
mod tests;
