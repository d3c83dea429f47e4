use super::*;

fn losses(mean: f64, steps: u64) -> Losses {
    let mut all = Losses::default();
    (0..steps).for_each(|_| all.add(&Losses::of_step(mean, 32)));
    all
}

fn started(at: f64) -> LearningMonitor {
    let mut watch = LearningMonitor::new(100);
    assert_eq!(watch.observe(&losses(at, 10)), None);
    watch
}

/// What reports of so many steps each are told, in order.
fn reports(watch: &mut LearningMonitor, mean: f64, steps: u64, count: u64) -> Vec<DivergenceSign> {
    (0..count).filter_map(|_| watch.observe(&losses(mean, steps))).collect()
}

#[test]
fn a_falling_loss_is_learning() {
    let mut watch = started(2.3);
    assert_eq!(watch.status(), LearningStatus::Unknown);
    assert_eq!(watch.pass_ended(0, &losses(1.5, 100)), None);
    assert_eq!(watch.pass_ended(1, &losses(0.5, 100)), None);
    assert_eq!(watch.status(), LearningStatus::Learned);
}

#[test]
fn a_flat_loss_is_said_and_not_stopped() {
    let mut watch = started(2.3);
    for pass in 0..5 {
        assert_eq!(watch.pass_ended(pass, &losses(2.31, 100)), None);
    }
    assert_eq!(watch.status(), LearningStatus::DidNotImprove);
}

#[test]
fn a_few_steps_are_no_ground_to_say_that_a_run_did_not_learn() {
    let mut watch = started(2.3);
    watch.pass_ended(0, &losses(2.3, 49));
    assert_eq!(watch.status(), LearningStatus::Unknown);
    watch.pass_ended(1, &losses(2.3, 1));
    assert_eq!(watch.status(), LearningStatus::DidNotImprove);
}

