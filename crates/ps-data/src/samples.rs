//! Samples in memory, and how a batch is taken from them.

use std::sync::Arc;

use ps_core::Task;
use ps_core::schema::{self, IdColumn, Scale, Schema};

use crate::{Error, Inputs, Labels, Values};

/// The features of all samples of a set, sample after sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Features {
    /// One byte for each input, as images have; scaled to 0..1 when a batch is made.
    Bytes(Values<u8>),
    /// One byte of text for each input, which a model takes as a number from 0 to 255.
    Text(Values<u8>),
    /// Inputs that a model takes as they are.
    Floats(Values<f32>),
}

impl Features {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(values) | Self::Text(values) => values.len(),
            Self::Floats(values) => values.len(),
        }
    }

    /// The features of the samples at these positions, `each` a sample.
    fn pick(&self, each: usize, positions: impl Iterator<Item = usize>) -> Self {
        match self {
            Self::Bytes(values) => Self::Bytes(pick(values, each, positions)),
            Self::Text(values) => Self::Text(pick(values, each, positions)),
            Self::Floats(values) => Self::Floats(pick(values, each, positions)),
        }
    }

    /// Takes the values from this place on away.
    fn split_off(&mut self, at: usize) -> Self {
        match self {
            Self::Bytes(values) => Self::Bytes(values.split_off(at)),
            Self::Text(values) => Self::Text(values.split_off(at)),
            Self::Floats(values) => Self::Floats(values.split_off(at)),
        }
    }
}

/// The values of the samples at these positions, `each` a sample.
fn pick<T: Copy>(all: &[T], each: usize, positions: impl Iterator<Item = usize>) -> Values<T> {
    let sample = |position| &all[position * each..(position + 1) * each];
    positions.flat_map(sample).copied().collect()
}

/// Samples with their labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Samples {
    features: Features,
    shape: Vec<usize>,
    /// Sample after sample.
    ids: Values<u32>,
    /// Of each sample.
    id_columns: usize,
    labels: Labels,
}

impl Samples {
    /// Samples of this shape each; `None` unless there are as many features as labels ask for.
    pub fn new(features: Features, shape: Vec<usize>, labels: impl Into<Labels>) -> Option<Self> {
        let labels = labels.into();
        let each = shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))?;
        let fits = labels.len().checked_mul(each)? == features.len();
        fits.then_some(Self { features, shape, ids: Vec::new().into(), id_columns: 0, labels })
    }

    /// The same samples with these ids, as many each, sample after sample; `None` unless that comes out even.
    #[must_use]
    pub fn with_ids(self, ids: Values<u32>) -> Option<Self> {
        let id_columns = ids.len().checked_div(self.len()).unwrap_or_default();
        let is_even = id_columns * self.len() == ids.len();
        is_even.then_some(Self { ids, id_columns, ..self })
    }

    /// No samples, of this shape each.
    pub fn none(shape: Vec<usize>) -> Self {
        Self {
            features: Features::Floats(Vec::new().into()),
            shape,
            ids: Vec::new().into(),
            id_columns: 0,
            labels: Labels::default(),
        }
    }

    /// Takes the last so many samples away, as a set of their own.
    pub(crate) fn split_last(&mut self, count: usize) -> Self {
        let at = self.len().saturating_sub(count);
        let features = self.features.split_off(at * self.features_per_sample());
        Self {
            features,
            shape: self.shape.clone(),
            ids: self.ids.split_off(at * self.id_columns),
            id_columns: self.id_columns,
            labels: self.labels.split_off(at),
        }
    }

    /// Of every so many samples the one of this number: with all numbers each sample once. Nearly as many for each, also
    /// of samples that are sorted by class.
    #[must_use]
    pub fn every(self, count: usize, number: usize) -> Self {
        if count <= 1 {
            return self;
        }
        self.pick(|| (number..self.len()).step_by(count))
    }

    /// The samples at these positions, which are below [`Self::len`], in this order.
    pub(crate) fn part(&self, positions: &[usize]) -> Self {
        self.pick(|| positions.iter().copied())
    }

    /// The samples at the positions that are given whenever they are asked for.
    fn pick<I: Iterator<Item = usize>>(&self, positions: impl Fn() -> I) -> Self {
        Self {
            features: self.features.pick(self.features_per_sample(), positions()),
            shape: self.shape.clone(),
            ids: pick(&self.ids, self.id_columns, positions()),
            id_columns: self.id_columns,
            labels: self.labels.pick(positions()),
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no sample at all.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Shape of the features of one sample, such as `[28, 28]`.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The features of all samples.
    pub(crate) fn features(&self) -> &Features {
        &self.features
    }

    /// The ids of all samples, sample after sample.
    pub(crate) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The label of every sample.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Features of one sample.
    pub fn features_per_sample(&self) -> usize {
        self.shape.iter().product()
    }

    /// Columns of ids, of which each sample has one.
    pub fn id_columns(&self) -> usize {
        self.id_columns
    }

    /// The inputs and labels of these samples, in this order.
    ///
    /// # Errors
    /// A number beyond the last sample.
    pub fn gather(&self, numbers: &[u64]) -> Result<(Inputs, Labels), Error> {
        let (each, id_columns) = (self.features_per_sample(), self.id_columns);
        let mut features = Vec::with_capacity(numbers.len() * each);
        let mut ids = Vec::with_capacity(numbers.len() * id_columns);
        let mut positions = Vec::with_capacity(numbers.len());
        for &number in numbers {
            let position = usize::try_from(number).ok().filter(|&position| position < self.len());
            let Some(position) = position else {
                return Err(Error::NoSuchSample { sample: number, samples: self.len() });
            };
            let range = position * each..(position + 1) * each;
            match &self.features {
                Features::Bytes(values) => {
                    features.extend(values[range].iter().map(|&byte| f32::from(byte) / 255.0));
                }
                Features::Text(values) => {
                    features.extend(values[range].iter().map(|&byte| f32::from(byte)));
                }
                Features::Floats(values) => features.extend_from_slice(&values[range]),
            }
            ids.extend_from_slice(&self.ids[position * id_columns..(position + 1) * id_columns]);
            positions.push(position);
        }
        Ok((Inputs { features, ids }, self.labels.pick(positions.into_iter())))
    }
}

/// What there is to train on and to test with.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// Samples that training sees.
    pub train: Samples,
    /// Samples that only evaluation sees; the same shape.
    pub test: Samples,
    /// Samples that evaluations during training see, where there are some; the same shape.
    pub validation: Samples,
    /// The columns of ids, of which each sample has one.
    pub ids: Vec<IdColumn>,
    /// What a model is to tell.
    pub task: Task,
    /// Outputs of a model that tells it: one for each class, number or label; 0 where nobody knows.
    pub outputs: usize,
    /// What was understood of a table; `None` for other formats.
    pub schema: Option<Arc<Schema>>,
    /// What tells that from what others understood who train on it, whatever they test with; `None` where numbers are as
    /// they are.
    pub schema_digest: Option<u64>,
}

