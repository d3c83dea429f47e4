//! Samples that the evaluator has, fetched batch by batch.

use super::error::Error;
use crate::compute::SampleBatch;
use ps_core::limits::{MESSAGE_BYTES_MAX, SAMPLES_PER_READ_MAX};
use ps_data::Shift;
use ps_proto::v1;
use ps_proto::v1::samples_client::SamplesClient;
use ps_runtime::link::{Link, Patience};
use std::sync::Arc;
use tonic::Status;
use tonic::transport::Channel;

/// Bytes of one feature on the wire.
const FEATURE_BYTES: usize = size_of::<f32>();

/// Fetches samples.
pub(super) struct SampleClient {
    pub(super) job: String,
    pub(super) link: Arc<Link>,
    pub(super) patience: Patience,
    /// Inputs of one sample.
    pub(super) inputs: usize,
    pub(super) classes: u32,
    /// How the samples are moved, if they are images that are.
    pub(super) shift: Option<Shift>,
}

impl SampleClient {
    /// A batch of these samples.
    pub(super) async fn fetch(&self, numbers: &[u64]) -> Result<SampleBatch, Error> {
        let (mut features, mut labels) = (Vec::new(), Vec::new());
        for part in numbers.chunks(SAMPLES_PER_READ_MAX) {
            // A source has at most as many samples as 32 bits can number.
            let samples = part.iter().map(|&number| number as u32).collect();
            let request = v1::ReadSamplesRequest { job: self.job.clone(), samples };
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
            shift.apply(numbers, &mut features);
        }
        Ok(SampleBatch::Values { features, labels })
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
    use super::*;
    use crate::train::prefetcher::Prefetcher;
    use crate::train::sample_server::{self, ServedSamples};
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
        let served = ServedSamples { incoming, samples: Arc::new(Images) };
        let serving = sample_server::serve("ours", served, SystemClock::start());
        let connector = Connector::tcp();
        let link = Link::new(&connector, &address.to_string(), &SystemClock::start(), 1).unwrap();
        let whole = Duration::from_secs(20);
        let shift = Shift::new(1, &[2, 2], Draw { seed: 1, pass: 2, source: 0 }).unwrap();
        let client = SampleClient {
            job: "ours".into(),
            link: Arc::new(link),
            patience: Patience { attempt: whole, total: whole },
            inputs: 4,
            classes: 3,
            shift: Some(shift),
        };
        let orders = vec![vec![7, 3, 99], vec![1]];
        let compared = async {
            let mut fetched = Prefetcher::fetch(client, orders.clone());
            for numbers in orders {
                let (mut features, labels) = Images.gather(&numbers).unwrap();
                shift.apply(&numbers, &mut features);
                let expected = Some(SampleBatch::Values { features, labels });
                assert_eq!(fetched.next().await.unwrap(), expected);
            }
        };
        tokio::select! {
            error = serving => panic!("{error}"),
            () = compared => (),
        }
    }
}
