//! Names and ranges here; kernels against a scalar reference in the modules below.

mod kernels;
mod scalar;

use super::*;

#[test]
fn names_parse_and_round_trip() {
    for name in NAMES {
        let optimizer = Optimizer::parse(name, None, None).unwrap();
        assert_eq!(optimizer.name(), name);
        let json = serde_json::to_string(&optimizer).unwrap();
        assert_eq!(serde_json::from_str::<Optimizer>(&json).unwrap(), optimizer);
        assert!(optimizer.default_learning_rate() > 0.0);
    }
}

#[test]
fn defaults_are_pytorchs() {
    let adamw = Optimizer::parse("adamw", None, None).unwrap();
    assert_eq!(adamw.weight_decay, 0.01);
    assert_eq!(adamw.kind, OptimizerKind::AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 });
    let rmsprop = Optimizer::parse("rmsprop", None, Some(0.1)).unwrap();
    assert_eq!(rmsprop.weight_decay, 0.1);
    assert_eq!(rmsprop.kind, OptimizerKind::RmsProp { alpha: 0.99, epsilon: 1e-8 });
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let error = Optimizer::parse("lion", None, None).unwrap_err().to_string();
    assert!(error.contains("`lion`"));
    assert!(NAMES.iter().all(|name| error.contains(name)), "{error}");
}

#[test]
fn numbers_out_of_range_are_refused() {
    let error = Optimizer::parse("sgd", Some(0.9), None).unwrap_err();
    assert_eq!(error, Error::NoMomentum("sgd"));
    for (name, momentum, decay) in [
        ("momentum", Some(1.0), None),
        ("momentum", Some(-0.1), None),
        ("nesterov", Some(0.0), None),
        ("nesterov", Some(f32::NAN), None),
        ("adam", None, Some(-1.0)),
        ("adam", None, Some(f32::INFINITY)),
    ] {
        let found = Optimizer::parse(name, momentum, decay);
        assert!(matches!(found, Err(Error::OutOfRange { .. })), "{name}: {found:?}");
    }
    for kind in [
        OptimizerKind::Adagrad { epsilon: 1e-13 },
        OptimizerKind::RmsProp { alpha: 1.0, epsilon: 1e-8 },
        OptimizerKind::Adam { beta1: 0.9, beta2: f64::NAN, epsilon: 1e-8 },
    ] {
        let error = Optimizer { kind, weight_decay: 0.0 }.validate().unwrap_err();
        assert!(error.to_string().contains(kind.name()), "{error}");
    }
}

#[test]
fn adams_first_step_is_the_rate() {
    let adam = Optimizer::parse("adam", None, None).unwrap();
    let (weights, slots) = ([1.0_f32, 1.0], vec![vec![0.0; 2]; 2]);
    let gradient: Vec<u8> = [3.0_f32, -0.002].iter().flat_map(|g| g.to_le_bytes()).collect();
    let (mut after, mut first, mut second) = ([0.0; 2], [0.0; 2], [0.0; 2]);
    let results = [&mut after[..], &mut first, &mut second];
    assert!(adam.step(0.125, 1).compute(&weights, &slots, 0..2, &gradient, results));
    assert!((after[0] - 0.875).abs() < 1e-5 && (after[1] - 1.125).abs() < 1e-5);
}
