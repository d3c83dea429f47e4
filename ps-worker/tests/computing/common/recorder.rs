//! A handover that is written down.

#![allow(dead_code)] // Each test program uses a part of it.

use ps_core::coverage::Coverage;
use ps_nn::{GradientSink, StepStart};
use std::sync::{Arc, Mutex};

/// Everything that was handed over, in order.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<Vec<Entry>>>);

#[derive(Clone, Debug)]
pub(crate) enum Entry {
    StepStart(StepStart),
    Finished(usize, Vec<f32>),
}

impl Recorder {
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn coverage(&self) -> Vec<Coverage> {
        match &self.entries()[0] {
            Entry::StepStart(begun) => begun.coverage.clone(),
            Entry::Finished(..) => panic!("something was finished before the step began"),
        }
    }

    pub(crate) fn finished(&self) -> Vec<(usize, Vec<f32>)> {
        let finished = |entry| match entry {
            Entry::StepStart(_) => None,
            Entry::Finished(tensor, values) => Some((tensor, values)),
        };
        self.entries().into_iter().filter_map(finished).collect()
    }
}

impl GradientSink for Recorder {
    fn begin(&mut self, begun: StepStart) {
        self.0.lock().unwrap().push(Entry::StepStart(begun));
    }

    fn finished(&mut self, tensor: usize, values: Vec<f32>) {
        self.0.lock().unwrap().push(Entry::Finished(tensor, values));
    }
}
