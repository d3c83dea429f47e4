//! Start values: a function of seed, name, shape and distribution, and nothing else.

use candle_core::{DType, Device, Tensor};
use candle_nn::init::{
    DEFAULT_KAIMING_NORMAL, DEFAULT_KAIMING_UNIFORM, FanInOut, NonLinearity, NormalOrUniform,
};
use candle_nn::{Init, VarBuilder, VarMap};
use ps_core::limits::{MODEL_ELEMENTS_MAX, TENSORS_MAX};
use ps_worker::model::SeededStart;

const STANDARD_NORMAL: Init = Init::Randn { mean: 0.0, stdev: 1.0 };

fn builder(seed: u64) -> VarBuilder<'static> {
    SeededStart::new(seed, VarMap::new()).builder(&Device::Cpu)
}

fn values(tensor: candle_core::Result<Tensor>) -> Vec<f32> {
    tensor.unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn draw(seed: u64, shape: (usize, usize), name: &str, distribution: Init) -> Vec<f32> {
    values(builder(seed).get_with_hints(shape, name, distribution))
}

/// Mean and standard deviation.
fn moments(values: &[f32]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
    let squares = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>();
    (mean, (squares / count).sqrt())
}

#[test]
fn values_do_not_depend_on_the_order_of_creation() {
    let names = ["a", "b", "c"];
    let (forward, other_order) = (builder(5), builder(5));
    let first = names.map(|name| values(forward.get_with_hints(4, name, STANDARD_NORMAL)));
    for position in [2, 0, 1] {
        let again = other_order.get_with_hints(4, names[position], STANDARD_NORMAL);
        assert_eq!(values(again), first[position]);
    }
    assert_ne!(first[0], first[1], "each name has its own values");
}

#[test]
fn another_seed_gives_other_values() {
    for distribution in [DEFAULT_KAIMING_NORMAL, DEFAULT_KAIMING_UNIFORM] {
        assert_eq!(draw(1, (3, 4), "w", distribution), draw(1, (3, 4), "w", distribution));
        assert_ne!(draw(1, (3, 4), "w", distribution), draw(2, (3, 4), "w", distribution));
    }
}

#[test]
fn values_never_change_between_machines_and_versions() {
    // A worker of another version or on another machine must begin at these very bits.
    let uniform = draw(1, (1, 4), "w", Init::Uniform { lo: -1.0, up: 1.0 });
    let normal = draw(1, (1, 4), "w", STANDARD_NORMAL);
    assert_eq!(uniform, [0.588368, -0.8287606, -0.7027155, 0.9053629]);
    assert_eq!(normal, [-0.7214921, 0.82438356, 0.13094424, 0.041376617]);
}

#[test]
fn every_distribution_has_its_moments() {
    let kaiming = |dist, fan, non_linearity| Init::Kaiming { dist, fan, non_linearity };
    let near = |distribution, mean: f64, deviation: f64| {
        let found = moments(&draw(7, (200, 400), "w", distribution));
        assert!((found.0 - mean).abs() < 0.02 * deviation, "{distribution:?}: {found:?}");
        assert!((found.1 - deviation).abs() < 0.02 * deviation, "{distribution:?}: {found:?}");
    };
    near(Init::Randn { mean: 3.0, stdev: 0.5 }, 3.0, 0.5);
    near(Init::Uniform { lo: -1.0, up: 5.0 }, 2.0, 3_f64.sqrt());
    let (normal, uniform) = (NormalOrUniform::Normal, NormalOrUniform::Uniform);
    near(kaiming(normal, FanInOut::FanIn, NonLinearity::ReLU), 0.0, (2.0_f64 / 400.0).sqrt());
    near(kaiming(normal, FanInOut::FanOut, NonLinearity::Linear), 0.0, (1.0_f64 / 200.0).sqrt());
    near(kaiming(uniform, FanInOut::FanIn, NonLinearity::Tanh), 0.0, 5.0 / 3.0 / 20.0);
    near(kaiming(uniform, FanInOut::FanIn, NonLinearity::ExplicitGain(3.0)), 0.0, 3.0 / 20.0);
    assert!(draw(7, (3, 2), "w", Init::Const(0.25)).iter().all(|&value| value == 0.25));
}

#[test]
fn uniform_values_stay_within_their_bounds() {
    let found = draw(3, (100, 100), "w", Init::Uniform { lo: 0.5, up: 0.75 });
    assert!(found.iter().all(|value| (0.5..=0.75).contains(value)));
}

#[test]
fn a_name_asked_for_twice_is_one_variable_of_one_shape() {
    let map = VarMap::new();
    let vars = SeededStart::new(1, map.clone()).builder(&Device::Cpu);
    assert!(!vars.contains_tensor("w"));
    let first = vars.get((2, 3), "w").unwrap();
    assert!(vars.contains_tensor("w"));
    assert_eq!(vars.get((2, 3), "w").unwrap().id(), first.id());
    assert_eq!(map.all_vars().len(), 1);
    let error = vars.get((3, 2), "w").unwrap_err().to_string();
    assert!(error.contains("`w`"), "{error}");
    let error = vars.to_dtype(DType::F64).get(2, "v").unwrap_err().to_string();
    assert!(error.contains("`v`") && error.contains("F32"), "{error}");
}

#[test]
fn values_can_be_had_again() {
    let start = SeededStart::new(4, VarMap::new());
    let vars = start.builder(&Device::Cpu).pp("layer");
    let made = values(vars.get_with_hints((2, 3), "w", DEFAULT_KAIMING_NORMAL));
    assert_eq!(start.values(4, "layer.w", &[2, 3]), Some(made));
    assert_eq!(start.values(4, "other", &[2, 3]), None);
}

/// Found by review: each variable was checked by itself, so that two of them took twice the memory that a model may.
#[test]
fn regression_a_model_has_no_more_elements_and_tensors_than_it_may() {
    let vars = builder(1);
    vars.get(1, "small").unwrap();
    let error = vars.get(MODEL_ELEMENTS_MAX as usize, "large").unwrap_err().to_string();
    assert!(error.contains("`large`") && error.contains("give smaller layers"), "{error}");
    let error = (0..).find_map(|at| vars.get(1, &format!("v{at}")).err()).unwrap().to_string();
    assert!(error.contains(&format!("`v{}`", TENSORS_MAX - 1)), "{error}");
}
