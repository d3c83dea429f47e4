//! The file beside the model that says what it is, so that the weights can be used again.

use ps_core::model_spec::ModelSpec;
use ps_core::{DataDescription, DataKind};
use serde::Serialize;
use std::collections::BTreeMap;

/// The file's name.
pub const CONFIG_FILE: &str = "config.json";

/// Which version of the file's layout this is.
const VERSION: u32 = 1;

/// What the master is told about the model: it runs no model code and cannot know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The model's name.
    pub model: Option<String>,
    /// Its options, as workers are given them.
    pub options: BTreeMap<String, String>,
    /// How the data are written.
    pub data_format: Option<String>,
}

#[derive(Serialize)]
struct Config<'a> {
    version: u32,
    model: Option<&'a str>,
    options: &'a BTreeMap<String, String>,
    data: Data<'a>,
    tensors: Vec<Tensor<'a>>,
}

#[derive(Serialize)]
struct Data<'a> {
    format: Option<&'a str>,
    /// Shape of one sample's features.
    shape: &'a [u64],
    classes: u32,
    train_samples: u64,
}

#[derive(Serialize)]
struct Tensor<'a> {
    name: &'a str,
    shape: &'a [usize],
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
        let tensors = spec.layout.tensors().iter();
        // What a program of the user's trains, nobody here was told.
        let nothing = Self::default();
        let known = if data.kind == DataKind::Program { &nothing } else { self };
        serde_json::to_vec_pretty(&Config {
            version: VERSION,
            model: known.model.as_deref(),
            options: &known.options,
            data: Data {
                format: known.data_format.as_deref(),
                shape: &data.shape,
                classes: data.classes,
                train_samples: data.samples,
            },
            tensors: tensors.map(|it| Tensor { name: &it.name, shape: &it.shape }).collect(),
        })
    }
}
