//! What an evaluator tells the master.

use super::Error;
use super::words::{at_most, one_line};
use crate::v1;
use ps_core::limits::{MEASURE_NAME_MAX, MEASURES_MAX, MESSAGE_TEXT_BYTES_MAX};
use ps_core::master::{EvaluateTask, EvaluationResult};
use ps_core::measures::Measure;

impl TryFrom<v1::EvaluationResult> for EvaluationResult {
    type Error = Error;

    fn try_from(wire: v1::EvaluationResult) -> Result<Self, Error> {
        const NAME: &str = "EvaluationResult";
        at_most(NAME, "error", wire.error.len(), MESSAGE_TEXT_BYTES_MAX)?;
        let error = one_line(&wire.error, MESSAGE_TEXT_BYTES_MAX);
        if let Some(accuracy) = wire.accuracy.filter(|share| !(0.0..=1.0).contains(share)) {
            return Err(Error::invalid(NAME, "accuracy", accuracy, "a share from 0 to 1"));
        }
        Error::check(NAME, "measures", wire.measures.len(), 0..=MEASURES_MAX)?;
        Ok(Self {
            task: EvaluateTask { pass: wire.pass, is_final: wire.r#final },
            loss: wire.loss,
            accuracy: wire.accuracy,
            measures: wire.measures.into_iter().map(measure).collect::<Result<_, _>>()?,
            samples: wire.samples,
            weights_digest: wire.weights_digest,
            error: (!error.is_empty()).then_some(error),
        })
    }
}

/// A measure, whose name becomes part of metric lines.
fn measure(wire: v1::Measure) -> Result<Measure, Error> {
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
        let accuracy = v1::EvaluationResult { accuracy: Some(1.5), ..Default::default() };
        assert!(EvaluationResult::try_from(accuracy).is_err());
        let measured = |name: &str, value| v1::EvaluationResult {
            measures: vec![v1::Measure { name: name.to_owned(), value }],
            ..Default::default()
        };
        let auc = EvaluationResult::try_from(measured("auc", 0.5)).unwrap();
        assert_eq!(auc.measures, [Measure { name: "auc".to_owned(), value: 0.5 }]);
        // It would be another metric's line.
        for (name, value) in
            [("", 0.5), ("a; b", 0.5), ("A", 0.5), ("auc\n", 0.5), ("auc", f64::NAN)]
        {
            assert!(EvaluationResult::try_from(measured(name, value)).is_err(), "{name:?}");
        }
        let many = vec![v1::Measure { name: "auc".to_owned(), value: 0.5 }; MEASURES_MAX + 1];
        let many = v1::EvaluationResult { measures: many, ..Default::default() };
        assert!(EvaluationResult::try_from(many).is_err());
    }
}
