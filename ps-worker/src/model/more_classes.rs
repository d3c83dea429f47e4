//! A model that has more classes than the one that it starts from.

/// How many classes there were, and are.
#[derive(Clone, Copy, Debug)]
pub struct MoreClasses {
    /// Of the model that training starts from.
    pub before: usize,
    /// Of the model that is trained.
    pub now: usize,
}

impl MoreClasses {
    /// Whether a tensor of this shape has become one of that shape by them: a row for each class, or a column.
    pub(super) fn explain(self, before: &[usize], now: &[usize]) -> bool {
        let is_grown = |before: Option<&usize>, now: Option<&usize>| {
            before == Some(&self.before) && now == Some(&self.now)
        };
        let by_rows = || is_grown(before.first(), now.first()) && before[1..] == now[1..];
        let by_columns = || {
            is_grown(before.last(), now.last())
                && before[..before.len() - 1] == now[..now.len() - 1]
        };
        before.len() == now.len() && (by_rows() || by_columns())
    }
}

/// The values of a tensor with more rows, or with longer ones; what is new is 0.
pub(super) fn grown(values: Vec<f32>, before: &[usize], now: &[usize]) -> Vec<f32> {
    let width = |shape: &[usize]| shape.last().copied().unwrap_or(1).max(1);
    let (old, new) = (width(before), width(now));
    let mut all: Vec<f32> = match new > old {
        // Of a tensor of one dimension all are one row.
        true => values
            .chunks(old)
            .flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(0.0, new - old)))
            .collect(),
        false => values,
    };
    all.resize(now.iter().product(), 0.0);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_keeps_its_place_and_what_is_new_is_0() {
        assert_eq!(grown(vec![1.0, 2.0], &[2], &[3]), [1.0, 2.0, 0.0]);
        assert_eq!(
            grown(vec![1.0, 2.0, 3.0, 4.0], &[2, 2], &[3, 2]),
            [1.0, 2.0, 3.0, 4.0, 0.0, 0.0]
        );
        let wider = grown(vec![1.0, 2.0, 3.0, 4.0], &[2, 2], &[2, 3]);
        assert_eq!(wider, [1.0, 2.0, 0.0, 3.0, 4.0, 0.0]);
        assert_eq!(grown(vec![7.0], &[], &[]), [7.0]);
    }

    #[test]
    fn only_the_number_of_classes_explains_another_shape() {
        let more = MoreClasses { before: 2, now: 3 };
        for (before, now) in [(&[2][..], &[3][..]), (&[2, 8], &[3, 8]), (&[300, 2], &[300, 3])] {
            assert!(more.explain(before, now), "{before:?}");
        }
        for (before, now) in [(&[2, 8][..], &[3, 9][..]), (&[4], &[5]), (&[2], &[3, 1]), (&[], &[])]
        {
            assert!(!more.explain(before, now), "{before:?}");
        }
    }
}
