//! Measuring weights for the master, and keeping the best of them.

use super::JobMember;
use crate::train::error::Error;
use crate::train::trainer::Evaluated;
use ps_core::keeping::Kept;
use ps_core::master::{EvaluateTask, EvaluationResult};
use ps_proto::v1;

impl JobMember {
    /// Measures what the master wants to know. What is the best so far is written before anybody hears of
    /// it; nothing is ever pushed.
    pub(super) async fn evaluate(
        &mut self,
        task: v1::EvaluateTask,
    ) -> Result<v1::EvaluationResult, Error> {
        let task = EvaluateTask::try_from(task)?;
        let mut result = EvaluationResult {
            number: task.number,
            test: None,
            validation: None,
            weights_digest: 0,
            is_kept: false,
            keep_error: None,
            error: None,
        };
        match self.measure(&task).await {
            Ok(Some((evaluated, digest))) => {
                let kept = self.keep(&task, &evaluated, digest).await?;
                result.is_kept = kept == Some(Ok(()));
                result.keep_error = kept.and_then(Result::err);
                (result.test, result.validation) = (evaluated.test, evaluated.validation);
                result.weights_digest = digest;
            }
            Ok(None) => result.error = Some("this process has no model".to_owned()),
            Err(Error::Compute(error)) => result.error = Some(error.to_string()),
            Err(error) => return Err(error),
        }
        Ok(result.into())
    }

    async fn measure(&mut self, task: &EvaluateTask) -> Result<Option<(Evaluated, u32)>, Error> {
        let files = self.workload.keeps().filter(|_| task.of_file);
        let Some(trainer) = self.trainer.as_mut() else {
            return Ok(None);
        };
        let evaluated = match files {
            Some(files) => trainer.evaluate_model(files).await?,
            None => trainer.evaluate(task.is_final).await?,
        };
        Ok(Some(evaluated))
    }

    /// Writes the weights in hand if they are the best so far; the inner error says why they are not written.
    async fn keep(
        &mut self,
        task: &EvaluateTask,
        evaluated: &Evaluated,
        digest: u32,
    ) -> Result<Option<Result<(), String>>, Error> {
        let settings = &self.settings.evaluation;
        let files = self.workload.keeps().filter(|_| settings.keeps_best() && !task.is_final);
        let (Some(files), Some((set, scores))) = (files, evaluated.chosen_by()) else {
            return Ok(None);
        };
        // A measure that is not there is for the master to say.
        let found = task.weights(digest).with_scores(settings, set, scores).ok().flatten();
        let better = found.filter(|found: &Kept| found.is_better_than(task.best.as_ref()));
        match (better, self.trainer.as_mut()) {
            (Some(kept), Some(trainer)) => trainer.keep(files, kept).await.map(Some),
            _ => Ok(None),
        }
    }
}
