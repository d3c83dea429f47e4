//! Gradients and evaluations of a model by candle, as the training loop asks for them.

mod scoring;

use std::sync::Arc;

use candle_core::{Device, Tensor};
use candle_nn::VarMap;
use ps_core::loss::Loss;
use ps_core::parameters;
use ps_core::schema::{self, Schema};
use ps_core::{Layout, Task};

use super::own_measures::OwnMeasures;
use super::passes::Passes;
use super::{
    Batch, DataShape, FlatVars, Model, ModelError, ModelOptions, Models, Objective, SeededStart,
};
use crate::compute::{Compute, ComputeError, Evaluation, SampleBatch};
use crate::threads;
use ps_data::{Dataset, Inputs, Labels, Samples};
use ps_nn::GradientSink;
use ps_nn::Phase;

/// What a job chooses about its model.
#[derive(Clone, Debug)]
pub struct ComputeOptions {
    /// Name of the model.
    pub model: String,
    /// The model's own options.
    pub options: ModelOptions,
    /// What training makes small.
    pub loss: Loss,
    /// Where to compute.
    pub device: Device,
}

impl ComputeOptions {
    /// The loss that the task has where nobody says.
    pub fn new(model: &str, options: ModelOptions, device: Device) -> Self {
        Self { model: model.to_owned(), options, loss: Loss::default(), device }
    }
}

/// A model with its data.
pub struct CandleCompute {
    model: Box<dyn Model>,
    vars: FlatVars,
    start: SeededStart,
    /// Instead of the seed's.
    initial: Option<Vec<f32>>,
    device: Device,
    data: Arc<Dataset>,
    /// Of samples that come from elsewhere, too.
    shape: DataShape,
    objective: Arc<Objective>,
    measures: OwnMeasures,
    passes: Passes,
}

impl CandleCompute {
    /// Builds the model for the data.
    ///
    /// # Errors
    /// An unknown model or option, or variables that cannot be trained.
    pub fn new(
        models: &Models,
        options: ComputeOptions,
        data: Arc<Dataset>,
    ) -> Result<Self, ModelError> {
        let shape = DataShape::of(&data);
        Self::for_shape(models, options, data, &shape)
    }

    /// Builds the model for samples of this shape, some of which others have; the data may hold
    /// none.
    ///
    /// # Errors
    /// As [`Self::new`]; and data that are not of this shape.
    pub fn for_shape(
        models: &Models,
        options: ComputeOptions,
        data: Arc<Dataset>,
        shape: &DataShape,
    ) -> Result<Self, ModelError> {
        let ComputeOptions { model: name, options, loss, device } = options;
        for samples in [&data.train, &data.test, &data.validation] {
            if !samples.is_empty() && samples.shape() != shape.features {
                let (found, expected) = (samples.shape().to_vec(), shape.features.clone());
                return Err(ModelError::OtherShape { found, expected });
            }
            check_ids(samples, shape)?;
        }
        if data.outputs > shape.outputs {
            let (found, expected) = (data.outputs, shape.outputs);
            return Err(ModelError::MoreClasses { found, expected });
        }
        let objective = objective(&loss, shape, &data)?;
        let measures = models.measures()?;
        let map = VarMap::new();
        // Training begins with weights from the servers: the values made here are never used.
        let start = SeededStart::new(0, map.clone());
        let model = models.build(&name, start.builder(&device), shape, options)?;
        let mut vars = FlatVars::new(&map)?;
        vars.freeze(&parameters::frozen("Model::frozen", &model.frozen(), vars.layout())?)?;
        let shape = shape.clone();
        let (initial, passes) = (None, Passes::default());
        Ok(Self { model, vars, start, initial, device, data, shape, objective, measures, passes })
    }

    /// Starts from these weights instead of the seed's.
    ///
    /// # Errors
    /// They are not as many as the model has.
    pub fn start_from(&mut self, weights: Vec<f32>) -> Result<(), ModelError> {
        let (found, expected) = (weights.len(), self.layout().elements());
        if found != expected {
            return Err(ModelError::Length { found, expected });
        }
        self.initial = Some(weights);
        Ok(())
    }

    /// Takes these weights for outputs and evaluations to come.
    ///
    /// # Errors
    /// They are not as many as the model has.
    pub fn set_weights(&mut self, weights: &[f32]) -> Result<(), ModelError> {
        self.vars.set(weights)
    }

    /// The model's outputs for so many samples, sample after sample; `None` of a model that has none.
    ///
    /// # Errors
    /// What candle says.
    pub fn outputs(
        &mut self,
        inputs: Inputs,
        samples: usize,
    ) -> Result<Option<Vec<f32>>, ModelError> {
        // They mean nothing, but a batch has some.
        let labels = match self.shape.task {
            Task::Classification => Labels::Classes(vec![0; samples]),
            Task::Regression | Task::MultiLabel => {
                let each = self.shape.outputs.max(1);
                Labels::Numbers { each, values: vec![0.0; samples * each] }
            }
        };
        let batch = self.on_device(inputs, labels, &self.shape.features, Phase::Evaluating)?;
        let device = self.device.clone();
        let model = &mut self.model;
        let outputs = threads::run(&device, move || model.outputs(&batch));
        let values = outputs.and_then(|outputs| {
            outputs.map(|outputs| outputs.flatten_all()?.to_vec1::<f32>()).transpose()
        });
        values.map_err(ModelError::candle("computing outputs"))
    }

