//! From samples to the batches of one worker.

use super::batch::{BatchSender, StreamBatch};
use super::plan::StreamPlan;
use super::shuffle_buffer::ShuffleBuffer;
use crate::Error;
use crate::sample_reader::{Next, SampleReader};

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
        let inputs = plan.shape.iter().product();
        let shuffle =
            plan.shuffle.map(|shuffle| ShuffleBuffer::new(&shuffle, inputs)).transpose()?;
        let batch = StreamBatch::default();
        Ok(Self { plan, batches, samples, shuffle, batch, record: 0 })
    }

    /// Makes batches to the end, or until nobody wants more. The first sample is this one.
    ///
    /// # Errors
    /// Samples that are damaged, or do not fit the plan.
    pub(super) fn run(&mut self, mut sample: Vec<f32>, label: u32) -> Result<(), Error> {
        let mut next = Next::Sample(label);
        while next != Next::End {
            if let Next::Sample(label) = next
                && self.is_ours()
            {
                self.check(label)?;
                self.shift(&mut sample);
                if self.add(&sample, label).is_err() {
                    return Ok(());
                }
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
        let _ = self.flush();
        Ok(())
    }

    fn is_ours(&self) -> bool {
        self.record % self.plan.workers.max(1) == self.plan.rank
    }

    /// Takes in one sample of this worker's, and gives out batches that are full.
    fn add(&mut self, sample: &[f32], label: u32) -> Result<(), ReceiverGone> {
        match &mut self.shuffle {
            Some(buffer) => buffer.exchange(sample, label, &mut self.batch),
            None => self.batch.push(sample, label),
        }
        self.send_full()
    }

    /// Gives out what is left at the end of the stream.
    fn flush(&mut self) -> Result<(), ReceiverGone> {
        while self.shuffle.as_mut().is_some_and(|buffer| buffer.draw(&mut self.batch)) {
            self.send_full()?;
        }
        match self.batch.labels.is_empty() {
            true => Ok(()),
            false => self.send(),
        }
    }

    fn send_full(&mut self) -> Result<(), ReceiverGone> {
        match self.batch.labels.len() >= self.plan.batch_samples.max(1) {
            true => self.send(),
            false => Ok(()),
        }
    }

    fn send(&mut self) -> Result<(), ReceiverGone> {
        let next = StreamBatch {
            features: Vec::with_capacity(self.batch.features.len()),
            labels: Vec::with_capacity(self.batch.labels.len()),
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
    fn check(&self, label: u32) -> Result<(), Error> {
        let (shape, plan) = (self.samples.shape(), &self.plan);
        let problem = if shape != plan.shape {
            format!("a sample of the shape {shape:?}, expected {:?} as agreed", plan.shape)
        } else if label as usize >= plan.classes {
            format!(
                "label {label}, expected one below {}, the number of classes; is --classes right?",
                plan.classes
            )
        } else {
            return Ok(());
        };
        let (path, record) = self.samples.position();
        Err(Error::Record { path: path.to_owned(), record, problem })
    }
}

#[cfg(test)]
mod tests;
