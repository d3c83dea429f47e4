//! Samples that the evaluator has: fetched a few batches ahead.

use super::Error;
use crate::compute::{Batch, ComputeError};
use ps_core::limits::{MESSAGE_BYTES_MAX, SAMPLES_PER_READ_MAX};
use ps_data::Shift;
use ps_proto::v1;
use ps_proto::v1::samples_client::SamplesClient;
use ps_runtime::link::{Link, Patience};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::transport::Channel;

/// Batches that are fetched before they are needed: one is in work, the next one is there.
const AHEAD: usize = 2;

/// Bytes of one feature on the wire.
const FEATURE_BYTES: usize = size_of::<f32>();

/// The batches of a lease, which come from the evaluator.
pub(super) struct Served {
    batches: mpsc::Receiver<Result<Batch, Error>>,
    left: u64,
    fetcher: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.fetcher.abort();
    }
}

/// Fetches samples.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) job: String,
    pub(super) link: Arc<Link>,
    pub(super) patience: Patience,
    /// Inputs of one sample.
    pub(super) inputs: usize,
    pub(super) classes: u32,
    /// How the samples are moved, if they are images that are.
    pub(super) shift: Option<Shift>,
}

impl Served {
    /// Begins to fetch these batches of samples.
    pub(super) fn start(source: Source, batches: Vec<Vec<u32>>) -> Self {
        let (sender, received) = mpsc::channel(AHEAD);
        let left = batches.len() as u64;
        let fetcher = tokio::spawn(async move {
            for batch in batches {
                let fetched = source.fetch(&batch).await;
                let is_lost = fetched.is_err();
                if sender.send(fetched).await.is_err() || is_lost {
                    return;
                }
            }
        });
        Self { batches: received, left, fetcher }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Batch>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        let ended = || ComputeError("fetching the samples of a lease ended early".to_owned());
        let batch = self.batches.recv().await.ok_or_else(ended)??;
        self.left -= 1;
        Ok(Some(batch))
    }

    /// Batches that are yet to come.
    pub(super) fn left(&self) -> u64 {
        self.left
    }
}

impl Source {
    async fn fetch(&self, numbers: &[u32]) -> Result<Batch, Error> {
        let (mut features, mut labels) = (Vec::new(), Vec::new());
        for part in numbers.chunks(SAMPLES_PER_READ_MAX) {
            let request = v1::ReadSamplesRequest { job: self.job.clone(), samples: part.to_vec() };
            let attempt = |channel| self.read(channel, request.clone());
            let answer = self.link.call(self.patience, attempt, |_| ()).await;
            let (more, their_labels) = answer.map_err(|status| Error::Unserved {
                address: self.link.address().to_owned(),
                message: status.message().to_owned(),
            })?;
            features.extend(more);
            labels.extend(their_labels);
        }
        if let Some(shift) = &self.shift {
            let numbers: Vec<u64> = numbers.iter().map(|&number| u64::from(number)).collect();
            shift.apply(&numbers, &mut features);
        }
        Ok(Batch::Values { features, labels })
    }

    async fn read(
        &self,
        channel: Channel,
        request: v1::ReadSamplesRequest,
    ) -> Result<(Vec<f32>, Vec<u32>), Status> {
        let samples = request.samples.len();
        let features_wanted = samples.saturating_mul(self.inputs);
        let mut client = SamplesClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let mut parts = client.read(request).await?.into_inner();
        let (mut features, mut labels) = (Vec::new(), Vec::new());
        while let Some(part) = parts.message().await? {
            let values = part.features.chunks_exact(FEATURE_BYTES);
            if !values.remainder().is_empty() {
                return Err(Status::data_loss("a part of the samples ends within a feature"));
            }
            features.extend(values.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])));
            labels.extend(part.labels);
            if features.len() > features_wanted || labels.len() > samples {
                return Err(Status::data_loss("more samples came than were asked for"));
            }
        }
        if features.len() < features_wanted || labels.len() < samples {
            // A stream that was cut short: once more.
            return Err(Status::unavailable("fewer samples came than were asked for"));
        }
        match labels.iter().find(|label| **label >= self.classes) {
            Some(label) => {
                let classes = self.classes;
                Err(Status::data_loss(format!("label {label} came, the job has {classes} classes")))
            }
            None => Ok((features, labels)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::share;
    use super::super::workload::Share;
    use super::*;
    use ps_data::Draw;
    use ps_data::SampleSet;
    use ps_runtime::clock::SystemClock;
    use ps_runtime::transport::{self, Connector};
    use std::time::Duration;

    /// Sample n is an image of 2 x 2 pixels that are all n.
    struct Images;

    impl SampleSet for Images {
        fn count(&self) -> u64 {
            100
        }

        fn shape(&self) -> &[usize] {
            &[2, 2]
        }

        fn gather(&self, numbers: &[u64]) -> Result<(Vec<f32>, Vec<u32>), String> {
            let features = numbers.iter().flat_map(|number| [*number as f32; 4]);
            Ok((features.collect(), numbers.iter().map(|number| (number % 3) as u32).collect()))
        }
    }

    #[tokio::test]
    async fn samples_that_are_served_are_moved_as_own_ones_are() {
        let (incoming, address) = transport::listen("127.0.0.1:0").await.unwrap();
        let serving = share::serve("ours", Share { incoming, samples: Arc::new(Images) });
        let connector = Connector::tcp();
        let link = Link::new(&connector, &address.to_string(), &SystemClock::start(), 1).unwrap();
        let whole = Duration::from_secs(20);
        let shift = Shift::new(1, &[2, 2], Draw { seed: 1, pass: 2, source: 0 }).unwrap();
        let source = Source {
            job: "ours".into(),
            link: Arc::new(link),
            patience: Patience { attempt: whole, total: whole, waits: false },
            inputs: 4,
            classes: 3,
            shift: Some(shift),
        };
        let orders = vec![vec![7, 3, 99], vec![1]];
        let compared = async {
            let mut served = Served::start(source, orders.clone());
            for numbers in orders {
                let numbers: Vec<u64> = numbers.into_iter().map(u64::from).collect();
                let (mut features, labels) = Images.gather(&numbers).unwrap();
                shift.apply(&numbers, &mut features);
                let expected = Some(Batch::Values { features, labels });
                assert_eq!(served.next().await.unwrap(), expected);
            }
        };
        tokio::select! {
            error = serving => panic!("{error}"),
            () = compared => (),
        }
    }
}
