//! A model that was trained, to be used: from the folder that a job left.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::Device;
use ps_core::DataDescription;
use ps_core::loss::{Loss, Weights};
use ps_core::measures::to_predictions;
use ps_core::model_config::{CONFIG_FILE, CONFIG_VERSION, ModelConfig, TrainedOn};
use ps_core::schema::{self, SCHEMA_FILE, Scale, Schema};
use ps_data::{Dataset, Inputs, Samples};
use serde::de::DeserializeOwned;

use crate::compute::{Compute, Evaluation};
use crate::model::{
    CandleCompute, ComputeOptions, DataShape, InitialError, ModelError, Models, initial_weights,
};

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum TrainedModelError {
    /// A file of the folder.
    #[error(
        "{}: {source}; a model's folder has model.safetensors and {CONFIG_FILE}, and {SCHEMA_FILE} if it was trained on \
         a table",
        path.display()
    )]
    Read { path: PathBuf, source: std::io::Error },
    /// A file that is not as it should be.
    #[error("{}: {problem}", path.display())]
    File { path: PathBuf, problem: String },
    /// The weights.
    #[error(transparent)]
    Weights(#[from] InitialError),
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// A model with its weights.
pub struct TrainedModel {
    compute: CandleCompute,
    shape: DataShape,
    schema: Option<Arc<Schema>>,
}

impl TrainedModel {
    /// Opens the folder that a job left.
    ///
    /// # Errors
    /// A file is missing or damaged, or the program does not have the model.
    pub fn open(models: &Models, folder: &Path, device: Device) -> Result<Self, TrainedModelError> {
        let path = folder.join(CONFIG_FILE);
        let config: ModelConfig = json(&path)?;
        let wrong = |problem| TrainedModelError::File { path: path.clone(), problem };
        if config.version != CONFIG_VERSION {
            let found = config.version;
            return Err(wrong(format!(
                "version {found}, expected {CONFIG_VERSION}; use the psrun that wrote it"
            )));
        }
        let name = config.model.ok_or_else(|| {
            wrong(
                "no model is named: a program of your own trained it, or ps-master was not told --model"
                    .to_owned(),
            )
        })?;
        let TrainedOn { shape, ids, task, outputs, .. } = config.data;
        let shape = DataShape::of_job(&DataDescription {
            shape,
            ids,
            task,
            outputs,
            ..DataDescription::default()
        });
        let schema = schema(folder, &shape, config.schema.as_deref())?;
        let none = || Samples::none(shape.features.clone());
        let outputs = shape.outputs;
        let none = Arc::new(Dataset {
            ids: shape.ids.clone(),
            task,
            schema: schema.clone(),
            ..Dataset::new(none(), none(), outputs)
        });
        let options = config.options.into_iter().collect();
        // Weights of classes matter in training alone.
        let loss = Loss { weights: Weights::Equal, ..config.loss };
        let options = ComputeOptions { model: name, options, loss, device };
        let mut compute = CandleCompute::for_shape(models, options, none, &shape)?;
        let weights = initial_weights(folder, compute.layout())?;
        compute.set_weights(&weights)?;
        Ok(Self { compute, schema, shape })
    }

    /// What it was trained on, if that was a table.
    pub fn schema(&self) -> Option<&Arc<Schema>> {
        self.schema.as_ref()
    }

    /// The samples that it takes.
    pub fn shape(&self) -> &DataShape {
        &self.shape
    }

    /// What the outputs are called: as in the table, or else by their numbers.
    pub fn output_names(&self) -> Vec<String> {
        schema::output_names(self.schema.as_deref(), self.shape.outputs)
    }

    /// What the model says of so many samples, sample after sample: the probability of each class or label, or numbers as the
    /// model has them, which [`Self::scales`] make the label's.
    ///
    /// # Errors
    /// The model cannot be used so, or what candle says.
    pub fn predictions(
        &mut self,
        inputs: Inputs,
        samples: usize,
    ) -> Result<Vec<f32>, TrainedModelError> {
        let outputs =
            self.compute.outputs(inputs, samples)?.ok_or_else(|| TrainedModelError::File {
                path: PathBuf::from("the model"),
                problem: "it tells no outputs: implement `Model::outputs` for it".to_owned(),
            })?;
        if let Some(wrong) = outputs.iter().find(|output| !output.is_finite()) {
            return Err(TrainedModelError::File {
                path: PathBuf::from("the model"),
                problem: format!(
                    "an output of {wrong}: are some inputs far from those that it was trained on?"
                ),
            });
        }
        let mut predictions = outputs;
        for row in predictions.chunks_exact_mut(self.shape.outputs.max(1)) {
            to_predictions(self.shape.task, row);
        }
        Ok(predictions)
    }

    /// What the outputs that are numbers stand for; nothing else than themselves where there is no schema.
    pub fn scales(&self) -> Vec<Scale> {
        schema::label_scales(self.schema.as_deref(), self.shape.outputs)
    }

    /// Its measures on these samples.
    ///
    /// # Errors
    /// Samples of another shape, or what candle says.
    pub fn evaluate(&mut self, test: Samples) -> Result<Evaluation, TrainedModelError> {
        Ok(self.compute.evaluate_on(test, self.schema.clone())?)
    }
}

/// The schema beside a model, if there is one; it must be that model's.
fn schema(
    folder: &Path,
    shape: &DataShape,
    digest: Option<&str>,
) -> Result<Option<Arc<Schema>>, TrainedModelError> {
    let path = folder.join(SCHEMA_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read(&path).map_err(|source| unreadable(&path, source))?;
    let wrong = |problem| TrainedModelError::File { path: path.clone(), problem };
    let schema = Schema::from_json(&text).map_err(wrong)?;
    let (inputs, outputs) = (shape.inputs(), shape.outputs);
    let names = schema.output_names().len();
    let is_other = digest.is_some_and(|digest| digest != format!("{:016x}", schema.digest()));
    let problem = if is_other {
        format!(
            "not the one that the model beside it was trained with, as its {CONFIG_FILE} tells: did a job fail here, or was it \
             changed? take the folder as the job left it"
        )
    } else if schema.width() != inputs || names > outputs || schema.task() != shape.task {
        format!(
            "{} inputs, {} and {names} outputs, but the model beside it has {inputs}, {} and {outputs}; is it another \
             model's?",
            schema.width(),
            schema.task(),
            shape.task
        )
    } else if schema.id_columns() != shape.ids {
        let (found, expected) = (schema.id_columns().len(), shape.ids.len());
        format!(
            "{found} columns that are looked up, but the model beside it has {expected}, or others; is it another model's?"
        )
    } else {
        return Ok(Some(Arc::new(schema)));
    };
    Err(wrong(problem))
}

fn unreadable(path: &Path, source: std::io::Error) -> TrainedModelError {
    TrainedModelError::Read { path: path.to_owned(), source }
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T, TrainedModelError> {
    let text = std::fs::read(path).map_err(|source| unreadable(path, source))?;
    serde_json::from_slice(&text).map_err(|error| TrainedModelError::File {
        path: path.to_owned(),
        problem: format!("not as expected: {error}"),
    })
}
