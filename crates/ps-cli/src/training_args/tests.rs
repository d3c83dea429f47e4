use super::*;
use ps_core::keeping::Keep;

#[test]
fn defaults_are_valid_and_round() {
    let settings = TrainingArgs::default().settings().unwrap();
    assert_eq!((settings.learning_rate.base, settings.optimizer.name()), (0.003, "adamw"));
    assert_eq!(settings.staleness_bound, Some(8));
    let parameter_groups = vec![ParameterGroup::of_linear_path()];
    let expected =
        TrainingSettings { steps_min: 1000, parameter_groups, ..TrainingSettings::default() };
    assert_eq!(settings, expected);
    assert_eq!((settings.passes_over(40), settings.passes_over(60_000)), (500, 20));
    let asked = TrainingArgs { passes: Some(3), ..TrainingArgs::default() }.settings().unwrap();
    assert_eq!(asked.passes_over(40), 3);
    let sgd = TrainingArgs { optimizer: Some("sgd".into()), ..TrainingArgs::default() };
    let sgd = sgd.settings().unwrap();
    assert_eq!(sgd.learning_rate, LearningRate::constant(0.1));
    assert_eq!(sgd.parameter_groups, [], "it is AdamW's");
    let rate = TrainingArgs { lr: Some(0.1), ..TrainingArgs::default() }.settings().unwrap();
    assert_eq!((rate.optimizer.name(), rate.learning_rate), ("sgd", sgd.learning_rate));
    let adam = TrainingArgs { optimizer: Some("adam".into()), ..TrainingArgs::default() };
    assert_eq!(adam.settings().unwrap().learning_rate.base, 0.001);
}

#[test]
fn the_users_groups_count_before_the_defaults() {
    let groups = Some("linear-path.weight:lr-scale=0.5".to_owned());
    let args = TrainingArgs { parameter_groups: groups, ..TrainingArgs::default() };
    let settings = args.settings().unwrap();
    let words = settings.words();
    assert!(
        words.ends_with(
            "; linear-path.weight with lr-scale=0.5; linear-path.* with lr-scale=3,weight-decay=0"
        ),
        "{words}"
    );
    let again = TrainingArgs::from(&settings).settings().unwrap();
    assert_eq!(again, settings);
}

