//! Vector kernels against the scalar reference, bit for bit.

use proptest::prelude::*;

use super::super::kernel::{self, Rule};
use super::super::{NAMES, Optimizer, Step};
use super::scalar;

fn any_optimizer() -> impl Strategy<Value = Optimizer> {
    let decay = prop_oneof![Just(0.0_f32), 0.0_f32..0.5];
    (0..NAMES.len(), decay)
        .prop_map(|(index, decay)| Optimizer::parse(NAMES[index], None, Some(decay)).unwrap())
}

/// Finite values of every magnitude, denormals and near-denormals above all.
fn finite() -> impl Strategy<Value = f32> {
    let scaled = |low, high| {
        (low..high, -1.0_f32..1.0)
            .prop_map(|(power, unit): (i32, f32)| (f64::from(unit) * 2.0_f64.powi(power)) as f32)
    };
    prop_oneof![
        Just(0.0_f32),
        scaled(-10, 10),
        scaled(-149, -90),
        scaled(-70, -40),
        scaled(-90, 60)
    ]
}

fn anything() -> impl Strategy<Value = f32> {
    prop_oneof![6 => finite(), 2 => any::<u32>().prop_map(f32::from_bits), 1 => Just(f32::NAN),
        1 => Just(f32::INFINITY), 1 => Just(f32::MAX)]
}

fn rate() -> impl Strategy<Value = f32> {
    prop_oneof![Just(0.1_f32), Just(0.0), Just(1e-40), Just(1e-30), Just(1e-12), 0.0_f32..10.0]
}

/// Bytes of the values after `offset` bytes of padding, so that they lie unaligned.
fn unaligned(values: impl Iterator<Item = f32>, offset: usize) -> Vec<u8> {
    let mut bytes = vec![0xa5; offset];
    bytes.extend(values.flat_map(f32::to_le_bytes));
    bytes
}

fn same(left: f32, right: f32) -> bool {
    left.to_bits() == right.to_bits() || (left.is_nan() && right.is_nan())
}

/// One element's weight, two slots and gradient.
type Row = ((f32, [f32; 2]), f32);

fn rows(value: impl Strategy<Value = f32> + 'static) -> impl Strategy<Value = Vec<Row>> {
    let value = value.boxed();
    let slots = (value.clone(), value.clone()).prop_map(|(first, second)| [first, second.abs()]);
    prop::collection::vec(((value.clone(), slots), value), 0..75)
}

/// Slots as the optimizer keeps them; roots are taken only of what can be a sum of squares.
fn state(optimizer: &Optimizer, rows: &[Row]) -> (Vec<f32>, Vec<Vec<f32>>) {
    let squares_first = matches!(optimizer.name(), "adagrad" | "rmsprop");
    let first = |slot: f32| if squares_first { slot.abs() } else { slot };
    let weights = rows.iter().map(|row| row.0.0).collect();
    let slots = [
        rows.iter().map(|row| first(row.0.1[0])).collect(),
        rows.iter().map(|row| row.0.1[1]).collect(),
    ];
    (weights, slots[..optimizer.slots()].to_vec())
}

/// Takes a step in place, whatever comes of it; whether all of it is finite.
fn take(step: &Step, weights: &mut Vec<f32>, slots: &mut Vec<Vec<f32>>, gradient: &[u8]) -> bool {
    let mut after = [(); 3].map(|()| vec![7.0; weights.len()]);
    let parts = after.each_mut().map(|values| values.as_mut_slice());
    let finite = step.compute(weights, slots, 0..weights.len(), gradient, parts);
    for (values, after) in std::iter::once(weights).chain(slots).zip(after) {
        *values = after;
    }
    finite
}

