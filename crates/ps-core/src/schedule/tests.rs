use super::*;

#[test]
fn names_parse_with_their_defaults() {
    let parse = |name| Schedule::parse(name, None, None, None);
    assert_eq!(parse("constant"), Ok(Schedule::Constant));
    assert_eq!(parse("step"), Ok(Schedule::Step { every: 1.0 / 3.0, factor: 0.1 }));
    assert_eq!(parse("cosine"), Ok(Schedule::Cosine { minimum: 0.0 }));
    let error = parse("linear").unwrap_err().to_string();
    assert!(error.contains("`linear`") && error.contains("constant, step, cosine"));
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    let error = Schedule::parse("cosine", Some(0.5), None, None).unwrap_err();
    assert_eq!(error, Error::NotTaken { schedule: "cosine", number: "every" });
    assert!(Schedule::parse("constant", None, None, Some(0.1)).is_err());
    assert!(Schedule::parse("step", Some(0.0), None, None).is_err());
    assert!(Schedule::parse("step", None, Some(f64::NAN), None).is_err());
    assert!(Schedule::parse("cosine", None, None, Some(1.5)).is_err());
    let rate = LearningRate::constant(0.1);
    assert!(rate.validate().is_ok());
    assert!(LearningRate { warmup: 1.0, ..rate }.validate().is_err());
    for base in [0.0, -0.1, f64::NAN, f64::INFINITY, 1e39] {
        assert!(LearningRate { base, ..rate }.validate().is_err(), "{base}");
    }
}

#[test]
fn steps_fall_on_the_fractions_written() {
    let schedule = Schedule::Step { every: 0.1, factor: 0.5 };
    for tenths in 0_i32..10 {
        let at = schedule.rate(1.0, f64::from(tenths) * 0.1);
        assert_eq!(at, 0.5_f64.powi(tenths));
        let before_next = schedule.rate(1.0, f64::from(tenths) * 0.1 + 0.0999);
        assert_eq!(before_next, at);
    }
}

#[test]
fn progress_outside_the_job_counts_as_its_nearer_end() {
    let rate = LearningRate { schedule: Schedule::Cosine { minimum: 0.1 }, ..start() };
    assert_eq!(rate.rate(-1.0), rate.rate(0.0));
    assert_eq!(rate.rate(f64::NAN), rate.rate(0.0));
    assert_eq!(rate.rate(2.0), rate.rate(1.0));
    assert!((rate.rate(1.0) - 0.1).abs() < 1e-7);
}

#[test]
fn warmup_rises_from_a_hundredth() {
    let rate = LearningRate { warmup: 0.5, ..start() };
    assert_eq!(rate.rate(0.0), 0.01);
    assert!((rate.rate(0.25) - 0.505).abs() < 1e-6);
    assert_eq!(rate.rate(0.5), 1.0);
}

#[test]
fn files_may_leave_the_schedule_out() {
    let rate: LearningRate = serde_json::from_str(r#"{"base": 1.0}"#).unwrap();
    assert_eq!(rate, start());
    let full = r#"{"base":1.0,"schedule":{"name":"step","every":0.5,"factor":0.1},"warmup":0.1}"#;
    let rate: LearningRate = serde_json::from_str(full).unwrap();
    assert_eq!(serde_json::to_string(&rate).unwrap(), full);
}

fn start() -> LearningRate {
    LearningRate::constant(1.0)
}
