//! The file beside a model that says what it is, so that the weights can be used again.

use crate::layout::Layout;
use crate::loss::Loss;
use crate::schema::IdColumn;
use crate::task::Task;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The file's name.
pub const CONFIG_FILE: &str = "config.json";

/// Which version of the file's form this is.
pub const CONFIG_VERSION: u32 = 1;

/// What a model is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// [`CONFIG_VERSION`].
    pub version: u32,
    /// The model's name; `None` for what a program of the user's trained.
    pub model: Option<String>,
    /// Its options, as workers were given them.
    pub options: BTreeMap<String, String>,
    /// What its training loss was.
    #[serde(default)]
    pub loss: Loss,
    /// What it was trained on.
    pub data: TrainedOn,
    /// Its tensors, in the order of their names.
    pub tensors: Vec<NamedShape>,
}

/// What a model was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainedOn {
    /// How the data were written, as the job was told.
    pub format: Option<String>,
    /// Shape of one sample's features.
    pub shape: Vec<u64>,
    /// The columns that the model looks up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<IdColumn>,
    /// What the model tells of a sample.
    #[serde(default)]
    pub task: Task,
    /// Its outputs: one for each class, number or label.
    #[serde(alias = "classes")]
    pub outputs: u32,
    /// Samples of a pass.
    pub train_samples: u64,
}

/// A tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamedShape {
    /// Its name in the model's file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

impl NamedShape {
    /// All tensors of a layout.
    pub fn of_layout(layout: &Layout) -> Vec<Self> {
        let tensors = layout.tensors().iter();
        tensors.map(|it| Self { name: it.name.clone(), shape: it.shape.clone() }).collect()
    }
}
