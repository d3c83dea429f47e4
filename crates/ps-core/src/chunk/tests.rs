use super::*;
use crate::span::Span;
use proptest::prelude::*;
use ps_kernels::optimizer::NAMES;

mod rules;

const LENGTH: usize = 41;

fn copy(chunk: &Chunk) -> ChunkSnapshot {
    let mut copy = ChunkSnapshot::default();
    chunk.copy_into(&mut copy);
    copy
}

fn optimizer(name: &str) -> Optimizer {
    Optimizer::parse(name, None, Some(0.1)).unwrap()
}

fn chunk(name: &str) -> Chunk {
    let weights = (0..LENGTH).map(|index| index as f32 / 7.0 - 2.0).collect();
    Chunk::new(weights, &optimizer(name)).unwrap()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// With room that no other update used.
fn apply(
    chunk: &mut Chunk,
    optimizer: &Optimizer,
    correction: Correction,
    update: &Update<'_>,
) -> Result<Outcome, Error> {
    chunk.apply(optimizer, correction, update, &mut UpdateBuffer::default())
}

/// A gradient at the chunk's own version.
fn gradient<'a>(chunk: &Chunk, spans: &'a [Span], values: &'a [u8]) -> Update<'a> {
    Update {
        spans,
        values,
        pulled_version: chunk.version(),
        learning_rate: 0.1,
        kind: TensorKind::Trainable,
        rules: &[],
    }
}

/// All of a chunk as integers, so that equality means the same bits.
fn bits(chunk: &Chunk) -> (Vec<u32>, Vec<Vec<u32>>, u64, u64) {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let slots = chunk.slots().iter().map(|slot| bits(slot)).collect();
    (bits(chunk.weights()), slots, chunk.version(), chunk.updates())
}

#[test]
fn versions_count_all_updates_and_steps_only_gradients() {
    let mut chunk = chunk("adam");
    let values = bytes(&[0.5; LENGTH]);
    let first = gradient(&chunk, &[], &values);
    let state = Update { kind: TensorKind::State, ..first };
    for (update, staleness) in [(first, 0), (state, 1), (first, 2)] {
        let outcome = apply(&mut chunk, &optimizer("adam"), Correction::Auto, &update);
        assert_eq!(outcome, Ok(Outcome::Applied { staleness }));
    }
    assert_eq!((chunk.version(), chunk.updates()), (3, 2));
}

#[test]
fn state_replaces_exactly_what_its_spans_cover() {
    let mut chunk = chunk("momentum");
    let before = copy(&chunk);
    let values = bytes(&[f32::from_bits(1), -0.0]);
    let spans = [Span::new(3, 1), Span::new(9, 1)];
    let update = Update { kind: TensorKind::State, ..gradient(&chunk, &spans, &values) };
    apply(&mut chunk, &optimizer("momentum"), Correction::Auto, &update).unwrap();
    for (index, (old, new)) in before.weights.iter().zip(chunk.weights()).enumerate() {
        let expected = match index {
            3 => f32::from_bits(1),
            9 => -0.0,
            _ => *old,
        };
        assert_eq!(new.to_bits(), expected.to_bits());
    }
    assert_eq!(chunk.slots(), before.slots);
}

#[test]
fn a_stale_push_takes_a_smaller_step_and_decays_less() {
    let values = bytes(&[1.0; LENGTH]);
    let push = |learning_rate, pulled_version, correction| {
        let parts = ChunkSnapshot { version: 4, ..copy(&chunk("momentum")) };
        let mut chunk = Chunk::from_snapshot(parts).unwrap();
        let update = Update { learning_rate, pulled_version, ..gradient(&chunk, &[], &values) };
        apply(&mut chunk, &optimizer("momentum"), correction, &update).unwrap();
        copy(&chunk)
    };
    assert_eq!(push(0.4, 0, Correction::Auto), push(0.1, 4, Correction::Auto));
    assert_eq!(push(0.4, 0, Correction::None), push(0.4, 4, Correction::Auto));
    assert_ne!(push(0.4, 0, Correction::Auto), push(0.4, 0, Correction::None));
}

#[test]
fn what_is_not_finite_is_refused_whole() {
    for name in NAMES {
        let mut chunk = chunk(name);
        let values = bytes(&[0.5; LENGTH]);
        let warm = gradient(&chunk, &[], &values);
        apply(&mut chunk, &optimizer(name), Correction::Auto, &warm).unwrap();
        let before = bits(&chunk);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = [0.5; LENGTH];
            values[LENGTH - 1] = bad;
            let values = bytes(&values);
            for kind in [TensorKind::Trainable, TensorKind::State] {
                let update = Update { kind, ..gradient(&chunk, &[], &values) };
                let outcome = apply(&mut chunk, &optimizer(name), Correction::Auto, &update);
                assert_eq!(outcome, Ok(Outcome::Refused(NonFinite::Gradient)));
                assert_eq!(bits(&chunk), before);
            }
        }
    }
}

