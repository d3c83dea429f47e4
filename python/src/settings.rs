//! How to train, from what a script and its job say.

use ps_core::parameters::{ParameterGroup, UpdateRule};
use ps_core::schedule::LearningRate;
use ps_core::settings::TrainingSettings;
use ps_kernels::optimizer::{Optimizer, OptimizerKind};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::collections::BTreeMap;

/// A parameter that has a rate or decay of its own: its name, what its rate is multiplied by, and its decay.
type Rule = (String, f32, Option<f32>);

/// Settings as text for `Session`: those of the job (as `PS_SETTINGS` has them), or the defaults, with this optimizer.
///
/// `options` are the numbers that the optimizer has beside its rate, by torch's names: `momentum`, `alpha`, `beta1`, `beta2`,
/// `eps`; `weight_decay` is decoupled, as AdamW's.
#[pyfunction]
#[pyo3(signature = (job, optimizer, learning_rate, options, rules))]
pub(crate) fn training_settings(
    job: Option<&str>,
    optimizer: &str,
    learning_rate: f64,
    options: BTreeMap<String, f64>,
    rules: Vec<Rule>,
) -> PyResult<String> {
    let invalid = |error: String| PyValueError::new_err(error);
    let base = match job {
        Some(text) => serde_json::from_str(text)
            .map_err(|error| invalid(format!("the job's settings (PS_SETTINGS): {error}")))?,
        None => TrainingSettings::default(),
    };
    let parameter_groups = rules.into_iter().map(|(name, learning_rate_scale, weight_decay)| {
        let rule = UpdateRule { learning_rate_scale, weight_decay };
        ParameterGroup { pattern: ps_core::parameters::literal(&name), rule, if_any: false }
    });
    let settings = TrainingSettings {
        optimizer: parsed(optimizer, &options).map_err(invalid)?,
        learning_rate: LearningRate::constant(learning_rate),
        parameter_groups: parameter_groups.collect(),
        ..base
    };
    settings.validate().map_err(|error| invalid(error.to_string()))?;
    serde_json::to_string(&settings).map_err(|error| invalid(error.to_string()))
}

/// An optimizer with these numbers.
fn parsed(name: &str, options: &BTreeMap<String, f64>) -> Result<Optimizer, String> {
    let single = |name: &str| options.get(name).map(|number| *number as f32);
    let decay = Some(single("weight_decay").unwrap_or(0.0));
    let parsed = Optimizer::parse(name, single("momentum"), decay);
    let mut optimizer = parsed.map_err(|error| error.to_string())?;
    let set = |to: &mut f64, name: &str| *to = options.get(name).copied().unwrap_or(*to);
    match &mut optimizer.kind {
        OptimizerKind::Sgd | OptimizerKind::Momentum { .. } | OptimizerKind::Nesterov { .. } => {}
        OptimizerKind::Adagrad { epsilon } => set(epsilon, "eps"),
        OptimizerKind::RmsProp { alpha, epsilon } => {
            set(alpha, "alpha");
            set(epsilon, "eps");
        }
        OptimizerKind::Adam { beta1, beta2, epsilon }
        | OptimizerKind::AdamW { beta1, beta2, epsilon } => {
            set(beta1, "beta1");
            set(beta2, "beta2");
            set(epsilon, "eps");
        }
    }
    optimizer.validate().map_err(|error| error.to_string())?;
    Ok(optimizer)
}
