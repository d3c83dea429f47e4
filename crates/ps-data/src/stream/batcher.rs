//! From samples to the batches of one worker.

use super::batch::{BatchSender, StreamBatch};
use super::plan::StreamPlan;
use super::shuffle_buffer::ShuffleBuffer;
use crate::sample_reader::{Next, SampleReader};
use crate::{Error, Inputs, Label, Labels};

/// Makes batches of the samples of a stream.
pub(super) struct Batcher {
    plan: StreamPlan,
    batches: BatchSender,
    samples: Box<dyn SampleReader>,
    shuffle: Option<ShuffleBuffer>,
    /// The one that is being made.
    batch: StreamBatch,
    /// Number of the next record, from 0.
    record: u64,
}

/// Nobody receives batches any more.
struct ReceiverGone;

impl Batcher {
    /// Makes what the plan says of a stream whose first sample has been read.
    ///
    /// # Errors
    /// The samples that are to wait for their turn need too much memory.
    pub(super) fn new(
        plan: StreamPlan,
        batches: BatchSender,
        samples: Box<dyn SampleReader>,
    ) -> Result<Self, Error> {
        let (inputs, ids) = (plan.shape.iter().product(), plan.id_columns);
        let shuffle = plan.shuffle.map(|shuffle| ShuffleBuffer::new(&shuffle, inputs, ids));
        let shuffle = shuffle.transpose()?;
        let batch = StreamBatch::default();
        Ok(Self { plan, batches, samples, shuffle, batch, record: 0 })
    }

    /// Makes batches to the end, or until nobody wants more. The first sample is this one.
    ///
    /// # Errors
    /// Samples that are damaged, or do not fit the plan.
    pub(super) fn run(&mut self, mut sample: Inputs, label: Label) -> Result<(), Error> {
        let mut next = Next::Sample(label);
        loop {
            match next {
                Next::End => break,
                Next::Sample(label) if self.is_ours() => {
                    self.check(&label)?;
                    self.shift(&mut sample.features);
                    if self.add(&sample, label)?.is_err() {
                        return Ok(());
                    }
                }
                Next::Sample(_) | Next::Skipped => (),
            }
            self.record += 1;
            // Whoever gives up a pass does not wait until a large part of it was passed over.
            if self.batches.is_closed() {
                return Ok(());
            }
            sample.clear();
            let wanted = self.is_ours();
            next = self.samples.next(wanted, &mut sample)?;
        }
        // Whether anybody wanted the last ones does not matter.
        let _ = self.flush()?;
        Ok(())
    }

    fn is_ours(&self) -> bool {
        self.record % self.plan.workers.max(1) == self.plan.rank
    }

    /// Takes in one sample of this worker's, and gives out batches that are full.
    fn add(&mut self, sample: &Inputs, label: Label) -> Result<Result<(), ReceiverGone>, Error> {
        let added = match &mut self.shuffle {
            Some(buffer) => buffer.exchange(sample, label, &mut self.batch),
            None => self.batch.push(sample, label),
        };
        added.map_err(|problem| self.wrong(problem))?;
        Ok(self.send_full())
    }

    /// Gives out what is left at the end of the stream.
    fn flush(&mut self) -> Result<Result<(), ReceiverGone>, Error> {
        while let Some(buffer) = &mut self.shuffle {
            match buffer.draw(&mut self.batch) {
                Ok(true) if self.send_full().is_err() => return Ok(Err(ReceiverGone)),
                Ok(true) => (),
                Ok(false) => break,
                Err(problem) => return Err(self.wrong(problem)),
            }
        }
        Ok(match self.batch.labels.is_empty() {
            true => Ok(()),
            false => self.send(),
        })
    }

    fn send_full(&mut self) -> Result<(), ReceiverGone> {
        match self.batch.labels.len() >= self.plan.batch_samples.max(1) {
            true => self.send(),
            false => Ok(()),
        }
    }

    fn send(&mut self) -> Result<(), ReceiverGone> {
        let next = StreamBatch {
            inputs: Inputs {
                features: Vec::with_capacity(self.batch.inputs.features.len()),
                ids: Vec::with_capacity(self.batch.inputs.ids.len()),
            },
            labels: Labels::default(),
        };
        let full = std::mem::replace(&mut self.batch, next);
        self.batches.blocking_send(Ok(full)).map_err(|_| ReceiverGone)
    }

    /// Moves the last sample, if samples are moved.
    fn shift(&self, sample: &mut [f32]) {
        if let Some(shift) = &self.plan.shift {
            shift.apply_to_one(self.record, sample);
        }
    }

    /// Whether the last sample is what the model was built for.
    fn check(&self, label: &Label) -> Result<(), Error> {
        let (shape, plan) = (self.samples.shape(), &self.plan);
        if shape != plan.shape {
            let expected = &plan.shape;
            let problem =
                format!("a sample of the shape {shape:?}, expected {expected:?} as agreed");
            return Err(self.wrong(problem));
        }
        let checked = plan.outputs.map_or(Ok(()), |outputs| label.check(outputs));
        checked.map_err(|problem| self.wrong(problem))
    }

    fn wrong(&self, problem: String) -> Error {
        let (path, record) = self.samples.position();
        Error::Record { path: path.to_owned(), record, problem }
    }
}

#[cfg(test)]
mod tests;
