//! Measuring weights: those that the servers hold, or those of a file.

use super::Trainer;
use crate::compute::{Compute, ComputeError, Evaluation};
use crate::train::error::Error;
use crate::train::kept;
use ps_core::keeping::Kept;
use ps_core::scores::EvaluationSet;
use ps_runtime::files::Files;

/// What was measured of one set of weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// On the test set; `None` where it was not looked at.
    pub test: Option<Evaluation>,
    /// On the validation set; `None` where there is none.
    pub validation: Option<Evaluation>,
}

impl Evaluated {
    /// During training the validation set tells, or without one the test set; at the end (`is_final`)
    /// both do.
    fn of(
        compute: &mut dyn Compute,
        weights: &[f32],
        is_final: bool,
    ) -> Result<Self, ComputeError> {
        let validation = compute.validate(weights)?;
        let tests = is_final || validation.is_none();
        let test = tests.then(|| compute.evaluate(weights)).transpose()?;
        Ok(Self { test, validation })
    }

    /// What weights are chosen by: the validation set, or else the test set.
    pub fn chosen_by(&self) -> Option<(EvaluationSet, &Evaluation)> {
        let validation = self.validation.as_ref().map(|it| (EvaluationSet::Validation, it));
        validation.or(self.test.as_ref().map(|it| (EvaluationSet::Test, it)))
    }
}

impl Trainer {
    /// Evaluates the weights as the servers hold them now, which stay in hand; with their digest. `is_final`: on
    /// every set.
    ///
    /// # Errors
    /// The computation failed, or a server is away.
    pub async fn evaluate(&mut self, is_final: bool) -> Result<(Evaluated, u32), Error> {
        let digest = self.read().await?;
        let weights = self.weights.take().unwrap_or_else(|| self.weights_pool.take());
        let evaluated = self.compute(move |compute| {
            let evaluated = Evaluated::of(compute, weights.values(), is_final)?;
            Ok((evaluated, weights))
        });
        let (evaluated, weights) = evaluated.await?;
        self.weights = Some(weights);
        Ok((evaluated, digest))
    }

    /// Evaluates the written model on every set; with the digest of its weights.
    ///
    /// # Errors
    /// It cannot be read, or the computation failed.
    pub(in crate::train) async fn evaluate_model(
        &self,
        files: Files,
    ) -> Result<(Evaluated, u32), Error> {
        let layout = self.layout.clone();
        let evaluated = self.compute(move |compute| {
            let (weights, digest) = kept::read_model(&*files, &layout).map_err(ComputeError)?;
            Ok((Evaluated::of(compute, &weights, true)?, digest))
        });
        evaluated.await
    }

    /// Writes the weights in hand as those that are kept. The inner error, in words: they could not be written.
    ///
    /// # Errors
    /// None but a panic of the file system's.
    pub(in crate::train) async fn keep(
        &mut self,
        files: Files,
        kept: Kept,
    ) -> Result<Result<(), String>, Error> {
        let Some(weights) = self.weights.take() else {
            return Ok(Err("the weights are not in hand".to_owned()));
        };
        let layout = self.layout.clone();
        let write = move |weights: &mut ps_client::Weights| {
            kept::write(&*files, &layout, &kept, weights.values())
        };
        let (weights, written) = self.compute_on.run(weights, write).await?;
        self.weights = Some(weights);
        Ok(written)
    }
}