#[test]
fn bad_values_are_named() {
    let none = TrainingArgs { staleness_bound: Some("none".into()), ..Default::default() };
    assert_eq!(none.settings().unwrap().staleness_bound, None);
    let bad = TrainingArgs { staleness_bound: Some("-1".into()), ..Default::default() };
    assert!(bad.settings().unwrap_err().to_string().contains("--staleness-bound"));
    let deep = |depth, bound: &str| TrainingArgs {
        pipeline_depth: Some(depth),
        staleness_bound: Some(bound.into()),
        ..Default::default()
    };
    assert_eq!(deep(2, "2").settings().unwrap().pipeline_depth, 2);
    assert_eq!(deep(16, "none").settings().unwrap().pipeline_depth, 16);
    let error = deep(3, "2").settings().unwrap_err().to_string();
    assert!(error.contains("--pipeline-depth 3") && error.contains("own pushes"), "{error}");
    let error = deep(17, "none").settings().unwrap_err().to_string();
    assert!(error.contains("--pipeline-depth: found 17"), "{error}");
    let lockstep = TrainingArgs { staleness_bound: Some("0".into()), ..Default::default() };
    assert!(lockstep.settings().is_ok(), "the default suits every bound");
    let bad = TrainingArgs { passes: Some(0), ..Default::default() };
    assert!(bad.settings().unwrap_err().to_string().contains("--passes"));
    let bad = TrainingArgs { optimizer: Some("sdg".into()), ..Default::default() };
    assert!(bad.settings().unwrap_err().to_string().contains("sgd"));
    let command = TrainingArgs::augment_args(clap::Command::new("train"));
    let parse = |option| command.clone().try_get_matches_from(["train", option]);
    let error = parse("--wire-pull=fp16").unwrap_err().to_string();
    assert!(error.contains("--wire-pull") && error.contains("bf16"), "{error}");
    let error = parse("--staleness-correction=off").unwrap_err().to_string();
    assert!(error.contains("none, auto, lr"), "{error}");
    let error = parse("--divergence=ignore").unwrap_err().to_string();
    assert!(error.contains("stop, warn, off"), "{error}");
    for (freeze, groups, expected) in [
        ("", "a:lr-scale=1", "--freeze: the pattern `` cannot be read"),
        ("a,[b", "a:lr-scale=1", "--freeze: the pattern `[b` cannot be read"),
        ("a", "a:lr-scale=1;", "--parameter-groups: ``: no `:`"),
        ("a", "a:lr-scale=-1", "below 0"),
    ] {
        let bad = TrainingArgs {
            freeze: Some(freeze.into()),
            parameter_groups: Some(groups.into()),
            ..Default::default()
        };
        let error = bad.settings().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let evaluation = EvaluationArgs { early_stop_after: Some(0), ..Default::default() };
    let bad = TrainingArgs { evaluation, ..Default::default() };
    assert!(bad.settings().unwrap_err().to_string().contains("--early-stop-after"));
    let error = parse("--keep=first").unwrap_err().to_string();
    assert!(error.contains("last, best"), "{error}");
    for share in [0.0, -0.1, 1.1, f64::NAN] {
        let bad = TrainingArgs { top_k: Some(share), ..Default::default() };
        assert!(bad.settings().unwrap_err().to_string().contains("--top-k"), "{share}");
    }
}

#[test]
fn settings_are_told_and_read_whole() {
    let steps = TrainingArgs {
        optimizer: Some("nesterov".into()),
        momentum: Some(0.8),
        weight_decay: Some(0.01),
        lr: Some(0.03),
        schedule: Some("step".into()),
        step_every: Some(0.25),
        step_factor: Some(0.5),
        warmup: Some(0.1),
        clip_norm: Some(2.0),
        staleness_bound: Some("none".into()),
        staleness_correction: Some(Correction::LearningRate),
        wire: Some(Encoding::Int8),
        wire_pull: Some(Encoding::Bf16),
        top_k: Some(0.01),
        pipeline_depth: Some(2),
        divergence: Some(DivergenceAction::Warn),
        freeze: Some("a.*,b".into()),
        parameter_groups: Some("*.bias:weight-decay=0; c:lr-scale=0.5".into()),
        evaluation: EvaluationArgs {
            evaluate_every: Some(100),
            keep: Some(Keep::Best),
            keep_measure: Some("auc".into()),
            early_stop_after: Some(3),
        },
        ..TrainingArgs::default()
    };
    let waves = TrainingArgs {
        optimizer: Some("adamw".into()),
        schedule: Some("cosine".into()),
        cosine_minimum: Some(0.2),
        ..TrainingArgs::default()
    };
    for args in [TrainingArgs::default(), steps, waves] {
        let settings = args.settings().unwrap();
        assert_eq!(TrainingArgs::from(&settings).settings().unwrap(), settings);
    }
}

#[test]
fn given_options_are_passed_on() {
    let args = TrainingArgs { lr: Some(0.5), seed: Some(3), ..TrainingArgs::default() };
    let expected = [("PS_LR", "0.5"), ("PS_SEED", "3")];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(args.to_variables(), expected);
    let evaluation = EvaluationArgs { keep: Some(Keep::Best), ..Default::default() };
    let args = TrainingArgs { evaluation, ..Default::default() };
    assert_eq!(args.to_variables(), [("PS_KEEP".to_owned(), "best".to_owned())]);
    let args = TrainingArgs { momentum: Some(0.9), warmup: Some(0.0), ..Default::default() };
    let expected = [("momentum", "0.9"), ("warmup", "0")];
    assert_eq!(values(&args), expected.map(|(name, value)| (name.into(), value.into())));
}
