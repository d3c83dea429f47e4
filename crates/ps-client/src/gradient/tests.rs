//! Gradients whose tensors arrive one after another.

use super::*;
use ps_core::TensorSpec;
use std::ops::Range;

fn layout() -> Arc<Layout> {
    let tensors = [("a", vec![3]), ("b", vec![4, 2]), ("c", vec![2])];
    let tensors = tensors.map(|(name, shape)| TensorSpec::trainable(name, shape));
    Arc::new(Layout::new(tensors.into()).unwrap())
}

fn sent(gradient: &Gradient, chunk: Range<usize>) -> (Vec<(u32, u32)>, Vec<f32>) {
    let spans = gradient.spans(&chunk).unwrap();
    let values = gradient.covered(&chunk);
    let floats: Vec<f32> = bytemuck::cast_slice(&values).to_vec();
    assert_eq!(gradient.floats(&chunk, &mut Vec::new()), floats);
    (spans.iter().map(|span| (span.start, span.len)).collect(), floats)
}

#[test]
fn a_chunk_can_leave_when_all_that_it_covers_is_there() {
    let coverage = vec![Coverage::Whole, Coverage::Absent, Coverage::Whole];
    let gradient = Gradient::begin(layout(), coverage, 0.5);
    assert!(
        !gradient.has_arrived(&(0..6))
            && !gradient.has_arrived(&(6..13))
            && gradient.has_arrived(&(4..9))
    );
    gradient.fill(2, vec![7.0, 8.0]);
    assert!(
        !gradient.has_arrived(&(0..6)) && gradient.has_arrived(&(6..13)) && !gradient.is_complete()
    );
    assert_eq!(sent(&gradient, 6..13), (vec![(5, 2)], vec![7.0, 8.0]));
    gradient.fill(0, vec![1.0, 2.0, 3.0]);
    assert!(gradient.is_complete());
    assert_eq!(sent(&gradient, 0..13), (vec![(0, 3), (11, 2)], vec![1.0, 2.0, 3.0, 7.0, 8.0]));
    assert_eq!(gradient.spans(&(4..9)), None);
}

#[test]
fn of_a_table_the_rows_leave_that_were_looked_up() {
    let coverage = vec![Coverage::Absent, Coverage::Rows([0, 2, 3].into()), Coverage::Whole];
    let gradient = Gradient::begin(layout(), coverage, 0.5);
    gradient.fill(1, vec![1.0, 2.0, 5.0, 6.0, 7.0, 8.0]);
    gradient.fill(2, vec![9.0, 9.5]);
    let values = vec![1.0, 2.0, 5.0, 6.0, 7.0, 8.0, 9.0, 9.5];
    assert_eq!(sent(&gradient, 0..13), (vec![(3, 2), (7, 6)], values));
    // A border within a row, and one between rows that lie together.
    assert_eq!(sent(&gradient, 4..8), (vec![(0, 1), (3, 1)], vec![2.0, 5.0]));
    assert_eq!(sent(&gradient, 8..9), (vec![], vec![6.0]));
}

#[test]
fn clipping_scales_all_alike() {
    let present = vec![true, false, true];
    let mut values = vec![0.0; 13];
    (values[0], values[12]) = (3.0, 4.0);
    let gradient = Gradient::new(layout(), values, present, 0.0).clip(1.0);
    let (_, values) = sent(&gradient, 0..13);
    assert!((values[0] - 0.6).abs() < 1e-6 && (values[4] - 0.8).abs() < 1e-6);
}