/// A full-sized chunk swaps its memory for the room that its update was worked out in.
#[test]
fn a_full_sized_chunk_does_what_its_halves_do() {
    for name in NAMES {
        let (optimizer, mut buffer) = (optimizer(name), UpdateBuffer::default());
        let weights: Vec<f32> = (0..ELEMENTS_MAX).map(|index| index as f32 / 1e4 - 3.0).collect();
        let mut whole = Chunk::new(weights, &optimizer).unwrap();
        let mut parts = whole.clone();
        let half = ELEMENTS_MAX as u32 / 2;
        let spans = [Span::new(0, half), Span::new(half, half)];
        for last in [0.5, f32::NAN, f32::MAX, 0.25] {
            let mut values: Vec<f32> = (0..ELEMENTS_MAX).map(|index| index as f32 * 1e-6).collect();
            values[ELEMENTS_MAX - 1] = last;
            let values = bytes(&values);
            let update = Update { learning_rate: 10.0, ..gradient(&whole, &[], &values) };
            let first = whole.apply(&optimizer, Correction::Auto, &update, &mut buffer);
            let update = Update { spans: &spans, ..update };
            let second = apply(&mut parts, &optimizer, Correction::Auto, &update);
            assert_eq!(first, second);
            let refused = matches!(first, Ok(Outcome::Refused(_)));
            assert_eq!(refused, last.is_nan() || last > 1.0, "{name}, {last}");
            assert_eq!(bits(&whole), bits(&parts));
        }
    }
}

#[test]
fn what_overflows_is_refused_and_what_only_might_is_applied() {
    let sgd = optimizer("sgd");
    let mut chunk = Chunk::new(vec![-3e38, 1.0], &sgd).unwrap();
    let before = bits(&chunk);
    let over = bytes(&[1e38, 1.0]);
    let update = Update { learning_rate: 0.9, ..gradient(&chunk, &[], &over) };
    let refused = apply(&mut chunk, &optimizer("sgd"), Correction::None, &update).unwrap();
    // 0.91 * -3e38 - 0.9e38 is beyond the largest `f32`; a smaller step is not.
    assert_eq!(refused, Outcome::Refused(NonFinite::Result));
    assert_eq!(bits(&chunk), before);
    let update = Update { learning_rate: 0.1, ..update };
    let applied = apply(&mut chunk, &sgd, Correction::None, &update).unwrap();
    assert_eq!(applied, Outcome::Applied { staleness: 0 });
    assert!(chunk.weights()[0] < -3e38);
}

#[test]
fn a_step_from_large_state_values_is_checked_too() {
    let sgd = optimizer("sgd");
    let mut chunk = Chunk::new(vec![1.0], &sgd).unwrap();
    let (large, step) = (bytes(&[-3.4e38]), bytes(&[1e37]));
    let update = gradient(&chunk, &[], &large);
    let update = Update { kind: TensorKind::State, ..update };
    apply(&mut chunk, &sgd, Correction::None, &update).unwrap();
    let update = Update { learning_rate: 1.0, ..gradient(&chunk, &[], &step) };
    let no_decay = Optimizer { weight_decay: 0.0, ..sgd };
    let outcome = apply(&mut chunk, &no_decay, Correction::None, &update);
    assert_eq!(outcome, Ok(Outcome::Refused(NonFinite::Result)));
    assert_eq!(chunk.weights(), [-3.4e38]);
}

