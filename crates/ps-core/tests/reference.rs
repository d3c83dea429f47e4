//! Optimizers and schedules against PyTorch's own results (`tests/reference/optimizers.py`).

use std::collections::BTreeMap;

use ps_core::TensorKind;
use ps_core::chunk::{Chunk, Outcome, Update, UpdateBuffer};
use ps_core::correction::Correction;
use ps_core::schedule::LearningRate;
use ps_kernels::optimizer::Optimizer;

const TABLE: &str = include_str!("../../../tests/reference/optimizers.json");

#[derive(serde::Deserialize)]
struct Table {
    weights: Vec<f32>,
    gradients: Vec<Vec<f32>>,
    optimizers: Vec<OptimizerCase>,
    schedules: Vec<ScheduleCase>,
}

#[derive(serde::Deserialize)]
struct OptimizerCase {
    name: String,
    momentum: Option<f32>,
    weight_decay: f32,
    learning_rate: f32,
    after: BTreeMap<String, Vec<f32>>,
}

#[derive(serde::Deserialize)]
struct ScheduleCase {
    #[serde(flatten)]
    learning_rate: LearningRate,
    rates: Vec<f64>,
}

/// Within 1e-6, relative for weights above 1: PyTorch fuses and reorders a few operations.
fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let allowed = 1e-6 * expected.abs().max(1.0);
        let off = (found - expected).abs();
        assert!(off <= allowed, "{what}: weight {index} is {found}, PyTorch has {expected}");
    }
}

#[test]
fn optimizers_do_what_pytorchs_do() {
    let table: Table = serde_json::from_str(TABLE).unwrap();
    assert_eq!(table.optimizers.len(), 14);
    for case in table.optimizers {
        let optimizer =
            Optimizer::parse(&case.name, case.momentum, Some(case.weight_decay)).unwrap();
        let mut spare = UpdateBuffer::default();
        let mut chunk = Chunk::new(table.weights.clone(), &optimizer).unwrap();
        for (index, gradient) in table.gradients.iter().enumerate() {
            let update = Update {
                spans: &[],
                values: bytemuck::cast_slice(gradient),
                pulled_version: chunk.version(),
                learning_rate: case.learning_rate,
                kind: TensorKind::Trainable,
                rules: &[],
            };
            let outcome = chunk.apply(&optimizer, Correction::Auto, &update, &mut spare);
            assert_eq!(outcome, Ok(Outcome::Applied { staleness: 0 }));
            if let Some(expected) = case.after.get(&(index + 1).to_string()) {
                let what = format!("{} step {} decay {}", case.name, index + 1, case.weight_decay);
                assert_close(chunk.weights(), expected, &what);
            }
        }
    }
}

#[test]
fn schedules_do_what_pytorchs_do() {
    let table: Table = serde_json::from_str(TABLE).unwrap();
    for case in table.schedules {
        case.learning_rate.validate().unwrap();
        let last = case.rates.len() - 1;
        for (step, &expected) in case.rates.iter().enumerate() {
            let found = f64::from(case.learning_rate.rate(step as f64 / last as f64));
            let off = (found - expected).abs();
            assert!(
                off <= 1e-7 * case.learning_rate.base,
                "{:?} step {step}: {found}, PyTorch \
                has {expected}",
                case.learning_rate
            );
        }
    }
}