impl Dataset {
    /// Samples of so many classes, which are no table's.
    pub fn new(train: Samples, test: Samples, classes: usize) -> Self {
        let validation = Samples::none(test.shape().to_vec());
        let task = Task::Classification;
        Self {
            train,
            test,
            validation,
            ids: Vec::new(),
            task,
            outputs: classes,
            schema: None,
            schema_digest: None,
        }
    }

    /// Of each output that is a number, what it stands for.
    pub fn label_scales(&self) -> Vec<Scale> {
        schema::label_scales(self.schema.as_deref(), self.outputs)
    }
}

#[cfg(test)]
mod tests {
    use crate::*;

    #[test]
    fn bytes_are_scaled_and_order_is_kept() {
        let features = Features::Bytes(vec![0, 51, 102, 255].into());
        let samples = Samples::new(features, vec![2], vec![7, 8]).unwrap();
        let (features, labels) = samples.gather(&[1, 0, 1]).unwrap();
        assert_eq!(features.features, [0.4, 1.0, 0.0, 0.2, 0.4, 1.0]);
        assert_eq!(labels, Labels::from(vec![8, 7, 8]));
    }

    #[test]
    fn text_is_not_scaled_and_its_end_can_be_split_off() {
        let features = Features::Text(vec![0, 51, 102, 255, 7, 8].into());
        let mut samples = Samples::new(features, vec![2], vec![102, 7, 9]).unwrap();
        assert_eq!(samples.gather(&[1]).unwrap(), (vec![102.0, 255.0].into(), vec![7].into()));
        let last = samples.split_last(1);
        assert_eq!(
            (samples.len(), last.gather(&[0]).unwrap()),
            (2, (vec![7.0, 8.0].into(), vec![9].into()))
        );
        assert!(samples.gather(&[2]).is_err());
    }

    #[test]
    fn a_sample_that_is_not_there_is_named() {
        let samples = Samples::new(Features::Floats(vec![1.0].into()), vec![1], vec![0]).unwrap();
        let error = samples.gather(&[u64::MAX]).unwrap_err().to_string();
        assert!(error.contains("sample 18446744073709551615 of 1"), "{error}");
    }

    proptest::proptest! {
        /// Several workers of a machine have each sample of its share once, whatever the numbers are.
        #[test]
        fn parts_have_each_sample_once(samples in 0..200_usize, parts in 1..9_usize) {
            let features = (0..samples * 2).map(|value| value as f32).collect();
            let labels: Vec<u32> = (0..samples as u32).collect();
            let all = Samples::new(Features::Floats(features), vec![2], labels.clone()).unwrap();
            let cut: Vec<Samples> =
                (0..parts).map(|number| all.clone().every(parts, number)).collect();
            let mut found: Vec<u32> = cut.iter().flat_map(|it| it.labels().classes().to_vec()).collect();
            found.sort_unstable();
            proptest::prop_assert_eq!(found, labels);
            for part in &cut {
                proptest::prop_assert!(part.len().abs_diff(samples / parts) <= 1);
                for (position, label) in part.labels().classes().iter().enumerate() {
                    let (features, _) = part.gather(&[position as u64]).unwrap();
                    let first = *label as f32 * 2.0;
                    proptest::prop_assert_eq!(features.features, vec![first, first + 1.0]);
                }
            }
        }
    }

    #[test]
    fn features_must_fit_the_labels() {
        assert!(Samples::new(Features::Bytes(vec![1, 2, 3].into()), vec![2], vec![0]).is_none());
        assert!(
            Samples::new(Features::Bytes(vec![].into()), vec![usize::MAX, 2], vec![]).is_none()
        );
    }
}
