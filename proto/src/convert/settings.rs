//! A job's settings, which travel as the JSON that checkpoints and the report have too.

use super::Error;
use ps_core::settings::TrainingSettings;

/// The settings as a registration's reply carries them.
pub fn settings_to_wire(settings: &TrainingSettings) -> String {
    serde_json::to_string(settings)
        .unwrap_or_else(|error| unreachable!("settings are plain values: {error}"))
}

/// The settings that a registration's reply carries.
///
/// # Errors
/// They cannot be read, or cannot be trained with.
pub fn settings_from_wire(text: &str) -> Result<TrainingSettings, Error> {
    let invalid = |error: &dyn std::fmt::Display| {
        Error::invalid("RegisterReply", "settings", error, "valid settings")
    };
    let settings: TrainingSettings = serde_json::from_str(text).map_err(|error| invalid(&error))?;
    settings.validate().map_err(|error| invalid(&error))?;
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ps_core::correction::Correction;
    use ps_core::schedule::{LearningRate, Schedule};
    use ps_core::settings::Wire;
    use ps_kernels::encoding::Encoding;
    use ps_kernels::optimizer::Optimizer;

    fn settings(name: &str) -> TrainingSettings {
        TrainingSettings {
            optimizer: Optimizer::parse(name, None, Some(0.5)).unwrap(),
            learning_rate: LearningRate {
                // Numbers whose last bit is lost when they are read carelessly.
                base: 0.1 + 0.2,
                schedule: Schedule::Step { every: 1.0 / 3.0, factor: 0.5 },
                warmup: 0.1,
            },
            staleness_correction: Correction::LearningRate,
            staleness_bound: Some(4),
            clip_norm: Some(1.5e-9),
            passes: 3,
            steps_min: 7,
            batch_size: 32,
            seed: u64::MAX,
            wire: Wire { push: Encoding::Int8, pull: Encoding::Bf16, top_k: Some(0.25) },
            pipeline_depth: 2,
            divergence: ps_core::learning::DivergenceAction::default(),
            freeze: vec!["a.*".into()],
            parameter_groups: vec!["*.bias:lr-scale=0.3,weight-decay=0.1".parse().unwrap()],
            evaluation: ps_core::keeping::EvaluationSettings::default(),
        }
    }

    #[test]
    fn settings_survive_the_wire() {
        for name in ps_kernels::optimizer::NAMES {
            let settings = settings(name);
            assert_eq!(settings_from_wire(&settings_to_wire(&settings)), Ok(settings));
        }
    }

    #[test]
    fn settings_that_cannot_be_trained_with_are_refused() {
        for text in ["", "{}", &settings_to_wire(&settings("sgd")).replace("32", "0")] {
            let error = settings_from_wire(text).unwrap_err().to_string();
            assert!(error.contains("`settings`"), "{error}");
        }
    }
}
