//! Measures of a program's own, over a whole test set.

use std::collections::BTreeMap;
use std::sync::Arc;

use ps_core::limits::MEASURE_NAME_MAX;
use ps_core::measures::Measure;
use ps_data::Samples;

/// What a model said of all samples of a set.
#[derive(Clone, Copy, Debug)]
pub struct Predicted<'a> {
    /// The samples: labels, and what else they are by [`Samples::gather`]. Labels that are numbers are as the model learnt
    /// them ([`ps_core::schema::Scale`]).
    pub samples: &'a Samples,
    /// Sample after sample, the probability of each class or label, or numbers as the model has them.
    pub predictions: &'a [f32],
    /// Predictions for each sample.
    pub outputs: usize,
}

type Compute = dyn Fn(&Predicted<'_>) -> Option<f64> + Send + Sync;

/// The measures that a program has of its own.
#[derive(Clone, Default)]
pub(super) struct OwnMeasures(BTreeMap<String, Arc<Compute>>);

impl OwnMeasures {
    /// Adds one; one of the same name is replaced.
    pub(super) fn insert(
        &mut self,
        name: String,
        compute: impl Fn(&Predicted<'_>) -> Option<f64> + Send + Sync + 'static,
    ) {
        self.0.insert(name, Arc::new(compute));
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong with a name, which stands in metric lines.
    pub(super) fn check(&self) -> Result<(), String> {
        let is_good = |name: &&String| {
            let mut bytes = name.bytes();
            (1..=MEASURE_NAME_MAX).contains(&name.len())
                && bytes
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        };
        match self.0.keys().find(|name| !is_good(name)) {
            Some(name) => Err(format!(
                "measure `{name}`: a name has 1 to {MEASURE_NAME_MAX} lower-case letters, digits and underscores"
            )),
            None => Ok(()),
        }
    }

    /// Adds all that are finite to those of a set; one of ours stands for another of its name.
    pub(super) fn extend(&self, measures: &mut Vec<Measure>, predicted: &Predicted<'_>) {
        for (name, compute) in &self.0 {
            measures.retain(|measure| measure.name != *name);
            if let Some(value) = compute(predicted).filter(|value| value.is_finite()) {
                measures.push(Measure { name: name.clone(), value });
            }
        }
    }
}