/// 150 rows are five steps a pass: the first batches of one worker say little of the next pass's.
#[test]
fn passes_above_the_start_are_told_once_and_no_evidence() {
    let mut watch = LearningMonitor::new(5);
    assert_eq!(watch.observe(&losses(0.9, 5)), None);
    assert_eq!(watch.pass_ended(0, &losses(1.7, 5)), None, "the first pass has more room");
    let sign = watch.pass_ended(1, &losses(1.1, 5)).unwrap();
    assert!(!sign.is_evidence());
    let text = sign.to_string();
    for part in ["pass 2", "5 steps", "1.1000", "0.9000", "--lr"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(watch.pass_ended(2, &losses(1.2, 5)), None, "not with every pass");
    assert_eq!(watch.pass_ended(3, &losses(0.8, 5)), None);
    assert!(watch.pass_ended(4, &losses(1.2, 5)).is_some(), "it was better in between");
    assert_ne!(watch.status(), LearningStatus::Diverged);
}

#[test]
fn what_stays_far_above_the_start_has_diverged() {
    let mut watch = started(2.3);
    assert_eq!(reports(&mut watch, 1e3, 20, 9), vec![]);
    let sign = watch.observe(&losses(1e3, 20)).unwrap();
    assert!(sign.is_evidence() && matches!(sign, DivergenceSign::FarAbove { steps: 200, .. }));
    let text = sign.to_string();
    assert!(text.contains("200 steps") && text.contains("23.0000") && text.contains("--lr"));
    assert_eq!(watch.status(), LearningStatus::Diverged);
    assert_eq!(reports(&mut watch, 1e3, 20, 50), vec![], "told once");
    // A run that only was warned of it may recover, and diverge again.
    assert_eq!(watch.observe(&losses(1.0, 20)), None);
    assert_eq!(watch.status(), LearningStatus::Unknown);
    assert_eq!(reports(&mut watch, 1e3, 20, 10).len(), 1);
}

#[test]
fn one_report_below_begins_the_count_again() {
    let mut watch = started(2.3);
    for _ in 0..20 {
        assert_eq!(reports(&mut watch, 1e3, 20, 9), vec![]);
        assert_eq!(watch.observe(&losses(22.0, 1)), None);
    }
}

#[test]
fn a_few_long_reports_are_no_evidence() {
    let mut watch = started(2.3);
    assert_eq!(reports(&mut watch, 1e3, 1000, 3), vec![]);
    assert!(watch.observe(&losses(1e3, 1000)).is_some());
}

#[test]
fn a_long_pass_asks_for_more_steps() {
    let mut watch = LearningMonitor::new(4000);
    assert_eq!(watch.observe(&losses(2.3, 10)), None);
    assert_eq!(reports(&mut watch, 1e3, 20, 49), vec![]);
    assert_eq!(reports(&mut watch, 1e3, 20, 1).len(), 1);
}

#[test]
fn a_loss_that_is_too_large_to_add_up_is_far_above() {
    let mut watch = started(2.3);
    assert_eq!(reports(&mut watch, 1e307, 100, 4).len(), 1);
}

/// A model that was good at the start has a loss near 0, and a tail.
#[test]
fn a_warm_start_at_its_optimum_is_never_ended() {
    let mut watch = started(1e-4);
    let ended = |signs: Vec<DivergenceSign>| signs.iter().any(DivergenceSign::is_evidence);
    for pass in 0..200 {
        // It settles five hundred times above its start, and now and then a batch is far worse.
        assert!(!ended(reports(&mut watch, 0.05, 1, 90)));
        assert!(!ended(reports(&mut watch, 50.0, 1, 10)));
        let signs = watch.pass_ended(pass, &losses(5.0, 100));
        assert!(!ended(signs.into_iter().collect()));
    }
    assert_eq!(watch.status(), LearningStatus::DidNotImprove);
}

/// A log-likelihood may be below 0.
#[test]
fn a_negative_loss_has_the_same_room() {
    let mut watch = started(-10.0);
    assert_eq!(watch.pass_ended(1, &losses(-9.5, 100)), None);
    assert!(watch.pass_ended(2, &losses(-2.0, 100)).is_some());
    assert_eq!(reports(&mut watch, 79.0, 100, 20), vec![]);
    assert_eq!(reports(&mut watch, 81.0, 100, 20).len(), 1);
}

#[test]
fn nothing_finite_for_long_is_divergence() {
    let mut watch = started(2.3);
    assert_eq!(reports(&mut watch, f64::NAN, 1, 49), vec![]);
    assert_eq!(watch.observe(&Losses::of_step(1.0, 32)), None);
    assert_eq!(reports(&mut watch, f64::INFINITY, 1, 49), vec![]);
    let sign = watch.observe(&Losses::of_step(f64::NAN, 32)).unwrap();
    assert_eq!(sign, DivergenceSign::NotFinite { steps: 50 });
    assert!(sign.is_evidence());
}

#[test]
fn most_of_a_pass_without_a_finite_loss_is_divergence_if_these_are_many() {
    let pass = |finite, not_finite| {
        let mut pass = losses(2.0, finite);
        pass.add(&losses(f64::NAN, not_finite));
        started(2.3).pass_ended(0, &pass)
    };
    assert!(pass(40, 60).unwrap().is_evidence());
    assert_eq!(pass(60, 40), None);
    assert!(!pass(2, 3).unwrap().is_evidence(), "three of five are worth a warning");
}

#[test]
fn the_setting_says_what_a_sign_leads_to() {
    let evidence = DivergenceSign::NotFinite { steps: 50 };
    let hint = DivergenceSign::Rose { pass: 1, steps: 5, mean: 1.1, start: 0.9 };
    let verdict = |action: DivergenceAction, sign| action.verdict(sign);
    assert!(matches!(verdict(DivergenceAction::Stop, &evidence), Some(Verdict::Stop(_))));
    for (action, sign) in [
        (DivergenceAction::Stop, &hint),
        (DivergenceAction::Warn, &hint),
        (DivergenceAction::Warn, &evidence),
    ] {
        let Some(Verdict::Warn(line)) = verdict(action, sign) else { panic!("{action} {sign}") };
        assert!(line.contains("training goes on"), "{line}");
    }
    assert_eq!(verdict(DivergenceAction::Off, &evidence), None);
    let error = "halt".parse::<DivergenceAction>().unwrap_err().to_string();
    assert!(error.contains("`halt`") && error.contains("stop, warn, off"), "{error}");
}

/// Checkpoints of before say less of it.
#[test]
fn a_watch_of_an_earlier_version_is_read() {
    let text = r#"{"steps_per_pass":100,"start":{"steps":5,"steps_not_finite":0,"loss_sum":368.0,
        "loss_samples":160},"not_finite_in_a_row":0,"last":[2,1.5],"diverged":false}"#;
    let watch: LearningMonitor = serde_json::from_str(text).unwrap();
    assert_eq!((watch.start_loss(), watch.status()), (Some(2.3), LearningStatus::Learned));
}