#[test]
fn a_square_that_overflows_is_refused() {
    for name in ["adagrad", "rmsprop", "adam", "adamw"] {
        let mut chunk = chunk(name);
        let before = bits(&chunk);
        let values = bytes(&[1e22; LENGTH]);
        let update = gradient(&chunk, &[], &values);
        let outcome = apply(&mut chunk, &optimizer(name), Correction::Auto, &update);
        assert_eq!(outcome, Ok(Outcome::Refused(NonFinite::Result)), "{name}");
        assert_eq!(bits(&chunk), before);
    }
}

#[test]
fn a_decay_beyond_all_numbers_is_refused() {
    let wild = Optimizer { weight_decay: 1e30, ..optimizer("sgd") };
    let mut chunk = Chunk::new(vec![0.0; 3], &wild).unwrap();
    let values = bytes(&[0.0; 3]);
    let update = Update { learning_rate: 1e30, ..gradient(&chunk, &[], &values) };
    let outcome = apply(&mut chunk, &wild, Correction::Auto, &update);
    assert_eq!(outcome, Ok(Outcome::Refused(NonFinite::Result)));
}

#[test]
fn malformed_updates_are_errors_and_change_nothing() {
    let mut chunk = chunk("momentum");
    let before = bits(&chunk);
    let (full, one) = (bytes(&[0.5; LENGTH]), bytes(&[0.5]));
    let (outside, twice) = ([Span::new(41, 1)], [Span::new(1, 1), Span::new(1, 0)]);
    let whole = gradient(&chunk, &[], &full);
    let malformed = [
        Update { values: &full[1..], ..whole },
        Update { values: &one, ..whole },
        Update { spans: &outside, values: &one, ..whole },
        Update { spans: &twice, values: &one, ..whole },
        Update { pulled_version: 1, ..whole },
        Update { learning_rate: f32::NAN, ..whole },
        Update { learning_rate: -0.1, ..whole },
    ];
    for update in malformed {
        let outcome = apply(&mut chunk, &optimizer("momentum"), Correction::Auto, &update);
        assert!(outcome.is_err(), "{update:?}");
        assert_eq!(bits(&chunk), before);
    }
    let other = apply(&mut chunk, &optimizer("adam"), Correction::Auto, &whole);
    assert_eq!(other, Err(Error::Slots { optimizer: "adam", expected: 2, found: 1 }));
    assert_eq!(bits(&chunk), before);
}

#[test]
fn chunks_start_finite_and_within_their_size() {
    let sgd = optimizer("sgd");
    let large = Chunk::new(vec![0.0; ELEMENTS_MAX + 1], &sgd).unwrap_err();
    assert_eq!(large, Error::TooLarge(ELEMENTS_MAX + 1));
    assert_eq!(Chunk::new(vec![f32::NAN], &sgd).unwrap_err(), Error::NotFinite);
    let parts = ChunkSnapshot { slots: vec![vec![0.0; 3]], ..copy(&chunk("momentum")) };
    let short = Chunk::from_snapshot(parts).unwrap_err();
    assert_eq!(short, Error::SlotLength { expected: LENGTH, found: 3 });
    assert!(Chunk::new(vec![], &sgd).is_ok());
}

#[test]
fn weights_are_read_as_the_wire_carries_them() {
    let chunk = chunk("sgd");
    assert_eq!(chunk.shared_weights().as_ref(), bytes(chunk.weights()));
}

