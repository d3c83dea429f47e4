//! What samples are, or have: what a model is to tell.

use ps_core::Task;

/// What one sample is, or has.
#[derive(Clone, Debug, PartialEq)]
pub enum Label {
    /// One of some classes, by its number.
    Class(u32),
    /// A number.
    Number(f32),
    /// Several numbers, or for each of several labels 1 if the sample has it, else 0.
    Numbers(Vec<f32>),
}

impl Label {
    /// Whether it can be told by a model with so many outputs.
    ///
    /// # Errors
    /// It cannot, in words.
    pub(crate) fn check(&self, outputs: usize) -> Result<(), String> {
        match self {
            Self::Class(class) if *class as usize >= outputs => Err(format!(
                "label {class}, expected one below {outputs}, the number of classes; is --classes right?"
            )),
            Self::Numbers(numbers) if numbers.len() != outputs => {
                Err(format!("a label of {} numbers, expected {outputs} as agreed", numbers.len()))
            }
            Self::Number(_) if outputs != 1 => {
                Err(format!("a label of one number, expected {outputs} as agreed"))
            }
            Self::Class(_) | Self::Number(_) | Self::Numbers(_) => Ok(()),
        }
    }
}

/// The labels of some samples, sample after sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Labels {
    /// Classes, by their numbers.
    Classes(Vec<u32>),
    /// Numbers.
    Numbers {
        /// Of each sample, at least 1.
        each: usize,
        /// Sample after sample.
        values: Vec<f32>,
    },
}

impl Default for Labels {
    fn default() -> Self {
        Self::Classes(Vec::new())
    }
}

impl From<Vec<u32>> for Labels {
    fn from(classes: Vec<u32>) -> Self {
        Self::Classes(classes)
    }
}

