//! Top-k, positions and error feedback.

use super::*;

fn bytes_of(positions: &[u16]) -> Vec<u8> {
    positions.iter().flat_map(|position| position.to_le_bytes()).collect()
}

/// The largest magnitudes by sorting all of them.
fn sorted_top(values: &[f32], count: usize) -> Vec<u16> {
    let magnitude = |position: &u16| values[usize::from(*position)].to_bits() & 0x7fff_ffff;
    let mut order: Vec<u16> = (0..values.len()).map(|position| position as u16).collect();
    order.sort_by_key(|position| (std::cmp::Reverse(magnitude(position)), *position));
    order.truncate(count);
    order.retain(|position| magnitude(position) > 0);
    order.sort_unstable();
    if order.is_empty() { vec![0] } else { order }
}

#[test]
fn shares_are_rounded_up() {
    assert_eq!([kept(0.01, 100), kept(0.01, 101), kept(0.01, 3), kept(1.0, 7)], [1, 2, 1, 7]);
}

#[test]
fn a_whole_chunk_has_positions() {
    let mut values = vec![0.0; POSITIONS_MAX];
    (values[0], values[POSITIONS_MAX - 1]) = (1.0, -2.0);
    assert_eq!(TopK::default().select(&values, 700), [0, u16::MAX]);
    values.fill(3.0);
    assert_eq!(TopK::default().select(&values, 3), [0, 1, 2]);
    assert_eq!(TopK::default().select(&values, POSITIONS_MAX).len(), POSITIONS_MAX);
    values.fill(0.0);
    assert_eq!(TopK::default().select(&values, 700), [0]);
}

#[test]
fn hostile_parts_are_refused() {
    let values = bytes_of(&[0; 4]);
    let refused = |positions: &[u8], values: &[u8], covered| {
        let received = EncodedValues { encoding: Encoding::Bf16, values, positions };
        received.decode(&mut vec![0.0; covered]).unwrap_err()
    };
    let two = |positions: [u16; 2]| refused(&bytes_of(&positions), &values[..4], 9);
    assert_eq!(two([3, 9]), Error::OutOfRange { found: 9, covered: 9 });
    assert_eq!(two([3, 3]), Error::NotRising { found: 3, before: 3 });
    assert_eq!(two([3, 2]), Error::NotRising { found: 2, before: 3 });
    assert_eq!(refused(&[1, 0, 2], &values[..2], 9), Error::PositionBytes(3));
    let few = refused(&bytes_of(&[1, 2, 3]), &values[..4], 9).to_string();
    assert!(few.contains("4 bytes of bf16 values for 3 elements, expected 6"), "{few}");
    assert!(matches!(refused(&[], &values, 5), Error::ValueBytes { elements: 5, .. }));
    assert!(matches!(refused(&[], &values[..7], 4), Error::ValueBytes { .. }));
    assert!(matches!(refused(&bytes_of(&[0]), &values[..2], 0), Error::OutOfRange { .. }));
}

proptest! {
    #[test]
    fn the_largest_are_found_whatever_the_values_are(
        values in prop::collection::vec(
            prop_oneof![anything(), prop::sample::select(&[0.0_f32, 1.0, -1.0, 2.0][..])], 1..2000,
        ),
        share in 0.001..1.0_f64,
    ) {
        let mut top = TopK::default();
        // Working memory of an earlier chunk must not show.
        top.select(&[5.0; 999], 99);
        let count = kept(share, values.len());
        prop_assert_eq!(top.select(&values, count), sorted_top(&values, count));
    }

    #[test]
    fn parts_arrive_where_they_belong(
        values in gradient(), share in 0.001..1.0_f64, encoding in prop::sample::select(&Encoding::ALL[..]),
    ) {
        prop_assume!(!values.is_empty());
        let mut top = TopK::default();
        let positions = top.select(&values, kept(share, values.len()));
        let kept: Vec<f32> = positions.iter().map(|p| values[usize::from(*p)]).collect();
        let (sent, places) = (encoded(encoding, &kept, 0), bytes_of(positions));
        let received = EncodedValues { encoding, values: &sent, positions: &places };
        let mut dense = vec![9.0; values.len()];
        received.decode(&mut dense).unwrap();
        let mut expected = vec![0.0; values.len()];
        for (position, value) in positions.iter().zip(round_trip(encoding, &kept)) {
            expected[usize::from(*position)] = value;
        }
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&dense), bits(&expected));
    }

    /// Whatever comes, an answer: what is decoded has the right length by construction.
    #[test]
    fn any_parts_end_in_an_answer(
        values in prop::collection::vec(any::<u8>(), 0..300),
        positions in prop::collection::vec(any::<u8>(), 0..60),
        encoding in prop::sample::select(&Encoding::ALL[..]), covered in 0_usize..70_000,
    ) {
        let received = EncodedValues { encoding, values: &values, positions: &positions };
        let _ = received.decode(&mut vec![0.0; covered]);
    }

    /// What was sent and what is left are what was to be sent, push after push; nothing is lost.
    #[test]
    fn feedback_loses_nothing(
        gradients in prop::collection::vec(prop::collection::vec(-1.0_f32..1.0, 300), 1..12),
        int8: bool,
    ) {
        let encoding = if int8 { Encoding::Int8 } else { Encoding::F32 };
        let (mut top, mut room) = (TopK::default(), Vec::new());
        let mut residual = vec![0.0; 300];
        let (mut arrived, mut pushed) = (vec![0.0_f64; 300], vec![0.0_f64; 300]);
        for gradient in &gradients {
            let mut values = gradient.clone();
            add_residual(&mut values, &residual);
            let positions = top.select(&values, 30);
            let kept: Vec<f32> = positions.iter().map(|p| values[usize::from(*p)]).collect();
            let sent = encoded(encoding, &kept, 0);
            leave_residual(&mut values, positions, encoding, &sent, &mut room);
            for (position, value) in positions.iter().zip(decoded(encoding, &sent, kept.len())) {
                arrived[usize::from(*position)] += f64::from(value);
            }
            pushed.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += f64::from(*value));
            residual = values;
        }
        for ((arrived, left), pushed) in arrived.iter().zip(&residual).zip(&pushed) {
            prop_assert!((arrived + f64::from(*left) - pushed).abs() < 1e-5);
        }
    }
}

#[test]
fn what_is_not_finite_leaves_nothing_behind() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let mut values = [nan, 1.0, inf, 0.5];
    leave_residual(&mut values, &[0], Encoding::F32, &nan.to_le_bytes(), &mut Vec::new());
    assert_eq!(values, [0.0, 1.0, 0.0, 0.5]);
    let mut values = [nan, 1.0];
    let sent = encoded(Encoding::Int8, &values, 0);
    leave_residual(&mut values, &[], Encoding::Int8, &sent, &mut Vec::new());
    assert_eq!(values, [0.0, 0.0]);
}
