//! Records that are right, wrong and hostile.

use super::*;
use crate::recordio::record_message::{Bytes, Float32Tensor, Float64Tensor, Int32Tensor, Value};
use proptest::prelude::*;

fn entry(tensor: Tensor) -> Vec<Entry> {
    vec![Entry { key: ENTRY.to_owned(), value: Some(Value { tensor: Some(tensor) }) }]
}

fn float32(values: &[f32], keys: &[u64], shape: &[u64]) -> Tensor {
    let (values, keys, shape) = (values.to_vec(), keys.to_vec(), shape.to_vec());
    Tensor::Float32(Float32Tensor { values, keys, shape })
}

fn class_of(label: &Label) -> u32 {
    match label {
        Label::Class(class) => *class,
        other => panic!("{other:?}"),
    }
}

fn read(features: Tensor, label: Tensor) -> Result<(Vec<f32>, Vec<usize>, u32), Problem> {
    let record = Record { features: entry(features), label: entry(label) };
    let mut inputs = Vec::new();
    let (shape, class) = decode(&record.encode_to_vec(), TaskChoice::Auto, &mut inputs)?;
    Ok((inputs, shape, class_of(&class)))
}

#[track_caller]
fn assert_says<T: std::fmt::Debug>(result: Result<T, Problem>, expected: &str) {
    let problem = result.unwrap_err();
    assert!(problem.contains(expected), "`{problem}` does not contain `{expected}`");
}

#[test]
fn labels_are_what_the_task_says() {
    let read = |task, label: &[f32]| {
        let features = entry(float32(&[1.0], &[], &[]));
        let record = Record { features, label: entry(float32(label, &[], &[])) };
        decode(&record.encode_to_vec(), task, &mut Vec::new()).map(|(_, label)| label)
    };
    assert_eq!(read(TaskChoice::Regression, &[2.5]), Ok(Label::Number(2.5)));
    assert_eq!(read(TaskChoice::Regression, &[2.5, -1.0]), Ok(Label::Numbers(vec![2.5, -1.0])));
    assert_eq!(read(TaskChoice::MultiLabel, &[0.0, 1.0]), Ok(Label::Numbers(vec![0.0, 1.0])));
    assert_says(read(TaskChoice::MultiLabel, &[0.0, 2.0]), "expected 0 or 1");
    assert_says(read(TaskChoice::Auto, &[2.5]), "--task regression");
    assert_says(read(TaskChoice::Auto, &[1.0, 2.0]), "--task regression or multi-label");
}

#[test]
fn every_type_of_number_is_converted() {
    let label = || float32(&[2.0], &[], &[]);
    let expected = Ok((vec![1.0, -2.0], vec![2], 2));
    assert_eq!(read(float32(&[1.0, -2.0], &[], &[]), label()), expected);
    let doubles = Float64Tensor { values: vec![1.0, -2.0], ..Default::default() };
    assert_eq!(read(Tensor::Float64(doubles), label()), expected);
    let whole = Int32Tensor { values: vec![1, -2], ..Default::default() };
    let label = Int32Tensor { values: vec![2], ..Default::default() };
    assert_eq!(read(Tensor::Int32(whole), Tensor::Int32(label)), expected);
}

#[test]
fn sparse_values_go_where_their_keys_say() {
    let label = || float32(&[0.0], &[], &[]);
    let (inputs, shape, _) = read(float32(&[5.0, 7.0], &[3, 0], &[2, 2]), label()).unwrap();
    assert_eq!((inputs, shape), (vec![7.0, 0.0, 0.0, 5.0], vec![2, 2]));
    let (inputs, ..) = read(float32(&[], &[], &[3]), label()).unwrap();
    assert_eq!(inputs, [0.0; 3], "a sample of zeros alone");
    assert_says(read(float32(&[5.0], &[4], &[2, 2]), label()), "key 4 of a sparse feature");
    assert_says(read(float32(&[5.0], &[0, 1], &[4]), label()), "1 sparse values with 2 keys");
    assert_says(read(float32(&[5.0, 6.0], &[1, 1], &[4]), label()), "key 1 occurs twice");
    assert_says(read(float32(&[5.0], &[1], &[]), label()), "without a shape");
}

#[test]
fn a_dense_shape_must_fit() {
    let label = || float32(&[0.0], &[], &[]);
    let (_, shape, _) = read(float32(&[1.0; 6], &[], &[2, 3]), label()).unwrap();
    assert_eq!(shape, [2, 3]);
    assert_says(read(float32(&[1.0; 6], &[], &[2, 2]), label()), "6 features, expected 4");
    assert_says(read(float32(&[f32::NAN], &[], &[]), label()), "a feature of NaN");
    assert_says(read(Tensor::Bytes(Bytes {}), label()), "features of bytes");
}

#[test]
fn labels_are_class_numbers() {
    let with = |label| read(float32(&[1.0], &[], &[]), label);
    assert_says(with(float32(&[-1.0], &[], &[])), "label -1, expected a class, a whole number");
    assert_says(with(float32(&[0.5], &[], &[])), "label 0.5");
    assert_says(with(float32(&[f32::NAN], &[], &[])), "label NaN");
    assert_says(with(float32(&[1.0, 2.0], &[], &[])), "a label of 2 values");
    assert_says(with(Tensor::Bytes(Bytes {})), "a label of bytes");
    let none = Record { features: entry(float32(&[1.0], &[], &[])), label: vec![] };
    assert_says(decode(&none.encode_to_vec(), TaskChoice::Auto, &mut Vec::new()), "no label");
}

#[test]
fn claims_cost_nothing() {
    let label = || float32(&[0.0], &[], &[]);
    for shape in [&[u64::MAX][..], &[1 << 40], &[1 << 32, 1 << 32], &[0], &[1; 9]] {
        let result = read(float32(&[1.0], &[0], shape), label());
        assert_says(result, "shape");
    }
    let many = Record { features: vec![Entry::default(); 65], label: vec![] };
    assert_says(decode(&many.encode_to_vec(), TaskChoice::Auto, &mut Vec::new()), "65 fields");
    let two = Record { features: vec![Entry::default(); 2], label: entry(label()) };
    assert_says(
        decode(&two.encode_to_vec(), TaskChoice::Auto, &mut Vec::new()),
        "2 entries of features",
    );
    assert_says(
        decode(b"1,2,3\n4,5,6\n", TaskChoice::Auto, &mut Vec::new()),
        "not a protobuf record",
    );
}

proptest! {
    #[test]
    fn any_bytes_end_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut inputs = Vec::new();
        if decode(&bytes, TaskChoice::Auto, &mut inputs).is_err() {
            prop_assert!(inputs.len() <= INPUTS_MAX);
        }
    }

    #[test]
    fn a_changed_byte_ends_without_a_panic(
        place in 0_usize..60,
        value in any::<u8>(),
        keys in prop::collection::vec(0_u64..20, 0..4),
    ) {
        let values = vec![1.0; keys.len()];
        let record = Record {
            features: entry(float32(&values, &keys, &[20])),
            label: entry(float32(&[1.0], &[], &[])),
        };
        let mut bytes = record.encode_to_vec();
        let place = place % bytes.len();
        bytes[place] = value;
        let mut inputs = Vec::new();
        if let Ok((shape, class)) = decode(&bytes, TaskChoice::Auto, &mut inputs) {
            prop_assert_eq!(shape.iter().product::<usize>(), inputs.len());
            prop_assert!((class_of(&class) as usize) < crate::limits::CLASSES_MAX);
        }
    }
}