    /// Score of all samples of a test set.
    ///
    /// # Errors
    /// What candle says, or samples of another shape.
    pub fn evaluate_on(
        &mut self,
        test: Samples,
        schema: Option<Arc<Schema>>,
    ) -> Result<Evaluation, ModelError> {
        if test.shape() != self.shape.features {
            let (found, expected) = (test.shape().to_vec(), self.shape.features.clone());
            return Err(ModelError::OtherShape { found, expected });
        }
        check_ids(&test, &self.shape)?;
        let train = Samples::none(test.shape().to_vec());
        let (validation, task, outputs) = (train.clone(), self.shape.task, self.shape.outputs);
        let ids = self.shape.ids.clone();
        let none = Dataset::new(train, test, outputs);
        self.data = Arc::new(Dataset { validation, ids, task, schema, ..none });
        let (device, data) = (self.device.clone(), self.data.clone());
        threads::run(&device, || self.score(&data.test))
    }

    /// Loss and gradient at the weights that the variables hold.
    fn step(
        &mut self,
        batch: SampleBatch,
        seed: u64,
        into: Box<dyn GradientSink>,
    ) -> Result<(), ModelError> {
        let phase = Phase::Training { seed };
        let batch = match batch {
            SampleBatch::Numbers(numbers) => self.batch(&self.data.train, &numbers, phase)?,
            SampleBatch::Values { inputs, labels } => {
                self.on_device(inputs, labels, &self.shape.features, phase)?
            }
        };
        self.passes.run(self.model.as_ref(), &self.vars, &batch, into)
    }

    fn batch(&self, from: &Samples, numbers: &[u64], phase: Phase) -> Result<Batch, ModelError> {
        let (inputs, labels) = from.gather(numbers)?;
        self.on_device(inputs, labels, from.shape(), phase)
    }

    fn on_device(
        &self,
        inputs: Inputs,
        labels: Labels,
        each: &[usize],
        phase: Phase,
    ) -> Result<Batch, ModelError> {
        let samples = labels.len();
        let mut shape = vec![samples];
        shape.extend_from_slice(each);
        let doing = "putting a batch on the device";
        let features = Tensor::from_vec(inputs.features, shape, &self.device);
        let ids = Tensor::from_vec(inputs.ids, (samples, self.shape.ids.len()), &self.device);
        let labels = match labels {
            Labels::Classes(classes) => Tensor::from_vec(classes, samples, &self.device),
            Labels::Numbers { each, values } => {
                Tensor::from_vec(values, (samples, each), &self.device)
            }
        };
        Ok(Batch {
            features: features.map_err(ModelError::candle(doing))?,
            ids: ids.map_err(ModelError::candle(doing))?,
            labels: labels.map_err(ModelError::candle(doing))?,
            objective: self.objective.clone(),
            phase,
        })
    }
}

/// Whether samples have the ids that the model looks up.
fn check_ids(samples: &Samples, shape: &DataShape) -> Result<(), ModelError> {
    let (found, expected) = (samples.id_columns(), shape.ids.len());
    match samples.is_empty() || found == expected {
        true => Ok(()),
        false => Err(ModelError::OtherIds { found, expected }),
    }
}

/// What the job's outputs are for.
fn objective(loss: &Loss, shape: &DataShape, data: &Dataset) -> Result<Arc<Objective>, ModelError> {
    let names = schema::output_names(data.schema.as_deref(), shape.outputs);
    let objective = Objective::new(shape.task, loss, &names, data.train.labels());
    objective.map(Arc::new).map_err(ModelError::Loss)
}

impl Compute for CandleCompute {
    fn layout(&self) -> &Layout {
        self.vars.layout()
    }

    fn freeze(&mut self, tensors: &[bool]) -> Result<(), ComputeError> {
        Ok(self.vars.freeze(tensors)?)
    }

    fn start_weights(&mut self, seed: u64) -> Result<Vec<f32>, ComputeError> {
        if let Some(weights) = &self.initial {
            return Ok(weights.clone());
        }
        let mut weights = Vec::with_capacity(self.layout().elements());
        for (position, tensor) in self.layout().tensors().iter().enumerate() {
            self.start.append_values(seed, &tensor.name, &tensor.shape, &mut weights);
            // Every variable was made by `start`; one that was not would begin at zero.
            weights.resize(self.layout().range(position).end, 0.0);
        }
        Ok(weights)
    }

    fn train_samples(&self) -> u64 {
        self.data.train.len() as u64
    }

    fn load(&mut self, weights: &[f32]) -> Result<(), ComputeError> {
        Ok(self.vars.set(weights)?)
    }

    fn gradient(
        &mut self,
        batch: SampleBatch,
        seed: u64,
        into: Box<dyn GradientSink>,
    ) -> Result<(), ComputeError> {
        if batch.samples() == 0 {
            return Err(ComputeError("a step on no samples; a batch needs at least one".into()));
        }
        let device = self.device.clone();
        Ok(threads::run(&device, || self.step(batch, seed, into))?)
    }

    fn evaluate(&mut self, weights: &[f32]) -> Result<Evaluation, ComputeError> {
        let (device, data) = (self.device.clone(), self.data.clone());
        let evaluation = threads::run(&device, || {
            self.vars.set(weights)?;
            self.score(&data.test)
        });
        Ok(evaluation?)
    }

    fn validate(&mut self, weights: &[f32]) -> Result<Option<Evaluation>, ComputeError> {
        let (device, data) = (self.device.clone(), self.data.clone());
        if data.validation.is_empty() {
            return Ok(None);
        }
        let evaluation = threads::run(&device, || {
            self.vars.set(weights)?;
            self.score(&data.validation)
        });
        Ok(Some(evaluation?))
    }
}
