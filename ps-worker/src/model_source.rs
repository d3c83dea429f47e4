//! Data, device and model as a process's options name them.

use crate::compute::{Compute, ComputeError};
use crate::config::ModelArgs;
use crate::data::{self, Known};
use crate::model::{
    CandleCompute, ComputeOptions, DataShape, ModelOptions, Models, MoreClasses, check_schema,
    initial_schema, initial_weights, initial_weights_of_fewer, is_whole_model,
};
use crate::objective_words;
use crate::place::Place;
use crate::train::DataLoader;
use anyhow::Context;
use ps_core::model_config::About;
use ps_core::schema::SCHEMA_FILE;
use ps_core::{DataDescription, DataKind};
use ps_data::{Dataset, Draw, Format, Samples, Shift};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A model that is trained further.
struct Initial {
    path: PathBuf,
    /// The classes that it has, if they have names.
    classes: usize,
}

/// Everything that a model is made of.
pub(crate) struct ModelSource {
    data: Arc<Dataset>,
    /// A model for the data here, unless the job needs another. Locked while one is made.
    ready: Mutex<Option<CandleCompute>>,
    models: Models,
    options: ComputeOptions,
    /// The model that training starts from instead of the seed's.
    initial: Option<Initial>,
    /// Pixels by which training images are moved.
    shift: usize,
    /// What is learnt, for the master to compare.
    objective: String,
    /// What the model is, beside its tensors and data.
    about: About,
}

impl ModelSource {
    /// Reads the data, as far as they are not known, and opens the device.
    ///
    /// # Errors
    /// One of them cannot be had; the message says what to do.
    pub(crate) fn new(
        models: &Models,
        args: &ModelArgs,
        place: Place,
        known: Known,
    ) -> anyhow::Result<Self> {
        let initial = args.initial_model.as_deref().map(initial_schema).transpose()?.flatten();
        let mut data = data::read(models, args, initial.as_ref(), known)?;
        if let (Some(path), Some(initial), Some(found)) =
            (&args.initial_model, &initial, &data.schema)
        {
            check_schema(path, initial, found)?;
        }
        if let (Some(path), None, Some(_)) = (&args.initial_model, &initial, &data.schema)
            && is_whole_model(path)
        {
            tracing::warn!(
                "initial model {}: there is no {SCHEMA_FILE} beside its weights, so that nobody can say whether its inputs were \
                 the columns that these data have, and scaled as they are: look whether both are of one table",
                path.display()
            );
        }
        let classes = initial.map_or(0, |schema| schema.classes().len());
        let initial = args.initial_model.clone().map(|path| Initial { path, classes });
        if let Some(schema) = &data.schema {
            schema.lines().iter().for_each(|line| tracing::info!("{line}"));
        }
        if args.read.sharded {
            // What is here is all of its workers'.
            data.train = data.train.every(place.workers as usize, place.index as usize);
        }
        let shift = args.read.augment_shift;
        ps_data::check_shift(shift, &data.train)?;
        let device = args.device.open_at(place)?;
        let options = args.shape.options().map_err(anyhow::Error::msg)?;
        let loss = args.loss.loss().map_err(anyhow::Error::msg)?;
        objective_words::lines(&data, &loss).iter().for_each(|line| tracing::info!("{line}"));
        let objective = objective_words::objective(&args.read, &data, &loss);
        let about = About {
            model: Some(args.model.clone()),
            options: options.clone().into_iter().collect(),
            loss: loss.clone(),
            data_format: (args.read.format != Format::Auto)
                .then(|| args.read.format.name().to_owned()),
            schema: data.schema.as_deref().cloned(),
            untold_schema: None,
        };
        let options: ModelOptions = options.into_iter().collect();
        let options = ComputeOptions { model: args.model.clone(), options, loss, device };
        let (data, models) = (Arc::new(data), models.clone());
        let ready = Mutex::new(None);
        Ok(Self { data, ready, models, options, initial, shift, objective, about })
    }

    /// Takes test samples that came from elsewhere.
    ///
    /// # Errors
    /// Labels beyond the number of classes that was given.
    pub(crate) fn set_test(
        &mut self,
        test: Samples,
        classes: Option<usize>,
    ) -> Result<(), ps_data::Error> {
        let train = Samples::none(test.shape().to_vec());
        let (task, outputs) = (self.data.task, test.labels().outputs().max(self.data.outputs));
        let (validation, schema) = (train.clone(), self.data.schema.clone());
        let ids = self.data.ids.clone();
        let none = Dataset::new(train, test, outputs);
        let schema_digest = self.data.schema_digest;
        let data = Dataset { validation, ids, task, schema, schema_digest, ..none };
        self.data = Arc::new(ps_data::with_classes(data, classes)?);
        Ok(())
    }