/// What the crate's baseline instructions make of a rule, without dispatch.
fn baseline<R: Rule<1>>(rule: R, weights: &mut [f32], slot: &mut [f32], gradient: &[f32]) {
    for ((weight, slot), &gradient) in weights.iter_mut().zip(slot).zip(gradient) {
        (*weight, [*slot]) = rule.step(*weight, [*slot], gradient);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn kernels_match_the_scalar_reference(
        optimizer in any_optimizer(),
        rows in rows(finite()),
        offset in 0_usize..4,
        rate in rate(),
        count in 1_u64..3,
    ) {
        let (mut weights, mut slots) = state(&optimizer, &rows);
        let (old_weights, old_slots) = (weights.clone(), slots.clone());
        let gradient = unaligned(rows.iter().map(|row| row.1), offset);
        let step = optimizer.step(rate, count);
        take(&step, &mut weights, &mut slots, &gradient[offset..]);
        for (index, &(_, gradient)) in rows.iter().enumerate() {
            let slot = |number: usize| old_slots.get(number).map_or(0.0, |slot| slot[index]);
            let before = (old_weights[index], [slot(0), slot(1)]);
            let (weight, expected) = scalar::step(&optimizer, rate, count, before, gradient);
            prop_assert!(same(weights[index], weight), "{} and {weight}", weights[index]);
            for (slot, expected) in slots.iter().zip(expected) {
                prop_assert!(same(slot[index], expected), "{} and {expected}", slot[index]);
                prop_assert!(!slot[index].is_subnormal());
            }
        }
    }

    #[test]
    fn dispatch_changes_no_bit(rows in rows(anything()), offset in 0_usize..4, rate in rate()) {
        let gradient: Vec<f32> = rows.iter().map(|row| row.1).collect();
        let bytes = unaligned(gradient.iter().copied(), offset);
        for name in ["momentum", "nesterov", "adagrad", "rmsprop"] {
            let optimizer = Optimizer::parse(name, None, Some(0.1)).unwrap();
            let (mut weights, mut slots) = state(&optimizer, &rows);
            let (mut plain, mut plain_slots) = (weights.clone(), slots.clone());
            let step = optimizer.step(rate, 1);
            let finite = take(&step, &mut weights, &mut slots, &bytes[offset..]);
            let mut all = weights.iter().chain(slots.iter().flatten());
            prop_assert_eq!(finite, all.all(|value| value.is_finite()));
            prop_assert!(!finite || gradient.iter().all(|value| value.is_finite()));
            match step {
                Step::Momentum(rule) => baseline(rule, &mut plain, &mut plain_slots[0], &gradient),
                Step::Nesterov(rule) => baseline(rule, &mut plain, &mut plain_slots[0], &gradient),
                Step::Adagrad(rule) => baseline(rule, &mut plain, &mut plain_slots[0], &gradient),
                Step::RmsProp(rule) => baseline(rule, &mut plain, &mut plain_slots[0], &gradient),
                Step::Sgd(_) | Step::Adam(_) => unreachable!("keeps one slot"),
            }
            prop_assert!(weights.iter().zip(&plain).all(|(left, right)| same(*left, *right)));
            let slots = slots[0].iter().zip(&plain_slots[0]);
            prop_assert!(slots.into_iter().all(|(left, right)| same(*left, *right)));
        }
    }

    #[test]
    fn a_value_that_is_not_finite_is_found(values in prop::collection::vec(anything(), 0..75)) {
        let bytes = unaligned(values.iter().copied(), 1);
        let expected = values.iter().all(|value| value.is_finite());
        prop_assert_eq!(kernel::all_finite(&bytes[1..]), expected);
    }
}

#[test]
fn denormal_gradients_leave_no_denormal_state() {
    for name in NAMES {
        let optimizer = Optimizer::parse(name, None, Some(0.1)).unwrap();
        let mut weights = vec![f32::from_bits(3); 33];
        let mut slots = vec![vec![f32::from_bits(5); 33]; optimizer.slots()];
        let gradient = unaligned((0..33).map(|index| f32::from_bits(1 << (index % 23))), 0);
        for count in 1..50 {
            take(&optimizer.step(0.01, count), &mut weights, &mut slots, &gradient);
            assert!(weights.iter().chain(slots.iter().flatten()).all(|value| *value == 0.0));
        }
    }
}

#[test]
fn a_fading_gradient_never_becomes_denormal() {
    for name in NAMES {
        let optimizer = Optimizer::parse(name, None, Some(0.1)).unwrap();
        let mut weights = vec![1.0; 17];
        let mut slots = vec![vec![0.0; 17]; optimizer.slots()];
        for count in 1..3_000_u64 {
            let size = 1e3 * 0.9_f32.powi(count as i32);
            let gradient = unaligned((0..17).map(|index| size * (index - 8) as f32), 0);
            take(&optimizer.step(0.01, count), &mut weights, &mut slots, &gradient);
            let mut values = weights.iter().chain(slots.iter().flatten());
            assert!(values.all(|value| value.is_finite() && !value.is_subnormal()), "{name}");
        }
    }
}
