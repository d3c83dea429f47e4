//! Whose samples a simulated job trains on, and a book of which were trained on.

use super::cluster::Scenario;
use super::lock::lock;
use super::network;
use futures_util::future::BoxFuture;
use ps_core::{DataDescription, DataKind, Layout};
use ps_data::{Inputs, Labels, SampleSet};
use ps_nn::GradientSink;
use ps_proto::v1;
use ps_worker::compute::{Compute, ComputeError, Evaluation, SampleBatch};
use ps_worker::train::{
    BatchStream, ModelWorkload, PassStreams, ServedSamples, StreamPass, Workload, WorkloadKind,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Name of the evaluator's host.
pub const EVALUATOR: &str = "evaluator";

const SAMPLES_PORT: u16 = 2224;

/// Whose the samples are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Every worker has all.
    Replicated,
    /// Each worker has so many of its own, and the evaluator serves some.
    Sharded {
        /// By host.
        shares: Vec<u64>,
        /// The evaluator's.
        served: u64,
    },
    /// Each worker reads a stream with so many samples.
    Streamed {
        /// By host.
        lengths: Vec<u64>,
    },
}

/// How often each sample was trained on, by who has it and its number.
#[derive(Clone, Debug, Default)]
pub struct Book(Arc<Mutex<BTreeMap<(String, u64), u64>>>);

impl Book {
    /// How often a sample was trained on.
    pub fn times(&self, owner: &str, sample: u64) -> u64 {
        lock(&self.0).get(&(owner.to_owned(), sample)).copied().unwrap_or(0)
    }

    /// Samples that were trained on, each counted as often as that, of one owner.
    pub fn trained(&self, owner: &str) -> u64 {
        let book = lock(&self.0);
        book.iter().filter(|((whose, _), _)| whose == owner).map(|(_, times)| times).sum()
    }

    fn note(&self, owner: &str, samples: impl Iterator<Item = u64>) {
        let mut book = lock(&self.0);
        for sample in samples {
            *book.entry((owner.to_owned(), sample)).or_default() += 1;
        }
    }
}

impl Data {
    /// What a process brings to the job.
    ///
    /// # Errors
    /// The port of the samples is taken.
    pub async fn workload(
        &self,
        role: v1::Role,
        host: usize,
        scenario: &Scenario,
        compute: Box<dyn Compute>,
        book: &Book,
    ) -> std::io::Result<Workload> {
        let is_worker = role == v1::Role::Worker;
        let (mut served_samples, mut streams) = (None, None);
        let mut data = DataDescription { shape: vec![1], outputs: 2, ..Default::default() };
        match self {
            Self::Replicated => data.samples = scenario.shape.samples,
            Self::Sharded { shares, .. } if is_worker => {
                (data.kind, data.samples) = (DataKind::Sharded, shares[host]);
                if shares[host] == 0 {
                    (data.shape, data.outputs) = (Vec::new(), 0);
                }
            }
            Self::Sharded { served, .. } => {
                (data.kind, data.samples) = (DataKind::Sharded, *served);
                data.served_at = Some(format!("{EVALUATOR}:{SAMPLES_PORT}"));
                let incoming = network::listen(SAMPLES_PORT).await?;
                served_samples =
                    Some(ServedSamples { incoming, samples: Arc::new(Numbered(*served)) });
            }
            Self::Streamed { lengths } if is_worker => {
                data = DataDescription { kind: DataKind::Streamed, ..Default::default() };
                let length = lengths[host];
                streams = Some(Box::new(Counted { length }) as Box<dyn PassStreams>);
            }
            Self::Streamed { .. } => (),
        }
        let own = if is_worker { format!("worker{host}") } else { EVALUATOR.to_owned() };
        let recording = Mutex::new(Some(RecordingModel { compute, own, book: book.clone() }));
        let build = move |_: &DataDescription| match lock(&recording).take() {
            Some(model) => Ok(Box::new(model) as Box<dyn Compute>),
            None => Err(ComputeError("the model was made before".to_owned())),
        };
        let mut model = ModelWorkload::new(Arc::new(build));
        (model.streams, model.served) = (streams, served_samples);
        Ok(Workload { data, kind: WorkloadKind::Model(model) })
    }
}

/// Samples of one feature, which is their number.
struct Numbered(u64);

fn values(numbers: impl Iterator<Item = u64>) -> (Vec<f32>, Vec<u32>) {
    numbers.map(|number| (number as f32, (number % 2) as u32)).unzip()
}

impl SampleSet for Numbered {
    fn count(&self) -> u64 {
        self.0
    }

    fn shape(&self) -> &[usize] {
        &[1]
    }

    fn gather(&self, numbers: &[u64]) -> Result<(Inputs, Labels), String> {
        let (features, labels) = values(numbers.iter().copied());
        Ok((features.into(), labels.into()))
    }
}

/// A stream that gives the same numbered samples in every pass.
struct Counted {
    length: u64,
}

impl PassStreams for Counted {
    fn open<'a>(
        &'a mut self,
        pass: &'a StreamPass,
    ) -> BoxFuture<'a, Result<Box<dyn BatchStream>, ComputeError>> {
        let batch = pass.batch_size as u64;
        let (rank, length) = (pass.rank, self.length);
        assert!(rank < pass.workers, "rank {rank} of {}", pass.workers);
        let opened = CountedPass { next: 0, length, batch };
        Box::pin(async move { Ok(Box::new(opened) as Box<dyn BatchStream>) })
    }
}

struct CountedPass {
    next: u64,
    length: u64,
    batch: u64,
}

impl BatchStream for CountedPass {
    fn next_batch(&mut self) -> BoxFuture<'_, Result<Option<SampleBatch>, ComputeError>> {
        let end = (self.next + self.batch).min(self.length);
        let (features, labels) = values(self.next..end);
        self.next = end;
        Box::pin(async move {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            Ok((!labels.is_empty())
                .then_some(SampleBatch::Values { inputs: features.into(), labels: labels.into() }))
        })
    }
}

/// A model that writes down what it is trained on.
struct RecordingModel {
    compute: Box<dyn Compute>,
    own: String,
    book: Book,
}

impl Compute for RecordingModel {
    fn layout(&self) -> &Layout {
        self.compute.layout()
    }

    fn freeze(&mut self, tensors: &[bool]) -> Result<(), ComputeError> {
        self.compute.freeze(tensors)
    }

    fn start_weights(&mut self, seed: u64) -> Result<Vec<f32>, ComputeError> {
        self.compute.start_weights(seed)
    }

    fn train_samples(&self) -> u64 {
        self.compute.train_samples()
    }

    fn load(&mut self, weights: &[f32]) -> Result<(), ComputeError> {
        self.compute.load(weights)
    }

    fn gradient(
        &mut self,
        batch: SampleBatch,
        seed: u64,
        into: Box<dyn GradientSink>,
    ) -> Result<(), ComputeError> {
        match &batch {
            SampleBatch::Numbers(numbers) => self.book.note(&self.own, numbers.iter().copied()),
            SampleBatch::Values { inputs, labels } => {
                let numbers: Vec<u64> =
                    inputs.features.iter().map(|feature| *feature as u64).collect();
                let (_, expected) = values(numbers.iter().copied());
                assert_eq!(labels.classes(), expected, "labels of other samples than the features");
                self.book.note("values", numbers.into_iter());
            }
        }
        self.compute.gradient(batch, seed, into)
    }

    fn evaluate(&mut self, weights: &[f32]) -> Result<Evaluation, ComputeError> {
        self.compute.evaluate(weights)
    }
}