    /// The number of outputs, where any label has been seen.
    pub(crate) fn outputs_seen(&self) -> Option<usize> {
        Some(self.data.outputs).filter(|&outputs| outputs > 0)
    }

    /// What the master hears of the data.
    pub(crate) fn description(&self, kind: DataKind) -> DataDescription {
        let Dataset { train, test, validation, task, outputs, .. } = &*self.data;
        let known = [train, test, validation].into_iter().find(|set| !set.is_empty());
        let known = known.unwrap_or(train);
        let shape = if known.is_empty() { &[] } else { known.shape() };
        DataDescription {
            kind,
            samples: train.len() as u64,
            shape: shape.iter().map(|size| *size as u64).collect(),
            ids: self.data.ids.clone(),
            task: *task,
            outputs: u32::try_from(*outputs).unwrap_or(u32::MAX),
            objective: self.objective.clone(),
            served_at: None,
        }
    }

    /// Writes what was understood of the data, if they are a table.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write_schema(&self, path: &Path) -> anyhow::Result<()> {
        let written = || format!("writing {}", path.display());
        let Some(schema) = &self.data.schema else {
            // One of an earlier job would be taken for this model's.
            return match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(error).with_context(written)
                }
                _ => Ok(()),
            };
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(written)?;
        }
        std::fs::write(path, schema.to_json().with_context(written)?).with_context(written)
    }

    /// What the model is, beside its tensors and data.
    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    /// What is learnt, in words.
    pub(crate) fn objective(&self) -> &str {
        &self.objective
    }

    /// Whether a stream of a table is to be read by its schema.
    pub(crate) fn knows_table(&self) -> bool {
        self.data.schema_digest.is_some()
    }

    /// The samples here.
    pub(crate) fn data(&self) -> &Arc<Dataset> {
        &self.data
    }

    /// What makes batches of the training samples here.
    pub(crate) fn loader(&self) -> DataLoader {
        DataLoader { samples: Some(self.data.clone()), shift: self.shift }
    }

    /// Makes the model for the data here already now: what is wrong with it is said before anybody
    /// waits for this process.
    pub(crate) fn prepare(&mut self) -> anyhow::Result<()> {
        self.ready = Mutex::new(Some(self.model()?));
        Ok(())
    }

    /// The model for the data here.
    pub(crate) fn model(&self) -> anyhow::Result<CandleCompute> {
        if self.data.outputs == 0 {
            anyhow::bail!(
                "no sample shows how many classes there are, those of a stream least of all: give \
                 --classes N, or test data with --test"
            );
        }
        let made = CandleCompute::new(&self.models, self.options.clone(), self.data.clone())?;
        self.started(made, self.data.outputs)
    }

    /// The model with the weights that it starts from.
    fn started(&self, mut model: CandleCompute, outputs: usize) -> anyhow::Result<CandleCompute> {
        if let Some(Initial { path, classes: before }) = &self.initial {
            let (before, now) = (*before, outputs);
            let weights = match (1..now).contains(&before) {
                true => {
                    let new = now - before;
                    tracing::info!(
                        "{new} classes are new to the initial model, and begin with weights of 0"
                    );
                    let more = MoreClasses { before, now };
                    initial_weights_of_fewer(path, model.layout(), more)?
                }
                false => initial_weights(path, model.layout())?,
            };
            model.start_from(weights)?;
        }
        Ok(model)
    }

    /// The model for the data of the whole job.
    pub(crate) fn for_job(&self, agreed: &DataDescription) -> Result<CandleCompute, ComputeError> {
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let own = self.description(agreed.kind);
        if own.shape == agreed.shape
            && own.ids == agreed.ids
            && (own.task, own.outputs) == (agreed.task, agreed.outputs)
            && own.samples == agreed.samples
            && let Some(ready) = ready.take()
        {
            return Ok(ready);
        }
        if agreed.shape.is_empty() || agreed.outputs == 0 {
            let message = "no member of the job knows the shape and the classes of its samples: give \
                           the evaluator test data";
            return Err(ComputeError(message.to_owned()));
        }
        let shape = DataShape::of_job(agreed);
        if self.shift > 0 {
            // Shares without a sample, and streams, say nothing of it before.
            Shift::new(self.shift, &shape.features, Draw::default())?;
        }
        let (options, data) = (self.options.clone(), self.data.clone());
        let made = CandleCompute::for_shape(&self.models, options, data, &shape);
        let started = made.map_err(anyhow::Error::from);
        let started = started.and_then(|made| self.started(made, shape.outputs));
        started.map_err(|error| ComputeError(format!("{error:#}")))
    }
}
