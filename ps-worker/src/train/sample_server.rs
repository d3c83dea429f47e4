//! The evaluator's own training samples, for workers to train on.

use super::error::Error;
use bytes::Bytes;
use futures_util::stream;
use ps_core::limits::{MESSAGE_PAYLOAD_BYTES, SAMPLES_PER_READ_MAX, WORKERS_MAX};
use ps_data::{Labels, SampleSet};
use ps_proto::convert::refusal::{self, Reason};
use ps_proto::v1;
use ps_proto::v1::samples_server::{SERVICE_NAME, Samples, SamplesServer};
use ps_runtime::descriptors::connections_within_limit;
use ps_runtime::health::{Health, ServingStatus};
use ps_runtime::requests::RequestBudget;
use ps_runtime::transport::{limited, opened};
use ps_runtime::{Clock, Incoming};
use std::collections::VecDeque;
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// Bytes of a request for as many samples as one may name: each up to ten bytes.
const READ_BYTES_MAX: usize = 1024 * 1024;
const _: () = assert!(10 * SAMPLES_PER_READ_MAX < READ_BYTES_MAX);

/// Samples of this process that others train on.
pub struct ServedSamples {
    /// Where workers connect to.
    pub incoming: Incoming,
    /// The samples.
    pub samples: Arc<dyn SampleSet>,
}

/// Serves samples until the listener breaks.
pub(super) async fn serve(job: &str, served: ServedSamples, clock: Clock) -> Error {
    let service = SampleService { job: job.to_owned(), samples: served.samples };
    let budget = RequestBudget::new(clock);
    let service = budget.bounded(SamplesServer::new(service), READ_BYTES_MAX);
    let health = Health::new(&[SERVICE_NAME], ServingStatus::Serving).await;
    let connections = connections_within_limit(WORKERS_MAX as usize);
    let ended = ps_runtime::transport::server()
        .add_service(service)
        .add_service(health.service(&budget))
        .serve_with_incoming(opened(limited(served.incoming, connections)))
        .await;
    let message = ended.map_or_else(
        |error| error.to_string(),
        |()| "the listener was closed before the job was done".to_owned(),
    );
    Error::Serve(message)
}

struct SampleService {
    job: String,
    samples: Arc<dyn SampleSet>,
}

#[tonic::async_trait]
impl Samples for SampleService {
    type ReadStream = stream::Iter<SampleReplies>;

    async fn read(
        &self,
        request: Request<v1::ReadSamplesRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let v1::ReadSamplesRequest { job, samples } = request.into_inner();
        if job != self.job {
            let message = format!(
                "the caller belongs to job `{}`, these samples to job `{}`",
                job.chars().take(64).collect::<String>(),
                self.job
            );
            return Err(refusal::status(Reason::OtherJob, 0, 0, message));
        }
        if samples.len() > SAMPLES_PER_READ_MAX {
            let found = samples.len();
            return Err(Status::invalid_argument(format!(
                "{found} samples were asked for, at most {SAMPLES_PER_READ_MAX} can be"
            )));
        }
        let count = self.samples.count();
        if let Some(beyond) = samples.iter().find(|sample| **sample >= count) {
            let message = format!("there is no sample {beyond}: there are {count}");
            return Err(Status::out_of_range(message));
        }
        let replies = SampleReplies::new(self.samples.clone(), samples);
        Ok(Response::new(stream::iter(replies)))
    }
}

/// The messages of an answer, each made when it is sent: no more than one message is in memory.
struct SampleReplies {
    samples: Arc<dyn SampleSet>,
    numbers: VecDeque<u64>,
    /// Samples that are gathered at once.
    at_once: usize,
    /// Features of these that are not sent yet.
    rest: Bytes,
}

impl SampleReplies {
    fn new(samples: Arc<dyn SampleSet>, numbers: Vec<u64>) -> Self {
        let (inputs, ids) = (samples.features_per_sample(), samples.id_columns());
        let values = inputs.saturating_add(ids).saturating_add(samples.numbers_per_label());
        let sample_bytes = values.saturating_mul(size_of::<f32>()).max(1);
        let at_once = (MESSAGE_PAYLOAD_BYTES / sample_bytes).max(1);
        Self { samples, numbers: numbers.into(), at_once, rest: Bytes::new() }
    }

