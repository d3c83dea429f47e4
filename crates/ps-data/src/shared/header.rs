//! What is where in shared memory: a description, then the values of the sets, each part where any value may lie.

use std::ops::Range;
use std::sync::Arc;

use memmap2::Mmap;
use ps_core::Task;
use ps_core::schema::{IdColumn, Schema};
use serde::{Deserialize, Serialize};

use crate::{Dataset, Features, Labels, Samples, Values};

/// Parts begin at multiples of this many bytes: the pages of no machine are smaller, and no value is larger.
const ALIGN: usize = 64;

/// Everything of a data set but its values.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    train: Set,
    test: Set,
    validation: Set,
    ids: Vec<IdColumn>,
    task: Task,
    outputs: usize,
    schema: Option<Schema>,
    schema_digest: Option<u64>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Set {
    shape: Vec<usize>,
    features: (Kind, Range<usize>),
    ids: Range<usize>,
    /// How many numbers a sample has as its label; none where it has a class.
    label_numbers: Option<usize>,
    labels: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    Bytes,
    Text,
    Floats,
}

/// Where the next part goes.
pub(super) fn aligned(at: usize) -> usize {
    at.next_multiple_of(ALIGN)
}

/// The bytes of the parts with their places, which are counted from the end of the header.
#[derive(Default)]
pub(super) struct Parts<'a> {
    pub(super) parts: Vec<(usize, &'a [u8])>,
    end: usize,
}

impl<'a> Parts<'a> {
    fn add(&mut self, bytes: &'a [u8]) -> Range<usize> {
        let start = aligned(self.end);
        self.end = start + bytes.len();
        self.parts.push((start, bytes));
        start..self.end
    }

    fn add_set(&mut self, samples: &'a Samples) -> Set {
        let features = match samples.features() {
            Features::Bytes(values) => (Kind::Bytes, self.add(values)),
            Features::Text(values) => (Kind::Text, self.add(values)),
            Features::Floats(values) => (Kind::Floats, self.add(bytemuck::cast_slice(values))),
        };
        let ids = self.add(bytemuck::cast_slice(samples.ids()));
        let (label_numbers, labels) = match samples.labels() {
            Labels::Classes(classes) => (None, self.add(bytemuck::cast_slice(classes))),
            Labels::Numbers { each, values } => {
                (Some(*each), self.add(bytemuck::cast_slice(values)))
            }
        };
        Set { shape: samples.shape().to_vec(), features, ids, label_numbers, labels }
    }

    /// All of a data set.
    pub(super) fn of(data: &'a Dataset) -> (Header, Self) {
        let mut parts = Self::default();
        let header = Header {
            train: parts.add_set(&data.train),
            test: parts.add_set(&data.test),
            validation: parts.add_set(&data.validation),
            ids: data.ids.clone(),
            task: data.task,
            outputs: data.outputs,
            schema: data.schema.as_deref().cloned(),
            schema_digest: data.schema_digest,
        };
        (header, parts)
    }
}

impl Header {
    /// The data set, of which the values stay where they are; `None` where something is not as described.
    pub(super) fn dataset(self, memory: &Arc<Mmap>, first_part: usize) -> Option<Dataset> {
        let set = |set: Set| set.samples(memory, first_part);
        Some(Dataset {
            train: set(self.train)?,
            test: set(self.test)?,
            validation: set(self.validation)?,
            ids: self.ids,
            task: self.task,
            outputs: self.outputs,
            schema: self.schema.map(Arc::new),
            schema_digest: self.schema_digest,
        })
    }
}

impl Set {
    fn samples(self, memory: &Arc<Mmap>, first_part: usize) -> Option<Samples> {
        let at = |part: Range<usize>| -> Option<Range<usize>> {
            Some(part.start.checked_add(first_part)?..part.end.checked_add(first_part)?)
        };
        let (kind, features) = self.features;
        let features = at(features)?;
        let features = match kind {
            Kind::Bytes => Features::Bytes(Values::shared(memory, features)?),
            Kind::Text => Features::Text(Values::shared(memory, features)?),
            Kind::Floats => Features::Floats(Values::shared(memory, features)?),
        };
        let labels = at(self.labels)?;
        let labels = match self.label_numbers {
            None => Labels::Classes(Values::<u32>::shared(memory, labels)?.to_vec()),
            Some(each) => {
                Labels::Numbers { each, values: Values::<f32>::shared(memory, labels)?.to_vec() }
            }
        };
        let ids = Values::shared(memory, at(self.ids)?)?;
        Samples::new(features, self.shape, labels)?.with_ids(ids)
    }
}