impl Labels {
    /// None, for a task with so many outputs.
    pub fn none(task: Task, outputs: usize) -> Self {
        match task {
            Task::Classification => Self::default(),
            Task::Regression | Task::MultiLabel => {
                Self::Numbers { each: outputs.max(1), values: Vec::new() }
            }
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes(classes) => classes.len(),
            Self::Numbers { each, values } => values.len() / each,
        }
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The classes; none of samples that have numbers.
    pub fn classes(&self) -> &[u32] {
        match self {
            Self::Classes(classes) => classes,
            Self::Numbers { .. } => &[],
        }
    }

    /// The numbers of one sample; none of samples that have classes.
    pub fn numbers(&self, sample: usize) -> &[f32] {
        match self {
            Self::Classes(_) => &[],
            Self::Numbers { each, values } => {
                values.get(sample * each..(sample + 1) * each).unwrap_or_default()
            }
        }
    }

    /// Outputs of a model that tells them: one more than the largest class, or the numbers of a sample; 0 of no sample.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Classes(classes) => classes.iter().max().map_or(0, |&most| most as usize + 1),
            Self::Numbers { values, .. } if values.is_empty() => 0,
            Self::Numbers { each, .. } => *each,
        }
    }

    /// Takes in the label of one more sample.
    ///
    /// # Errors
    /// It is of another kind than those before, in words.
    pub fn push(&mut self, label: Label) -> Result<(), String> {
        if self.is_empty() {
            *self = match &label {
                Label::Class(_) => Self::default(),
                Label::Number(_) => Self::Numbers { each: 1, values: Vec::new() },
                Label::Numbers(numbers) => {
                    Self::Numbers { each: numbers.len().max(1), values: Vec::new() }
                }
            };
        }
        match (self, label) {
            (Self::Classes(classes), Label::Class(class)) => classes.push(class),
            (Self::Numbers { each: 1, values }, Label::Number(number)) => values.push(number),
            (Self::Numbers { each, values }, Label::Numbers(numbers)) if numbers.len() == *each => {
                values.extend(numbers);
            }
            (Self::Numbers { each, .. }, Label::Numbers(numbers)) => {
                let found = numbers.len();
                return Err(format!("a label of {found} numbers, expected {each} as before"));
            }
            _ => return Err("a label of another kind than those before".to_owned()),
        }
        Ok(())
    }

    /// Takes in the labels of more samples.
    ///
    /// # Errors
    /// They are of another kind, in words.
    pub fn extend(&mut self, more: Self) -> Result<(), String> {
        match (&mut *self, more) {
            (_, more) if more.is_empty() => (),
            (own, more) if own.is_empty() => *own = more,
            (Self::Classes(own), Self::Classes(more)) => own.extend(more),
            (Self::Numbers { each, values }, Self::Numbers { each: theirs, values: more })
                if *each == theirs =>
            {
                values.extend(more)
            }
            _ => return Err("labels of another kind than those before".to_owned()),
        }
        Ok(())
    }

    /// The label of one sample.
    ///
    /// # Panics
    /// There is no such sample.
    pub(crate) fn get(&self, sample: usize) -> Label {
        match self {
            Self::Classes(classes) => Label::Class(classes[sample]),
            Self::Numbers { each: 1, values } => Label::Number(values[sample]),
            Self::Numbers { .. } => Label::Numbers(self.numbers(sample).to_vec()),
        }
    }

    /// Puts a label of the same kind in the place of another, which it gives back.
    pub(crate) fn replace(&mut self, sample: usize, label: Label) -> Label {
        let old = self.get(sample);
        match (self, label) {
            (Self::Classes(classes), Label::Class(class)) => classes[sample] = class,
            (Self::Numbers { each: 1, values }, Label::Number(number)) => values[sample] = number,
            (Self::Numbers { each, values }, Label::Numbers(numbers)) => {
                values[sample * *each..(sample + 1) * *each].copy_from_slice(&numbers);
            }
            _ => (),
        }
        old
    }

    /// Takes one away, in whose place the last one comes.
    pub(crate) fn swap_remove(&mut self, sample: usize) -> Label {
        let last = self.get(self.len() - 1);
        let removed = self.replace(sample, last);
        match self {
            Self::Classes(classes) => _ = classes.pop(),
            Self::Numbers { each, values } => values.truncate(values.len() - *each),
        }
        removed
    }

    /// Those of the samples at these positions, in this order.
    pub(crate) fn pick(&self, positions: impl Iterator<Item = usize>) -> Self {
        match self {
            Self::Classes(classes) => Self::Classes(positions.map(|at| classes[at]).collect()),
            Self::Numbers { each, .. } => {
                let values = positions.flat_map(|at| self.numbers(at)).copied().collect();
                Self::Numbers { each: *each, values }
            }
        }
    }

    /// Takes those from this position on away.
    pub(crate) fn split_off(&mut self, at: usize) -> Self {
        match self {
            Self::Classes(classes) => Self::Classes(classes.split_off(at)),
            Self::Numbers { each, values } => {
                Self::Numbers { each: *each, values: values.split_off(at * *each) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_several_numbers_stay_together() {
        let mut labels = Labels::default();
        for first in [1.0, 3.0, 5.0] {
            labels.push(Label::Numbers(vec![first, first + 1.0])).unwrap();
        }
        assert_eq!((labels.len(), labels.outputs()), (3, 2));
        assert_eq!(labels.numbers(1), [3.0, 4.0]);
        assert_eq!(labels.pick([2, 0].into_iter()).numbers(0), [5.0, 6.0]);
        assert_eq!(labels.swap_remove(0), Label::Numbers(vec![1.0, 2.0]));
        assert_eq!(labels, Labels::Numbers { each: 2, values: vec![5.0, 6.0, 3.0, 4.0] });
        assert_eq!(labels.split_off(1).numbers(0), [3.0, 4.0]);
        assert!(labels.push(Label::Numbers(vec![1.0])).unwrap_err().contains("expected 2"));
        assert!(labels.push(Label::Class(1)).is_err());
        assert!(labels.extend(Labels::from(vec![1])).is_err());
        labels.extend(Labels::Numbers { each: 2, values: vec![7.0, 8.0] }).unwrap();
        assert_eq!(labels.numbers(1), [7.0, 8.0]);
    }
}
