//! Samples that the evaluator has, fetched batch by batch.

use super::error::Error;
use crate::compute::SampleBatch;
use ps_core::Task;
use ps_core::limits::{MESSAGE_BYTES_MAX, SAMPLES_PER_READ_MAX};
use ps_core::schema::IdColumn;
use ps_data::{Inputs, Labels, Shift};
use ps_proto::v1;
use ps_proto::v1::samples_client::SamplesClient;
use ps_runtime::link::{Link, Patience};
use std::sync::Arc;
use tonic::Status;
use tonic::transport::Channel;

/// Bytes of a feature, an id, or a label that is a number, on the wire.
const NUMBER_BYTES: usize = size_of::<f32>();

/// Fetches samples.
pub(super) struct SampleClient {
    pub(super) job: String,
    pub(super) link: Arc<Link>,
    pub(super) patience: Patience,
    /// Inputs of one sample.
    pub(super) inputs: usize,
    /// What the job knows of the ids of one sample.
    pub(super) ids: Vec<IdColumn>,
    pub(super) task: Task,
    /// Classes are below it, and other labels have so many numbers.
    pub(super) outputs: u32,
    /// How the samples are moved, if they are images that are.
    pub(super) shift: Option<Shift>,
}

impl SampleClient {
    /// A batch of these samples.
    pub(super) async fn fetch(&self, numbers: &[u64]) -> Result<SampleBatch, Error> {
        let mut inputs = Inputs::default();
        let mut labels = Labels::none(self.task, self.outputs as usize);
        for part in numbers.chunks(SAMPLES_PER_READ_MAX) {
            let request = v1::ReadSamplesRequest { job: self.job.clone(), samples: part.to_vec() };
            let attempt = |channel| self.read(channel, request.clone());
            let answer = self.link.call(self.patience, attempt, |_| ()).await;
            let (more, their_labels) =
                answer.map_err(|status| self.unserved(status.message().to_owned()))?;
            inputs.extend(&more);
            labels.extend(their_labels).map_err(|message| self.unserved(message))?;
        }
        if let Some(shift) = &self.shift {
            shift.apply(numbers, &mut inputs.features);
        }
        Ok(SampleBatch::Values { inputs, labels })
    }

    fn unserved(&self, message: String) -> Error {
        Error::Unserved { address: self.link.address().to_owned(), message }
    }

    async fn read(
        &self,
        channel: Channel,
        request: v1::ReadSamplesRequest,
    ) -> Result<(Inputs, Labels), Status> {
        let samples = request.samples.len();
        let features_wanted = samples.saturating_mul(self.inputs);
        let ids_wanted = samples.saturating_mul(self.ids.len());
        let mut client = SamplesClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        let mut parts = client.read(request).await?.into_inner();
        let Inputs { mut features, mut ids } = Inputs::default();
        let mut labels = Labels::none(self.task, self.outputs as usize);
        while let Some(part) = parts.message().await? {
            features.extend(numbers(&part.features)?.map(f32::from_le_bytes));
            ids.extend(numbers(&part.ids)?.map(u32::from_le_bytes));
            labels.extend(self.labels(part)?).map_err(Status::data_loss)?;
            if features.len() > features_wanted || ids.len() > ids_wanted || labels.len() > samples
            {
                return Err(Status::data_loss("more samples came than were asked for"));
            }
        }
        if features.len() < features_wanted || ids.len() < ids_wanted || labels.len() < samples {
            // A stream that was cut short: once more.
            return Err(Status::unavailable("fewer samples came than were asked for"));
        }
        self.check_ids(&ids)?;
        let outputs = self.outputs;
        match labels.classes().iter().find(|label| **label >= outputs) {
            Some(label) => {
                Err(Status::data_loss(format!("label {label} came, the job has {outputs} classes")))
            }
            None => Ok((Inputs { features, ids }, labels)),
        }
    }

    /// Whether each id is one that there is.
    fn check_ids(&self, ids: &[u32]) -> Result<(), Status> {
        for sample in ids.chunks_exact(self.ids.len().max(1)) {
            if let Some((id, column)) =
                sample.iter().zip(&self.ids).find(|(id, column)| **id >= column.vocabulary)
            {
                let (name, vocabulary) = (&column.name, column.vocabulary);
                return Err(Status::data_loss(format!(
                    "id {id} of `{name}` came, the job has {vocabulary} of them"
                )));
            }
        }
        Ok(())
    }

    /// The labels of a part.
    fn labels(&self, part: v1::ReadSamplesReply) -> Result<Labels, Status> {
        let each = self.outputs.max(1) as usize;
        if self.task == Task::Classification {
            return Ok(Labels::Classes(part.labels));
        }
        let values: Vec<f32> = numbers(&part.number_labels)?.map(f32::from_le_bytes).collect();
        match values.len() % each {
            0 => Ok(Labels::Numbers { each, values }),
            _ => Err(Status::data_loss("a part of the samples ends within a label")),
        }
    }
}

/// The numbers in these bytes.
fn numbers(bytes: &[u8]) -> Result<impl Iterator<Item = [u8; NUMBER_BYTES]>, Status> {
    let (values, rest) = bytes.as_chunks();
    match rest.is_empty() {
        true => Ok(values.iter().copied()),
        false => Err(Status::data_loss("a part of the samples ends within a number")),
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

    /// Sample n is an image of 2 x 2 pixels that are all n, and has the id n.
    struct Images;

    impl SampleSet for Images {
        fn count(&self) -> u64 {
            100
        }

        fn shape(&self) -> &[usize] {
            &[2, 2]
        }

        fn id_columns(&self) -> usize {
            1
        }

        fn gather(&self, numbers: &[u64]) -> Result<(Inputs, Labels), String> {
            let features = numbers.iter().flat_map(|number| [*number as f32; 4]).collect();
            let ids = numbers.iter().map(|number| *number as u32).collect();
            let classes: Vec<u32> = numbers.iter().map(|number| (number % 3) as u32).collect();
            Ok((Inputs { features, ids }, classes.into()))
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
            ids: vec![IdColumn::new("number".to_owned(), 100)],
            task: Task::Classification,
            outputs: 3,
            shift: Some(shift),
        };
        let orders = vec![vec![7, 3, 99], vec![1]];
        let compared = async {
            let mut fetched = Prefetcher::fetch(client, orders.clone().into_iter());
            for numbers in orders {
                let (mut inputs, labels) = Images.gather(&numbers).unwrap();
                shift.apply(&numbers, &mut inputs.features);
                let expected = Some(SampleBatch::Values { inputs, labels });
                assert_eq!(fetched.next().await.unwrap(), expected);
            }
        };
        tokio::select! {
            error = serving => panic!("{error}"),
            () = compared => (),
        }
    }
}