/// Found by newcomers: the mean of the first steps had the explosion in it, and everything after it was better.
#[test]
fn regression_a_run_that_explodes_in_its_first_steps_did_not_learn() {
    let explodes = |last: f64| {
        let mut watch = LearningMonitor::new(100);
        for loss in [2.3, 4e3, 9e8, 7e5, 50.0, 5.0] {
            assert_eq!(watch.observe(&Losses::of_step(loss, 32)), None);
        }
        assert_eq!(watch.observe(&losses(last, 94)), None);
        watch.pass_ended(0, &losses(last, 100));
        (watch.start_loss(), watch.status(), watch.rise().unwrap())
    };
    let rise = Rise { loss: Some(9e8), step: 3, lasts: false };
    assert_eq!(explodes(2.31), (Some(2.3), LearningStatus::DidNotImprove, rise));
    assert_eq!(explodes(0.4), (Some(2.3), LearningStatus::Learned, rise));
    // Not so far that it would be told as a rise.
    let mut watch = LearningMonitor::new(100);
    [2.3, 20.0, 22.0, 15.0, 9.0].into_iter().for_each(|loss| {
        watch.observe(&Losses::of_step(loss, 32));
    });
    watch.pass_ended(0, &losses(5.0, 100));
    assert_eq!((watch.start_loss(), watch.rise()), (Some(2.3), None));
    assert_eq!(watch.status(), LearningStatus::DidNotImprove);
    let (_, status, rise) = explodes(50.0);
    assert!(status == LearningStatus::DidNotImprove && rise.lasts, "{status:?} {rise:?}");
}

/// A report has many steps: its mean hides which of them it was, and the first one.
#[test]
fn a_first_report_of_many_steps_knows_its_first_loss() {
    let mut first = losses(2.3, 1);
    first.add(&losses(1e6, 20));
    let mut watch = LearningMonitor::new(100);
    watch.observe(&first);
    assert_eq!((watch.start_loss(), watch.rise().unwrap().loss), (Some(2.3), Some(1e6)));
    // A worker of before says neither.
    let (first_loss, highest) = (None, None);
    watch = LearningMonitor::new(100);
    watch.observe(&Losses { first: first_loss, highest, ..losses(2.0, 20) });
    assert_eq!((watch.start_loss(), watch.rise()), (Some(2.0), None));
}

#[test]
fn a_loss_that_is_no_number_for_a_while_is_told_as_a_rise() {
    let mut watch = started(2.3);
    watch.observe(&losses(1e6, 1));
    watch.observe(&losses(f64::NAN, 4));
    assert!(matches!(watch.sign_at_end(), Some(DivergenceSign::EndedNotFinite { steps: 4 })));
    assert_eq!(watch.rise(), Some(Rise { loss: None, step: 15, lasts: true }));
    watch.observe(&losses(2.0, 4));
    assert_eq!((watch.rise().unwrap().lasts, watch.sign_at_end()), (false, None));
}
