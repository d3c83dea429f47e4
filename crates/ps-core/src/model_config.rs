//! The file beside a model that says what it is, so that the weights can be used again.

use crate::data_description::{DataDescription, DataKind};
use crate::layout::Layout;
use crate::loss::Loss;
use crate::schema::{IdColumn, SCHEMA_FILE, Schema};
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
    /// What tells the schema beside it from others ([`Schema::digest`], in hexadecimal), if it was trained on a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
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

/// What is known of a model beside its tensors and its data: by whoever computes it, or by who was told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The model's name.
    pub model: Option<String>,
    /// Its options, as workers are given them.
    pub options: BTreeMap<String, String>,
    /// What training makes small.
    pub loss: Loss,
    /// How the data are written, if that was said.
    pub data_format: Option<String>,
    /// What was understood of the data, if they are a table.
    pub schema: Option<Schema>,
    /// What tells a schema from others that is too long to be told ([`Schema::digest`], in hexadecimal): it is written by
    /// whoever has it.
    #[serde(default)]
    pub untold_schema: Option<String>,
}

impl About {
    /// As a text of at most so many bytes: a schema that is longer is named by its digest.
    ///
    /// # Errors
    /// None in practice: texts and numbers can be written as JSON.
    pub fn told(&self, bytes_max: usize) -> Result<String, serde_json::Error> {
        let text = serde_json::to_string(self)?;
        match &self.schema {
            Some(schema) if text.len() > bytes_max => {
                let untold_schema = Some(digest(schema));
                serde_json::to_string(&Self { schema: None, untold_schema, ..self.clone() })
            }
            _ => Ok(text),
        }
    }

    /// The file for a model of these tensors that was trained on these data.
    pub fn config(&self, layout: &Layout, data: &DataDescription) -> ModelConfig {
        // What a program of the user's trains, nobody here was told.
        let nothing = Self::default();
        let known = if data.kind == DataKind::Program { &nothing } else { self };
        ModelConfig {
            version: CONFIG_VERSION,
            model: known.model.clone(),
            options: known.options.clone(),
            loss: known.loss.clone(),
            data: TrainedOn {
                format: known.data_format.clone(),
                shape: data.shape.clone(),
                ids: data.ids.clone(),
                task: data.task,
                outputs: data.outputs,
                train_samples: data.samples,
            },
            schema: known.schema.as_ref().map(digest).or_else(|| known.untold_schema.clone()),
            tensors: NamedShape::of_layout(layout),
        }
    }

    /// What the files beside the weights have, by their names.
    ///
    /// # Errors
    /// None in practice: texts and numbers can be written as JSON.
    pub fn files(
        &self,
        layout: &Layout,
        data: &DataDescription,
    ) -> Result<Vec<(&'static str, Vec<u8>)>, serde_json::Error> {
        self.description(layout, data).files()
    }

    /// What a model of these tensors is that was trained on these data.
    pub fn description(&self, layout: &Layout, data: &DataDescription) -> ModelDescription {
        ModelDescription { config: self.config(layout, data), schema: self.schema.clone() }
    }

    /// The same with what others know and this does not.
    pub fn or(self, other: Option<&Self>) -> Self {
        let Some(other) = other else {
            return self;
        };
        match self.model {
            Some(_) => Self {
                schema: self.schema.or_else(|| other.schema.clone()),
                untold_schema: self.untold_schema.or_else(|| other.untold_schema.clone()),
                ..self
            },
            None => other.clone(),
        }
    }
}

/// All that says what some weights are: with it they are a model that can be used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelDescription {
    /// What is in [`CONFIG_FILE`].
    pub config: ModelConfig,
    /// What was understood of the table that it was trained on, if it was, and if that was not too long to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Schema>,
}

impl ModelDescription {
    /// The files that lie beside the weights, by their names.
    ///
    /// # Errors
    /// None in practice: texts and numbers can be written as JSON.
    pub fn files(&self) -> Result<Vec<(&'static str, Vec<u8>)>, serde_json::Error> {
        let mut files = vec![(CONFIG_FILE, serde_json::to_vec_pretty(&self.config)?)];
        if let Some(schema) = &self.schema {
            files.push((SCHEMA_FILE, schema.to_json()?.into_bytes()));
        }
        Ok(files)
    }

    /// Whether the model needs a schema that is not in here.
    pub fn lacks_schema(&self) -> bool {
        self.config.schema.is_some() && self.schema.is_none()
    }
}

fn digest(schema: &Schema) -> String {
    format!("{:016x}", schema.digest())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::TensorSpec;

    #[test]
    fn who_was_told_no_model_takes_the_members_word() {
        let named = |model: &str| About { model: Some(model.to_owned()), ..About::default() };
        assert_eq!(named("mlp").or(Some(&named("lenet"))).model.as_deref(), Some("mlp"));
        assert_eq!(About::default().or(Some(&named("lenet"))), named("lenet"));
        assert_eq!(About::default().or(None), About::default());
    }

    #[test]
    fn a_long_schema_is_named_where_it_is_not_told() {
        let schema = Schema {
            version: 1,
            header: false,
            delimiter: ',',
            decimal: '.',
            missing: (0..100).map(|at| format!("missing {at}")).collect(),
            samples: 7,
            columns: Vec::new(),
        };
        let about = About { schema: Some(schema), ..About::default() };
        let whole = about.told(1 << 20).unwrap();
        assert_eq!(serde_json::from_str::<About>(&whole).unwrap(), about);
        let short: About = serde_json::from_str(&about.told(100).unwrap()).unwrap();
        assert_eq!((&short.schema, short.untold_schema.is_some()), (&None, true));
        let layout = Layout::new(vec![TensorSpec::trainable("weight", [1])]).unwrap();
        let data = DataDescription::default();
        assert_eq!(short.config(&layout, &data).schema, about.config(&layout, &data).schema);
        let description = |about: &About| about.description(&layout, &data);
        assert!(description(&short).lacks_schema() && !description(&about).lacks_schema());
        let files = description(&about).files().unwrap();
        assert_eq!(files, about.files(&layout, &data).unwrap());
        assert_eq!(files.len(), 2);
    }
}
