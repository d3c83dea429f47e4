//! What an evaluator is to measure, and what it tells the master.

use super::words::{at_most, one_line};
use super::{Error, check_counts};
use crate::v1;
use ps_core::keeping::Kept;
use ps_core::limits::{MEASURE_NAME_MAX, MEASURES_MAX, MESSAGE_TEXT_BYTES_MAX};
use ps_core::master::{EvaluateTask, EvaluationResult};
use ps_core::measures::Measure;
use ps_core::scores::{EvaluationSet, Scores};

impl From<EvaluateTask> for v1::EvaluateTask {
    fn from(task: EvaluateTask) -> Self {
        Self {
            number: task.number,
            pass: task.pass,
            step: task.step,
            r#final: task.is_final,
            of_file: task.of_file,
            job: task.job,
            best: task.best.map(v1::KeptWeights::from),
        }
    }
}

impl From<Kept> for v1::KeptWeights {
    fn from(kept: Kept) -> Self {
        let on_validation = kept.set == EvaluationSet::Validation;
        Self { on_validation, measure: kept.measure, value: kept.value }
    }
}

/// What is said of the weights of an evaluation, but for whose they are and of when.
pub(super) fn kept(wire: v1::KeptWeights) -> Result<Kept, Error> {
    let set = if wire.on_validation { EvaluationSet::Validation } else { EvaluationSet::Test };
    let Measure { name, value } = measure(v1::Measure { name: wire.measure, value: wire.value })?;
    Ok(Kept { measure: name, value, set, ..Kept::default() })
}

impl TryFrom<v1::EvaluateTask> for EvaluateTask {
    type Error = Error;

    fn try_from(wire: v1::EvaluateTask) -> Result<Self, Error> {
        const NAME: &str = "EvaluateTask";
        check_counts(NAME, [("number", wire.number), ("step", wire.step)])?;
        check_counts(NAME, [("pass", wire.pass), ("job", wire.job)])?;
        Ok(Self {
            number: wire.number,
            pass: wire.pass,
            step: wire.step,
            is_final: wire.r#final,
            of_file: wire.of_file,
            job: wire.job,
            best: wire.best.map(kept).transpose()?,
        })
    }
}

impl From<EvaluationResult> for v1::EvaluationResult {
    fn from(result: EvaluationResult) -> Self {
        Self {
            number: result.number,
            test: result.test.map(v1::Scores::from),
            validation: result.validation.map(v1::Scores::from),
            weights_digest: result.weights_digest,
            kept: result.is_kept,
            keep_error: result.keep_error.unwrap_or_default(),
            error: result.error.unwrap_or_default(),
        }
    }
}

impl From<Scores> for v1::Scores {
    fn from(scores: Scores) -> Self {
        let measure = |Measure { name, value }| v1::Measure { name, value };
        Self {
            loss: scores.loss,
            accuracy: scores.accuracy,
            samples: scores.samples,
            measures: scores.measures.into_iter().map(measure).collect(),
        }
    }
}

impl TryFrom<v1::EvaluationResult> for EvaluationResult {
    type Error = Error;

    fn try_from(wire: v1::EvaluationResult) -> Result<Self, Error> {
        const NAME: &str = "EvaluationResult";
        let words = |field: &'static str, text: &str| {
            at_most(NAME, field, text.len(), MESSAGE_TEXT_BYTES_MAX)?;
            let line = one_line(text, MESSAGE_TEXT_BYTES_MAX);
            Ok::<_, Error>((!line.is_empty()).then_some(line))
        };
        Ok(Self {
            number: wire.number,
            test: wire.test.map(Scores::try_from).transpose()?,
            validation: wire.validation.map(Scores::try_from).transpose()?,
            weights_digest: wire.weights_digest,
            is_kept: wire.kept,
            keep_error: words("keep_error", &wire.keep_error)?,
            error: words("error", &wire.error)?,
        })
    }
}

impl TryFrom<v1::Scores> for Scores {
    type Error = Error;

    fn try_from(wire: v1::Scores) -> Result<Self, Error> {
        const NAME: &str = "Scores";
        if let Some(accuracy) = wire.accuracy.filter(|share| !(0.0..=1.0).contains(share)) {
            return Err(Error::invalid(NAME, "accuracy", accuracy, "a share from 0 to 1"));
        }
        Error::check(NAME, "measures", wire.measures.len(), 0..=MEASURES_MAX)?;
        Ok(Self {
            loss: wire.loss,
            accuracy: wire.accuracy,
            measures: wire.measures.into_iter().map(measure).collect::<Result<_, _>>()?,
            samples: wire.samples,
        })
    }
}

/// A measure, whose name becomes part of metric lines.
pub(super) fn measure(wire: v1::Measure) -> Result<Measure, Error> {
    const NAME: &str = "Measure";
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let fits = (1..=MEASURE_NAME_MAX).contains(&wire.name.len()) && wire.name.bytes().all(is_name);
    if !fits {
        let expected = "1 to 64 lower-case letters, digits and underscores";
        return Err(Error::invalid(NAME, "name", one_line(&wire.name, MEASURE_NAME_MAX), expected));
    }
    if !wire.value.is_finite() {
        return Err(Error::invalid(NAME, "value", wire.value, "a finite number"));
    }
    Ok(Measure { name: wire.name, value: wire.value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_shares_and_finite_numbers_with_names_that_are_no_lines() {
        let accuracy = v1::Scores { accuracy: Some(1.5), ..Default::default() };
        assert!(Scores::try_from(accuracy).is_err());
        let measured = |name: &str, value| v1::Scores {
            measures: vec![v1::Measure { name: name.to_owned(), value }],
            ..Default::default()
        };
        let auc = Scores::try_from(measured("auc", 0.5)).unwrap();
        assert_eq!(auc.measures, [Measure { name: "auc".to_owned(), value: 0.5 }]);
        // It would be another metric's line.
        for (name, value) in
            [("", 0.5), ("a; b", 0.5), ("A", 0.5), ("auc\n", 0.5), ("auc", f64::NAN)]
        {
            assert!(Scores::try_from(measured(name, value)).is_err(), "{name:?}");
        }
        let many = vec![v1::Measure { name: "auc".to_owned(), value: 0.5 }; MEASURES_MAX + 1];
        let many = v1::Scores { measures: many, ..Default::default() };
        assert!(Scores::try_from(many).is_err());
    }

    #[test]
    fn tasks_and_results_survive_the_wire() {
        let best = Kept { measure: "auc".into(), value: 0.1 + 0.2, ..Kept::default() };
        let best = Some(Kept { set: EvaluationSet::Validation, ..best });
        let task =
            EvaluateTask { number: 3, pass: 2, step: 70, job: 9, best, ..Default::default() };
        let last = EvaluateTask { number: 4, is_final: true, of_file: true, ..Default::default() };
        for task in [task, last] {
            let wire = v1::EvaluateTask::from(task.clone());
            assert_eq!(EvaluateTask::try_from(wire), Ok(task));
        }
        let scores = Scores { loss: 0.5, accuracy: None, measures: Vec::new(), samples: 4 };
        let result = EvaluationResult {
            number: 3,
            test: None,
            validation: Some(scores),
            weights_digest: 5,
            is_kept: true,
            keep_error: Some("no room".into()),
            error: None,
        };
        let wire = v1::EvaluationResult::from(result.clone());
        assert_eq!(EvaluationResult::try_from(wire), Ok(result));
    }
}
