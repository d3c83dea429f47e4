//! How good a model is on a whole set.

use candle_core::{DType, Tensor};
use ps_core::Task;
use ps_data::Samples;
use ps_nn::Phase;

use super::CandleCompute;
use crate::compute::Evaluation;
use crate::model::measured::Measured;
use crate::model::{Batch, BatchScore, ModelError, Predicted};

/// Samples in one batch of an evaluation: enough for the matrix products to run at full speed, and
/// about as many as a step has, since candle keeps what a way back would need here, too.
const EVALUATION_SAMPLES_MAX: usize = 64;

/// Inputs in one batch of an evaluation (4 MB of `f32`): samples can be large, and what is made of
/// them is larger.
const EVALUATION_INPUTS_MAX: usize = 1 << 20;

impl CandleCompute {
    /// Score of a whole set at the weights that the variables hold. Without samples the loss is not
    /// a number.
    pub(super) fn score(&mut self, test: &Samples) -> Result<Evaluation, ModelError> {
        let each = test.features_per_sample().max(1);
        let size = EVALUATION_SAMPLES_MAX.min(EVALUATION_INPUTS_MAX / each).max(1);
        let numbers: Vec<u64> = (0..test.len() as u64).collect();
        let (mut loss, mut correct) = (0.0, Some(0_u64));
        let scales = self.data.label_scales();
        let mut measured = Some(Measured::new(self.shape.task, self.shape.outputs, &scales));
        let mut predictions = Vec::new();
        for part in numbers.chunks(size) {
            let batch = self.batch(test, part, Phase::Evaluating)?;
            let (score, outputs) =
                self.score_batch(&batch).map_err(ModelError::candle("evaluating the model"))?;
            loss += score.loss * part.len() as f64;
            correct = correct.zip(score.correct).map(|(sum, more)| sum + more);
            measured = measured.zip(outputs).map(|(mut all, mut outputs)| {
                let rows = outputs.chunks_exact_mut(self.shape.outputs.max(1));
                for (row, number) in rows.zip(part) {
                    all.add(test.labels(), *number as usize, row);
                }
                if !self.measures.is_empty() {
                    predictions.extend(outputs);
                }
                all
            });
        }
        let mut measures = measured.map(|all| all.measures()).unwrap_or_default();
        let outputs = self.shape.outputs;
        if !test.is_empty() && predictions.len() == outputs * test.len() {
            let predicted = Predicted { samples: test, predictions: &predictions, outputs };
            self.measures.extend(&mut measures, &predicted);
        }
        let samples = test.len() as f64;
        Ok(Evaluation {
            loss: loss / samples,
            accuracy: correct.filter(|_| !test.is_empty()).map(|correct| correct as f64 / samples),
            measures,
            samples: test.len() as u64,
        })
    }

    /// The score of a batch, and the outputs for it, if they are as many as the task has.
    fn score_batch(&self, batch: &Batch) -> candle_core::Result<(BatchScore, Option<Vec<f32>>)> {
        let outputs = self.model.outputs(batch)?;
        let score = self.model.evaluate(batch, outputs.as_ref())?;
        let is_of_task = |it: &Tensor| it.dims() == [batch.samples(), self.shape.outputs];
        // A model that measures itself in another way may not classify.
        let is_measured =
            |_: &Tensor| self.shape.task != Task::Classification || score.correct.is_some();
        let outputs = outputs.filter(is_of_task).filter(is_measured);
        let values = outputs.map(|it| it.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>());
        Ok((score, values.transpose()?))
    }
}
