use super::*;
use crate::measures::Measure;
use crate::scores::{EvaluationSet, Scores};

fn kept(measure: &str, value: f64) -> Kept {
    Kept { measure: measure.to_owned(), value, ..Kept::default() }
}

#[test]
fn losses_and_errors_fall_and_everything_else_rises() {
    for name in ["loss", "log_loss", "rmse", "mae", "mse", "calibration_error", "my_error"] {
        assert!(is_better(name, 0.1, 0.2) && !is_better(name, 0.2, 0.1), "{name}");
    }
    for name in ["accuracy", "auc", "f1", "r2", "balanced_accuracy", "my_measure"] {
        assert!(is_better(name, 0.2, 0.1) && !is_better(name, 0.1, 0.2), "{name}");
    }
}

#[test]
fn the_best_is_kept_and_the_same_is_not_better() {
    let mut keeping = Keeping::default();
    let improved =
        [0.5, 0.4, 0.4, 0.6, 0.3].map(|value| keeping.observe(Some(kept("loss", value))));
    assert_eq!(improved, [true, true, false, false, true]);
    assert_eq!((keeping.best().unwrap().value, keeping.evaluations()), (0.3, 5));
    let mut keeping = Keeping::default();
    let improved = [0.5, 0.4, 0.6].map(|value| keeping.observe(Some(kept("auc", value))));
    assert_eq!(improved, [true, false, true]);
}

#[test]
fn what_is_no_number_is_never_the_best_and_counts_for_the_end() {
    let mut keeping = Keeping::default();
    assert!(!keeping.observe(None));
    assert!(keeping.best().is_none() && !keeping.is_exhausted(Some(2)));
    assert!(!keeping.observe(None));
    assert!(keeping.is_exhausted(Some(2)) && !keeping.is_exhausted(None));
}

#[test]
fn so_many_evaluations_without_an_improvement_are_the_end() {
    let mut keeping = Keeping::default();
    let exhausted = [0.5, 0.6, 0.4, 0.5, 0.5].map(|value| {
        keeping.observe(Some(kept("loss", value)));
        keeping.is_exhausted(Some(2))
    });
    assert_eq!(exhausted, [false, false, false, false, true]);
}

#[test]
fn what_was_measured_otherwise_is_no_best() {
    let mut keeping = Keeping::default();
    keeping.observe(Some(kept("loss", 0.1)));
    assert!(keeping.observe(Some(kept("auc", 0.05))), "another measure");
    let on_validation = Kept { set: EvaluationSet::Validation, ..kept("auc", 0.01) };
    assert!(keeping.observe(Some(on_validation)), "another set");
}

#[test]
fn another_life_goes_on_with_what_it_finds() {
    let mut keeping = Keeping::default();
    for value in [0.4, 0.5, 0.5] {
        keeping.observe(Some(kept("loss", value)));
    }
    let known = keeping.best().cloned();
    let mut same = keeping.clone();
    same.take_up(known);
    assert!(same.is_exhausted(Some(2)), "nothing is new");
    let mut newer = keeping.clone();
    newer.take_up(Some(kept("loss", 0.3)));
    assert!(!newer.is_exhausted(Some(1)) && !newer.observe(Some(kept("loss", 0.35))));
    keeping.take_up(None);
    assert!(keeping.observe(Some(kept("loss", 9.0))), "lost weights are no best");
}

#[test]
fn an_unknown_measure_is_refused_with_those_that_there_are() {
    let settings =
        EvaluationSettings { keep_measure: "aucc".to_owned(), ..EvaluationSettings::default() };
    let auc = Measure { name: "auc".to_owned(), value: 0.75 };
    let scores = Scores { loss: 0.5, accuracy: Some(0.9), measures: vec![auc], samples: 10 };
    let error = Kept::default().with_scores(&settings, EvaluationSet::Test, &scores).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("aucc") && error.contains("loss, accuracy, auc"), "{error}");
    let auto = EvaluationSettings::default();
    let nothing = Scores { loss: f64::NAN, ..scores.clone() };
    let found = Kept::default().with_scores(&auto, EvaluationSet::Validation, &nothing);
    assert_eq!(found, Ok(None), "a loss that is not a number is no unknown measure");
    let found = Kept::default().with_scores(&auto, EvaluationSet::Validation, &scores);
    let found = found.unwrap().unwrap();
    assert_eq!((found.measure.as_str(), found.value), ("loss", 0.5));
    assert_eq!(found.set, EvaluationSet::Validation);
}

#[test]
fn settings_out_of_range_are_named() {
    let default = EvaluationSettings::default;
    for (settings, word) in [
        (EvaluationSettings { every: Some(0), ..default() }, "--evaluate-every"),
        (EvaluationSettings { early_stop_after: Some(0), ..default() }, "--early-stop-after"),
        (EvaluationSettings { keep_measure: "A b".to_owned(), ..default() }, "--keep-measure"),
        (EvaluationSettings { keep_measure: String::new(), ..default() }, "--keep-measure"),
    ] {
        let error = settings.validate().unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    assert_eq!(default().validate(), Ok(()));
    assert!(!default().is_selecting() && default().options().is_empty());
}
