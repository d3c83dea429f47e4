//! One thread owns the model, and computes together what waits at the same time.

use super::plain::PlainSamples;
use crate::prediction::PredictionFormat;
use ps_data::{InputWidth, Inputs};
use ps_worker::model::IdColumn;
use ps_worker::trained_model::TrainedModel;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Samples that are computed at once.
const BATCH_SAMPLES: usize = 256;

/// Requests that wait for the model.
const WAITING_MAX: usize = 1024;

/// What the model says of a request's samples, sample after sample; or why it says nothing.
pub(super) type Answer = Result<Vec<f32>, String>;

/// The way to the model's thread.
#[derive(Clone)]
pub(super) struct Batcher {
    requests: mpsc::Sender<Request>,
}

struct Request {
    /// Inputs of its samples, sample after sample.
    inputs: Inputs,
    /// How many they are.
    samples: usize,
    answer: oneshot::Sender<Answer>,
}

/// What there is to know of a model without asking it.
pub(super) struct About {
    /// Numbers and ids of a sample.
    pub(super) width: InputWidth,
    /// What the ids are of.
    pub(super) ids: Vec<IdColumn>,
    /// How what it says is written.
    pub(super) says: PredictionFormat,
    /// What it was trained on, if that was a table.
    pub(super) schema: Option<Arc<ps_core::schema::Schema>>,
}

impl About {
    /// No sample so far, for a model that was not trained on a table.
    pub(super) fn plain(&self) -> PlainSamples<'_> {
        PlainSamples::new(self.width, &self.ids)
    }
}

impl Batcher {
    /// Starts the thread.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn start(model: TrainedModel) -> std::io::Result<(Self, About)> {
        let about = About {
            width: model.shape().width(),
            ids: model.shape().ids.clone(),
            says: PredictionFormat::new(&model),
            schema: model.schema().cloned(),
        };
        let (requests, waiting) = mpsc::channel(WAITING_MAX);
        let (width, outputs) = (about.width, about.says.outputs());
        let thread = std::thread::Builder::new().name("model".to_owned());
        thread.spawn(move || answer_all(model, waiting, width, outputs))?;
        Ok((Self { requests }, about))
    }

    /// The answer to a request of so many samples.
    pub(super) async fn answer(&self, inputs: Inputs, samples: usize) -> Answer {
        let (answer, answered) = oneshot::channel();
        let gone = || "the model's thread has ended".to_owned();
        self.requests.send(Request { inputs, samples, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// Ends when nobody can ask any more.
fn answer_all(
    mut model: TrainedModel,
    mut waiting: mpsc::Receiver<Request>,
    width: InputWidth,
    outputs: usize,
) {
    while let Some(first) = waiting.blocking_recv() {
        let mut samples = first.samples;
        let mut requests = vec![first];
        while samples < BATCH_SAMPLES
            && let Ok(next) = waiting.try_recv()
        {
            samples += next.samples;
            requests.push(next);
        }
        let mut all = Inputs::from(Vec::with_capacity(samples * width.features));
        requests.iter().for_each(|request| all.extend(&request.inputs));
        let computed = predictions(&mut model, &all, width);
        let mut start = 0;
        for request in requests {
            let range = start * outputs..(start + request.samples) * outputs;
            start += request.samples;
            let answer = computed.as_ref().map_err(String::clone);
            // Who asked may have gone.
            let _ =
                request.answer.send(answer.map(|all| all.get(range).unwrap_or_default().to_vec()));
        }
    }
}

/// In parts of bounded size, however much one request has.
fn predictions(model: &mut TrainedModel, all: &Inputs, width: InputWidth) -> Answer {
    let mut predictions = Vec::new();
    for (part, samples) in width.parts(all, BATCH_SAMPLES) {
        let computed = model.predictions(part, samples);
        predictions.extend(computed.map_err(|error| error.to_string())?);
    }
    Ok(predictions)
}
