use super::*;
use crate::limits::SAMPLES_MAX;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

fn order(seed: u64, pass: u64, samples: u64) -> Vec<u64> {
    SampleOrder::new(seed, pass, 0, samples).at(0..samples).collect()
}

#[test]
fn every_sample_occurs_once_whatever_their_number() {
    for samples in 0..=5_000 {
        let mut seen = vec![false; samples as usize];
        let order = SampleOrder::new(7, samples, 0, samples);
        order.at(0..samples).for_each(|sample| seen[sample as usize] = true);
        assert!(seen.iter().all(|seen| *seen), "{samples}");
    }
}

#[test]
fn the_order_depends_on_seed_pass_and_source() {
    assert_eq!(order(1, 0, 100), order(1, 0, 100));
    assert_ne!(order(1, 0, 100), order(1, 1, 100));
    assert_ne!(order(1, 0, 100), order(2, 0, 100));
    let of_source = |source| SampleOrder::new(1, 2, source, 50).at(0..50).collect::<Vec<u64>>();
    let distinct: BTreeSet<Vec<u64>> = (0..300).map(of_source).collect();
    assert_eq!(distinct.len(), 300);
}

#[test]
fn the_order_never_changes_between_versions() {
    // A job that is resumed by another version relies on these very numbers.
    assert_eq!(order(1, 2, 8), ORDER_OF_8);
    let far = SampleOrder::new(1, 2, 3, SAMPLES_MAX);
    assert_eq!(far.at(SAMPLES_MAX - 2..SAMPLES_MAX).collect::<Vec<u64>>(), ORDER_OF_MAX);
}

const ORDER_OF_8: [u64; 8] = [1, 6, 3, 2, 4, 0, 5, 7];
const ORDER_OF_MAX: [u64; 2] = [455_043_506_274, 548_575_268_634];

/// What chi-square exceeds by chance about once in a million times, with so many degrees of freedom (Wilson and Hilferty).
fn unlikely(freedom: f64) -> f64 {
    let part = 2.0 / (9.0 * freedom);
    freedom * (1.0 - part + 4.75 * part.sqrt()).powi(3)
}

fn chi_square(counts: &[u32], expected: f64) -> f64 {
    counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum()
}

#[test]
fn places_are_equally_likely_for_each_sample_and_for_pairs() {
    for samples in [2, 3, 5, 6, 16, 17, 40] {
        let passes = 40 * (samples * samples) as u32;
        let size = samples as usize;
        let (mut places, mut pairs) = (vec![0_u32; size * size], vec![0_u32; size * size]);
        for pass in 0..passes {
            let order = order(5, pass.into(), samples);
            for (place, sample) in order.iter().enumerate() {
                places[place * size + *sample as usize] += 1;
            }
            pairs[order[0] as usize * size + order[1] as usize] += 1;
        }
        // Each place has each sample equally often; so have the first two places each pair.
        for (place, counts) in places.chunks(size).enumerate() {
            let found = chi_square(counts, f64::from(passes) / samples as f64);
            assert!(found < unlikely(samples as f64 - 1.0), "{samples}, place {place}: {found}");
        }
        let distinct: Vec<u32> =
            (0..size * size).filter(|at| at / size != at % size).map(|at| pairs[at]).collect();
        let count = distinct.len() as f64;
        let found = chi_square(&distinct, f64::from(passes) / count);
        assert!(found < unlikely((count - 1.0).max(1.0)), "{samples}, pairs: {found}");
    }
}

#[test]
fn all_orders_of_a_few_samples_come() {
    let orders: BTreeSet<Vec<u64>> = (0..2_000).map(|pass| order(3, pass, 5)).collect();
    assert_eq!(orders.len(), 120);
}

#[test]
fn neighbours_are_not_neighbours_afterwards() {
    // Of a shuffle the next sample is as often larger as smaller, and as far as two that are drawn: a third of all.
    for samples in [256, 1_000, 1 << 16, 100_000] {
        let order = order(11, 0, samples);
        let steps = order.len() as f64 - 1.0;
        let up = order.windows(2).filter(|pair| pair[0] < pair[1]).count() as f64 / steps;
        let far = order.windows(2).map(|pair| pair[0].abs_diff(pair[1]) as f64).sum::<f64>();
        let far = far / steps / samples as f64;
        let most = 5.0 / steps.sqrt();
        assert!(
            (up - 0.5).abs() < most && (far - 1.0 / 3.0).abs() < most,
            "{samples}: {up}, {far}"
        );
    }
}

/// How many of so many places in a row have a sample from each sixteenth of all samples.
fn sixteenths(order: &SampleOrder, start: u64, places: u64) -> Vec<u32> {
    let mut counts = vec![0; 16];
    let sixteenth = order.samples().div_ceil(16);
    order.at(start..start + places).for_each(|it| counts[(it / sixteenth) as usize] += 1);
    counts
}

#[test]
fn billions_of_samples_have_an_order_at_once() {
    let start = Instant::now();
    for samples in [(1 << 32) - 1, 1 << 32, (1 << 32) + 1, (1 << 40) - 1, SAMPLES_MAX] {
        let order = SampleOrder::new(1, 0, 0, samples);
        for from in [0, samples / 3, samples - 16_000] {
            let found: BTreeSet<u64> = order.at(from..from + 16_000).collect();
            assert_eq!(found.len(), 16_000, "{samples}: none comes twice");
            assert!(found.iter().all(|sample| *sample < samples));
            let counts = sixteenths(&order, from, 16_000);
            let chi_square = chi_square(&counts, 1_000.0);
            assert!(chi_square < unlikely(15.0), "{samples} from {from}: {counts:?}");
        }
        assert_eq!(order.at(samples - 1..samples + 5).count(), 1);
        assert_eq!(order.at(samples + 5..samples + 9).count(), 0);
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

proptest! {
    #[test]
    fn a_part_of_the_order_is_that_part_of_it(
        seed: u64, pass: u64, source: u32, samples in 1_u64..3_000, start in 0_u64..3_000, count in 0_u64..50,
    ) {
        let order = SampleOrder::new(seed, pass, source, samples);
        let all: Vec<u64> = order.at(0..samples).collect();
        let part: Vec<u64> = order.at(start..start + count).collect();
        let (start, end) = (start.min(samples) as usize, (start + count).min(samples) as usize);
        prop_assert_eq!(&part[..], &all[start..end]);
    }

    #[test]
    fn no_two_places_have_the_same_sample(seed: u64, samples in 2_u64..SAMPLES_MAX, one: u64, other: u64) {
        let (one, other) = (one % samples, other % samples);
        let order = SampleOrder::new(seed, 0, 0, samples);
        let sample = |place| order.at(place..place + 1).next().unwrap();
        prop_assert!(sample(one) < samples);
        prop_assert_eq!(sample(one) == sample(other), one == other);
    }
}
