//! The file beside the model that says what it is, so that the weights can be used again.

use ps_core::loss::Loss;
pub use ps_core::model_config::CONFIG_FILE;
use ps_core::model_config::{CONFIG_VERSION, ModelConfig, NamedShape, TrainedOn};
use ps_core::model_spec::ModelSpec;
use ps_core::{DataDescription, DataKind};
use std::collections::BTreeMap;

/// What the master is told about the model: it runs no model code and cannot know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct About {
    /// The model's name.
    pub model: Option<String>,
    /// Its options, as workers are given them.
    pub options: BTreeMap<String, String>,
    /// What training makes small.
    pub loss: Loss,
    /// How the data are written.
    pub data_format: Option<String>,
}

impl About {
    /// The file for a model of these tensors that was trained on these data.
    ///
    /// # Errors
    /// None in practice: texts and numbers can be written as JSON.
    pub fn to_json(
        &self,
        spec: &ModelSpec,
        data: &DataDescription,
    ) -> Result<Vec<u8>, serde_json::Error> {
        // What a program of the user's trains, nobody here was told.
        let nothing = Self::default();
        let known = if data.kind == DataKind::Program { &nothing } else { self }.clone();
        serde_json::to_vec_pretty(&ModelConfig {
            version: CONFIG_VERSION,
            model: known.model,
            options: known.options,
            loss: known.loss,
            data: TrainedOn {
                format: known.data_format,
                shape: data.shape.clone(),
                ids: data.ids.clone(),
                task: data.task,
                outputs: data.outputs,
                train_samples: data.samples,
            },
            tensors: NamedShape::of_layout(&spec.layout),
        })
    }
}
