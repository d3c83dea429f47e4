//! The model as the servers see it: named tensors laid end to end in one flat vector of `f32`.

use serde::{Deserialize, Serialize};

/// What a tensor's pushes are: gradients for the optimizer, or values that replace the old ones.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum TensorKind {
    /// Changed by the optimizer.
    #[default]
    Trainable,
    /// Running statistics: the last writer wins, the optimizer never sees them.
    State,
}

/// One named tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorSpec {
    /// Unique within the model; names, never positions, identify tensors.
    pub name: String,
    /// Dimensions, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// How pushes to it are applied.
    pub kind: TensorKind,
}

impl TensorSpec {
    /// A trainable tensor.
    pub fn trainable(name: impl Into<String>, shape: impl Into<Vec<usize>>) -> Self {
        Self { name: name.into(), shape: shape.into(), kind: TensorKind::Trainable }
    }

    /// Number of `f32` elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Why a list of tensors is not a model.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// Two tensors share a name.
    #[error("model layout: tensor `{0}` is named twice; names identify tensors, give each its own")]
    DuplicateName(String),
    /// The model has no element to train.
    #[error("model layout: no elements; a model needs at least one variable with one element")]
    Empty,
    /// Larger than the address space allows.
    #[error("model layout: more elements than this machine can address")]
    TooLarge,
}

/// The tensors of a model in their one order: trainable ones first, by name within a kind.
///
/// Every process that knows the same names and shapes derives the same flat vector, whatever order
/// its framework lists variables in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    tensors: Vec<TensorSpec>,
    /// `offsets[i]..offsets[i + 1]` are tensor i's elements; one longer than `tensors`.
    offsets: Vec<usize>,
}

impl Layout {
    /// Orders the tensors and lays them end to end.
    ///
    /// # Errors
    /// A name that occurs twice, no element at all, or more elements than `usize` holds.
    pub fn new(mut tensors: Vec<TensorSpec>) -> Result<Self, Error> {
        tensors.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        let mut names: Vec<&str> = tensors.iter().map(|t| t.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::DuplicateName(pair[0].to_owned()));
        }
        let mut offsets = Vec::with_capacity(tensors.len() + 1);
        let mut end = 0_usize;
        offsets.push(end);
        for tensor in &tensors {
            let elements = tensor
                .shape
                .iter()
                .try_fold(1_usize, |product, &dim| product.checked_mul(dim))
                .ok_or(Error::TooLarge)?;
            end = end.checked_add(elements).ok_or(Error::TooLarge)?;
            offsets.push(end);
        }
        if end == 0 {
            return Err(Error::Empty);
        }
        Ok(Self { tensors, offsets })
    }

    /// The tensors in layout order.
    pub fn tensors(&self) -> &[TensorSpec] {
        &self.tensors
    }

    /// Elements of the whole model.
    pub fn elements(&self) -> usize {
        self.offsets.last().copied().unwrap_or(0)
    }

    /// Where the tensor at this position lies in the flat vector, in elements.
    pub fn range(&self, position: usize) -> std::ops::Range<usize> {
        self.offsets[position]..self.offsets[position + 1]
    }

    /// Positions of the tensors that have elements in this range of the flat vector.
    pub fn tensors_in(&self, range: &std::ops::Range<usize>) -> std::ops::Range<usize> {
        if range.is_empty() {
            return 0..0;
        }
        // The last tensor that begins at or before the first element, and so on.
        let first = self.offsets.partition_point(|offset| *offset <= range.start) - 1;
        let end = self.offsets.partition_point(|offset| *offset < range.end);
        first..end.min(self.tensors.len())
    }

    /// The position of a tensor by name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.tensors.iter().position(|tensor| tensor.name == name)
    }

    /// First element of the state tensors, which follow the trainable ones.
    pub fn state_start(&self) -> usize {
        let first = self.tensors.iter().position(|tensor| tensor.kind == TensorKind::State);
        first.map_or(self.elements(), |position| self.offsets[position])
    }

    /// The first difference between two layouts in words, `None` when they are the same.
    pub fn difference(&self, held: &Layout) -> Option<String> {
        for tensor in &self.tensors {
            let Some(position) = held.position(&tensor.name) else {
                return Some(format!(
                    "tensor `{}` is not in the model the servers hold",
                    tensor.name
                ));
            };
            let other = &held.tensors[position];
            if other != tensor {
                return Some(format!(
                    "tensor `{}` is {:?} {:?} here and {:?} {:?} on the servers",
                    tensor.name, tensor.kind, tensor.shape, other.kind, other.shape
                ));
            }
        }
        held.tensors
            .iter()
            .find(|tensor| self.position(&tensor.name).is_none())
            .map(|tensor| format!("tensor `{}` is on the servers and not here", tensor.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(specs: &[(&str, &[usize])]) -> Layout {
        Layout::new(specs.iter().map(|(n, s)| TensorSpec::trainable(*n, *s)).collect()).unwrap()
    }

    #[test]
    fn order_does_not_depend_on_the_order_given() {
        let one = layout(&[("b", &[2]), ("a", &[3, 4]), ("c", &[])]);
        let two = layout(&[("c", &[]), ("b", &[2]), ("a", &[3, 4])]);
        assert_eq!(one, two);
        assert_eq!(one.range(1), 12..14);
        assert_eq!(one.elements(), 15);
    }

    #[test]
    fn the_tensors_of_a_range_are_found() {
        let layout = layout(&[("a", &[3]), ("b", &[0]), ("c", &[2]), ("d", &[4])]);
        assert_eq!(layout.tensors_in(&(0..3)), 0..1);
        assert_eq!(layout.tensors_in(&(2..4)), 0..3);
        assert_eq!(layout.tensors_in(&(3..9)), 2..4);
        assert_eq!(layout.tensors_in(&(5..6)), 3..4);
        assert_eq!(layout.tensors_in(&(4..4)), 0..0);
    }

    #[test]
    fn state_follows_trainable() {
        let state = TensorSpec { name: "a.mean".into(), shape: vec![5], kind: TensorKind::State };
        let layout = Layout::new(vec![state, TensorSpec::trainable("b", [7])]).unwrap();
        assert_eq!(layout.state_start(), 7);
        assert_eq!(layout.tensors()[1].name, "a.mean");
    }

    #[test]
    fn a_difference_names_the_tensor() {
        let here = layout(&[("a", &[3]), ("b", &[2])]);
        let held = layout(&[("a", &[3]), ("b", &[4])]);
        assert!(here.difference(&held).unwrap().contains("`b`"));
        assert_eq!(here.difference(&here.clone()), None);
        let less = layout(&[("a", &[3])]);
        assert!(less.difference(&here).unwrap().contains("`b`"));
    }

    #[test]
    fn bad_layouts_are_refused() {
        let twice = vec![TensorSpec::trainable("a", [1]), TensorSpec::trainable("a", [2])];
        assert_eq!(Layout::new(twice), Err(Error::DuplicateName("a".into())));
        assert_eq!(Layout::new(vec![]), Err(Error::Empty));
        let huge = vec![TensorSpec::trainable("a", [usize::MAX, 2])];
        assert_eq!(Layout::new(huge), Err(Error::TooLarge));
    }
}