/// Whoever sends weights has them as they were, whatever is pushed meanwhile, whole chunks, spans and state alike.
#[test]
fn weights_that_are_held_stay_what_they_are() {
    let (optimizer, mut buffer) = (optimizer("momentum"), UpdateBuffer::default());
    let mut chunk = chunk("momentum");
    let mut alone = chunk.clone();
    let (whole, two) = (bytes(&[0.5; LENGTH]), bytes(&[7.0, -7.0]));
    let spans = [Span::new(3, 1), Span::new(9, 1)];
    let mut held = Vec::new();
    for round in 0..12 {
        held.push((chunk.shared_weights(), bytes(chunk.weights())));
        let push = |chunk: &mut Chunk, buffer: &mut UpdateBuffer| {
            let update = match round % 3 {
                0 => gradient(chunk, &[], &whole),
                1 => gradient(chunk, &spans, &two),
                _ => Update { kind: TensorKind::State, ..gradient(chunk, &spans, &two) },
            };
            chunk.apply(&optimizer, Correction::Auto, &update, buffer).unwrap();
        };
        push(&mut chunk, &mut buffer);
        push(&mut alone, &mut UpdateBuffer::default());
        assert_eq!(bits(&chunk), bits(&alone));
        if round % 4 == 3 {
            held.remove(0);
        }
        assert!(held.iter().all(|(shared, before)| shared.as_ref() == before));
    }
}

/// Spans that rise without overlap: gaps and lengths, cut off at the chunk's end.
fn spans() -> impl Strategy<Value = Vec<Span>> {
    prop::collection::vec((0_u32..6, 0_u32..9), 1..8).prop_map(|parts| {
        let mut end = 0;
        let mut spans = Vec::new();
        for (gap, len) in parts {
            let start = (end + gap).min(LENGTH as u32);
            let len = len.min(LENGTH as u32 - start);
            spans.push(Span::new(start, len));
            end = start + len;
        }
        spans
    })
}

fn pushed() -> impl Strategy<Value = Vec<f32>> {
    let large = (-1.0_f32..1.0).prop_map(|unit| unit * f32::MAX);
    let any_bits = any::<u32>().prop_map(f32::from_bits);
    let one = prop_oneof![40 => -2.0_f32..2.0, 1 => large, 1 => any_bits];
    prop::collection::vec(one, LENGTH)
}

proptest! {
    #[test]
    fn an_update_changes_its_spans_as_a_whole_or_not_at_all(
        name in prop::sample::select(NAMES.to_vec()),
        pushes in prop::collection::vec((spans(), pushed()), 1..6),
    ) {
        let optimizer = optimizer(name);
        let mut chunk = chunk(name);
        for (spans, values) in pushes {
            let before = bits(&chunk);
            let covered: Vec<usize> = spans.iter().flat_map(|span| span.range()).collect();
            let values = bytes(&values[..covered.len()]);
            let update = gradient(&chunk, &spans, &values);
            let outcome = apply(&mut chunk, &optimizer, Correction::Auto, &update).unwrap();
            let after = bits(&chunk);
            if matches!(outcome, Outcome::Refused(_)) {
                prop_assert_eq!(&after, &before);
                continue;
            }
            prop_assert_eq!((after.2, after.3), (before.2 + 1, before.3 + 1));
            for index in (0..LENGTH).filter(|index| !covered.contains(index)) {
                prop_assert_eq!(after.0[index], before.0[index]);
                for (new, old) in after.1.iter().zip(&before.1) {
                    prop_assert_eq!(new[index], old[index]);
                }
            }
        }
    }

    #[test]
    fn spans_that_cover_everything_do_what_the_whole_does(
        name in prop::sample::select(NAMES.to_vec()),
        cut in 0_u32..=LENGTH as u32,
        values in prop::collection::vec(-3.0_f32..3.0, LENGTH),
    ) {
        let optimizer = optimizer(name);
        let (mut whole, mut parts) = (chunk(name), chunk(name));
        let values = bytes(&values);
        let spans = [Span::new(0, cut), Span::new(cut, LENGTH as u32 - cut)];
        let update = gradient(&whole, &[], &values);
        apply(&mut whole, &optimizer, Correction::Auto, &update).unwrap();
        apply(&mut parts, &optimizer, Correction::Auto, &Update { spans: &spans, ..update }).unwrap();
        prop_assert_eq!(bits(&whole), bits(&parts));
    }
}
