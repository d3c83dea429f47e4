//! Measures over a whole test set, whatever the task is.

use ps_core::Task;
use ps_core::measures::{Classified, Flagged, Measure, Regressed, to_predictions};
use ps_core::schema::Scale;
use ps_data::Labels;

/// What a model said of one sample after another.
pub(super) enum Measured {
    Classified(Classified),
    Regressed(Regressed),
    Flagged(Flagged),
}

impl Measured {
    /// Nothing yet, of so many outputs; numbers have these scales.
    pub(super) fn new(task: Task, outputs: usize, scales: &[Scale]) -> Self {
        match task {
            Task::Classification => Self::Classified(Classified::new(outputs)),
            Task::Regression => Self::Regressed(Regressed::new(scales.to_vec())),
            Task::MultiLabel => Self::Flagged(Flagged::new(outputs)),
        }
    }

    /// Takes in the sample of this number, with the model's outputs, which become what they stand for.
    pub(super) fn add(&mut self, labels: &Labels, sample: usize, outputs: &mut [f32]) {
        to_predictions(self.task(), outputs);
        match self {
            Self::Classified(all) => {
                all.add(labels.classes().get(sample).copied().unwrap_or_default(), outputs);
            }
            Self::Regressed(all) => all.add(labels.numbers(sample), outputs),
            Self::Flagged(all) => all.add(labels.numbers(sample), outputs),
        }
    }

    fn task(&self) -> Task {
        match self {
            Self::Classified(_) => Task::Classification,
            Self::Regressed(_) => Task::Regression,
            Self::Flagged(_) => Task::MultiLabel,
        }
    }

    /// All measures that make sense.
    pub(super) fn measures(&self) -> Vec<Measure> {
        match self {
            Self::Classified(all) => all.measures(),
            Self::Regressed(all) => all.measures(),
            Self::Flagged(all) => all.measures(),
        }
    }
}
