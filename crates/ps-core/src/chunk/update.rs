//! What is asked of a chunk, and what it answers.

use crate::TensorKind;
use crate::parameters::{RuleSpan, UpdateRule};
use crate::span::{self, Span};
use std::ops::Range;

/// One push's part that falls on one chunk.
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    /// The elements covered, rising and without overlap; empty means the whole chunk.
    pub spans: &'a [Span],
    /// The spans' values one after another: little-endian `f32`, at any alignment.
    pub values: &'a [u8],
    /// The chunk's version when the weights behind these values were pulled.
    pub pulled_version: u64,
    /// The rate for this push, before any correction for staleness. Unused for state.
    pub learning_rate: f32,
    /// Trainable: gradients for the optimizer. State: values that replace the old ones.
    pub kind: TensorKind,
    /// The rules of all elements of the chunk; empty: the optimizer's for all.
    pub rules: &'a [RuleSpan],
}

/// What became of a well-formed update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The chunk holds it.
    Applied {
        /// Updates that the chunk had between the pull and this update.
        staleness: u64,
    },
    /// Nothing of the chunk changed.
    Refused(NonFinite),
}

/// Why an update would have spoiled the chunk.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, thiserror::Error,
)]
pub enum NonFinite {
    /// A pushed value, of a gradient or of state, is NaN or infinite.
    #[serde(rename = "non_finite_gradient")]
    #[error("a pushed value is NaN or infinite")]
    Gradient,
    /// The gradient is finite, but a weight or the optimizer's state would not be.
    #[serde(rename = "non_finite_result")]
    #[error("the update would leave a value that is NaN or infinite")]
    Result,
}

/// Why a chunk cannot be made, or an update cannot be meant for it.
#[derive(Clone, Debug, thiserror::Error, PartialEq)]
#[allow(missing_docs)]
pub enum Error {
    /// More elements than a chunk may have.
    #[error("chunk: {0} elements; cut the shard into chunks of at most {max}", max = crate::limits::CHUNK_ELEMENTS_MAX)]
    TooLarge(usize),
    /// Weights or state to start from are NaN or infinite.
    #[error("chunk: the weights or state to start from are not all finite; start from others")]
    NotFinite,
    /// A state vector is not as long as the weights.
    #[error("chunk: a state vector of {found} elements for {expected} weights; load all of it")]
    SlotLength { expected: usize, found: usize },
    /// The chunk was made for another optimizer.
    #[error(
        "chunk: optimizer `{optimizer}` needs {expected} state vectors per weight, the chunk has \
         {found}; make the chunk for the optimizer that is applied to it"
    )]
    Slots { optimizer: &'static str, expected: usize, found: usize },
    /// The spans do not describe part of this chunk.
    #[error(transparent)]
    Spans(#[from] span::Error),
    /// Not one value for each element covered.
    #[error(
        "update: {found} bytes of values for {elements} elements of 4 bytes each; \
         send exactly the covered elements"
    )]
    ValueBytes { elements: usize, found: usize },
    /// Computed from weights that this chunk never had.
    #[error(
        "update: computed at version {pulled} of a chunk that is at version {held}; \
         pull again from this server"
    )]
    FutureVersion { pulled: u64, held: u64 },
    /// A rate that no step can be made with.
    #[error("update: learning rate {0}; it must be finite and not negative")]
    LearningRate(f32),
}

impl Update<'_> {
    /// Checks everything but the values themselves.
    pub(super) fn check(&self, elements: usize, version: u64) -> Result<(), Error> {
        let covered = match self.spans {
            [] => elements,
            spans => span::check(spans, elements)?,
        };
        if self.values.len() != covered * size_of::<f32>() {
            return Err(Error::ValueBytes { elements: covered, found: self.values.len() });
        }
        if self.pulled_version > version {
            return Err(Error::FutureVersion { pulled: self.pulled_version, held: version });
        }
        if !self.learning_rate.is_finite() || self.learning_rate < 0.0 {
            return Err(Error::LearningRate(self.learning_rate));
        }
        Ok(())
    }

    /// Calls `apply` with each covered range of indices that has one rule, the rule, and the values for it.
    pub(super) fn for_each_rule(
        &self,
        elements: usize,
        mut apply: impl FnMut(Range<usize>, UpdateRule, &[u8]),
    ) {
        self.for_each_span(elements, |range, mut values| {
            if self.rules.is_empty() {
                return apply(range, UpdateRule::default(), values);
            }
            for RuleSpan { elements, rule } in self.rules {
                let part = elements.start.max(range.start)..elements.end.min(range.end);
                if part.start < part.end {
                    let (here, rest) = values.split_at(part.len() * size_of::<f32>());
                    apply(part, *rule, here);
                    values = rest;
                }
            }
        });
    }

    /// Calls `apply` with each covered range of indices and the values for it.
    pub(super) fn for_each_span(
        &self,
        elements: usize,
        mut apply: impl FnMut(Range<usize>, &[u8]),
    ) {
        if self.spans.is_empty() {
            return apply(0..elements, self.values);
        }
        let mut values = self.values;
        for span in self.spans {
            let range = span.range();
            let (here, rest) = values.split_at(range.len() * size_of::<f32>());
            apply(range, here);
            values = rest;
        }
    }
}