    fn gather(&mut self) -> Result<(Vec<u32>, Labels), Status> {
        let count = self.at_once.min(self.numbers.len());
        let numbers: Vec<u64> = self.numbers.drain(..count).collect();
        let (inputs, labels) = self.samples.gather(&numbers).map_err(Status::internal)?;
        self.rest = bytes_of(&inputs.features);
        Ok((inputs.ids, labels))
    }
}

fn bytes_of(numbers: &[f32]) -> Bytes {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

impl Iterator for SampleReplies {
    type Item = Result<v1::ReadSamplesReply, Status>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut reply = v1::ReadSamplesReply::default();
        if self.rest.is_empty() {
            if self.numbers.is_empty() {
                return None;
            }
            let (ids, labels) = match self.gather() {
                Ok(gathered) => gathered,
                Err(status) => return Some(Err(status)),
            };
            reply.ids = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
            match labels {
                Labels::Classes(classes) => reply.labels = classes,
                Labels::Numbers { values, .. } => reply.number_labels = bytes_of(&values),
            }
        }
        reply.features = self.rest.split_to(self.rest.len().min(MESSAGE_PAYLOAD_BYTES));
        Some(Ok(reply))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ps_data::Inputs;

    /// Sample n has the features n, n + 1, .. and the label n modulo 3.
    struct Counted {
        count: u64,
        inputs: usize,
    }

    impl SampleSet for Counted {
        fn count(&self) -> u64 {
            self.count
        }

        fn shape(&self) -> &[usize] {
            std::slice::from_ref(&self.inputs)
        }

        fn gather(&self, numbers: &[u64]) -> Result<(Inputs, Labels), String> {
            let sample = |n: &u64| (0..self.inputs as u64).map(move |i| (n + i) as f32).collect();
            let features: Vec<f32> = numbers.iter().flat_map::<Vec<f32>, _>(sample).collect();
            let labels: Vec<u32> = numbers.iter().map(|n| (n % 3) as u32).collect();
            Ok((features.into(), labels.into()))
        }
    }

    fn read(inputs: usize, numbers: &[u64]) -> (Vec<f32>, Vec<u32>, usize) {
        let samples = Arc::new(Counted { count: 1000, inputs });
        let (mut features, mut labels, mut messages) = (Vec::new(), Vec::new(), 0);
        for part in SampleReplies::new(samples, numbers.to_vec()) {
            let part = part.unwrap();
            assert!(part.features.len() <= MESSAGE_PAYLOAD_BYTES);
            features.extend(
                part.features.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            );
            labels.extend(part.labels);
            messages += 1;
        }
        (features, labels, messages)
    }

    #[test]
    fn answers_are_in_the_order_of_the_question_and_cut_where_a_message_is_full() {
        let (features, labels, messages) = read(2, &[7, 3, 7]);
        assert_eq!((features, labels, messages), (vec![7., 8., 3., 4., 7., 8.], vec![1, 0, 1], 1));
        // A sample of 2.4 MB.
        let (features, labels, messages) = read(600_000, &[5, 1]);
        assert_eq!((features.len(), labels, messages), (1_200_000, vec![2, 1], 6));
        assert_eq!((features[600_000], features[1_199_999]), (1.0, 600_000.0));
        let (features, labels, _) = read(3, &[]);
        assert!(features.is_empty() && labels.is_empty());
    }

    #[tokio::test]
    async fn strangers_and_samples_that_do_not_exist_are_refused() {
        let service = SampleService {
            job: "ours".into(),
            samples: Arc::new(Counted { count: 10, inputs: 1 }),
        };
        let ask = async |job: &str, samples: Vec<u64>| {
            let request = v1::ReadSamplesRequest { job: job.into(), samples };
            service.read(Request::new(request)).await.map(drop).unwrap_err()
        };
        assert!(ask("theirs", vec![1]).await.message().contains("theirs"));
        assert!(ask("ours", vec![10]).await.message().contains("sample 10"));
        let flood = vec![0; SAMPLES_PER_READ_MAX + 1];
        assert!(ask("ours", flood).await.message().contains("at most"));
    }
}
