//! Room for the weights of one model: received into, computed on, and received into again.

use crate::Weights;
use ps_core::model_spec::ModelSpec;

/// Weights that are not needed at the moment.
pub struct Buffers {
    spec: ModelSpec,
    spare: Vec<Weights>,
}

impl Buffers {
    /// No room yet; it is made when it is taken.
    pub fn new(spec: ModelSpec) -> Self {
        Self { spec, spare: Vec::new() }
    }

    /// Room for weights; what is in it counts for nothing.
    ///
    /// There are as many as are taken at once: one in hand, and one for each pull under way. One
    /// that is lost with an exchange that was given up is made anew.
    pub fn take(&mut self) -> Weights {
        self.spare.pop().unwrap_or_else(|| Weights::new(&self.spec))
    }

    /// Gives room back.
    pub fn put(&mut self, weights: Weights) {
        self.spare.push(weights);
    }
}
