//! Elements with rules of their own.

use super::*;
use crate::parameters::{RuleSpan, UpdateRule};

/// The places in which both differ by a bit.
fn differing(found: &[f32], expected: &[f32]) -> Vec<u32> {
    let pairs = (0..).zip(found.iter().zip(expected));
    pairs.filter(|(_, (a, b))| a.to_bits() != b.to_bits()).map(|(place, _)| place).collect()
}

proptest! {
    /// Elements with rules of their own are applied as if they lay in chunks of their own.
    #[test]
    fn each_rule_does_what_a_chunk_of_its_own_does(
        name in prop::sample::select(NAMES.to_vec()),
        cut in 1..LENGTH,
        scale in prop_oneof![Just(0.0_f32), Just(1.0), 0.1_f32..3.0],
        decay in prop::option::of(0.0_f32..0.5),
        spans in spans(),
        values in prop::collection::vec(-3.0_f32..3.0, LENGTH),
    ) {
        let rule = UpdateRule { learning_rate_scale: scale, weight_decay: decay };
        let rules = [
            RuleSpan { elements: 0..cut, rule },
            RuleSpan { elements: cut..LENGTH, rule: UpdateRule::default() },
        ];
        let all = optimizer(name);
        let mut mixed = chunk(name);
        let (mut own, mut plain) = (mixed.clone(), mixed.clone());
        let covered: usize = spans.iter().map(|span| span.range().len()).sum();
        for (spans, count) in [(&[][..], LENGTH), (&spans[..], covered)] {
            let values = bytes(&values[..count]);
            let update = Update { rules: &rules, ..gradient(&mixed, spans, &values) };
            apply(&mut mixed, &all, Correction::Auto, &update).unwrap();
            let update = Update { rules: &[], learning_rate: update.learning_rate * scale, ..update };
            apply(&mut own, &rule.optimizer(&all), Correction::Auto, &update).unwrap();
            let update = Update { rules: &[], ..gradient(&plain, spans, &values) };
            apply(&mut plain, &all, Correction::Auto, &update).unwrap();
        }
        let parts = |vectors: [&[f32]; 3]| -> Vec<u32> {
            let [mixed, own, plain] = vectors;
            differing(mixed, &[&own[..cut], &plain[cut..]].concat())
        };
        let expected = parts([mixed.weights(), own.weights(), plain.weights()]);
        prop_assert!(expected.is_empty(), "weights {expected:?}");
        for number in 0..mixed.slots().len() {
            let slot = |chunk: &Chunk| chunk.slots()[number].clone();
            let differ = parts([&slot(&mixed), &slot(&own), &slot(&plain)]);
            prop_assert!(differ.is_empty(), "state {number}: {differ:?}");
        }
        prop_assert_eq!((mixed.version(), mixed.updates()), (2, 2));
    }
}
