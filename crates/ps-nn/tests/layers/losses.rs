//! Losses against plain ones.

use super::check::{Given, check, values, var};
use super::plain;
use candle_core::{Device, Tensor};
use ps_nn::{
    NumberLoss, binary_cross_entropy_with_logits, cross_entropy, number_loss,
    weighted_cross_entropy,
};

#[test]
fn losses_are_right() {
    let labels = [2_u32, 0, 1, 2];
    let given = Given::drawn(&[&[4, 3]]);
    check(
        "cross entropy",
        &given,
        |given| cross_entropy(&given[0], &Tensor::new(&labels, &Device::Cpu)?),
        |given| vec![plain::cross_entropy(&given[0], &labels)],
    );
    // Near zero, and so far from it that a logarithm of the sigmoid is not a number in `f32`.
    let far = Given(vec![(vec![6], vec![0.0, 30.0, -30.0, 25.0, -25.0, 0.0])]);
    for (given, targets) in [(given, vec![0.0, 1.0, 0.3]), (far, vec![1.0, 1.0, 0.0])] {
        let (shape, logits) = &given.0[0];
        let targets: Vec<f64> = (0..logits.len()).map(|place| targets[place % 3]).collect();
        let target_tensor = var(shape, &targets);
        check(
            "binary cross entropy",
            &given,
            |given| binary_cross_entropy_with_logits(&given[0], &target_tensor),
            |given| vec![plain::binary_cross_entropy(&given[0], &targets)],
        );
    }
    let logits = var(&[4, 3], &values(1, 12));
    let error = |labels: &[u32]| {
        let labels = Tensor::new(labels, &Device::Cpu).unwrap();
        cross_entropy(&logits, &labels).unwrap_err().to_string()
    };
    assert!(error(&[0, 1, 2]).contains("3 labels for 4 rows"));
    assert!(error(&[0, 1, 3, 0]).contains("label 3"));
    // Logits far apart neither overflow nor lose the loss.
    let far = var(&[1, 2], &[-200.0, 300.0]);
    let loss = cross_entropy(&far, &Tensor::new(&[0_u32], &Device::Cpu).unwrap()).unwrap();
    assert!((loss.to_scalar::<f32>().unwrap() - 500.0).abs() < 1e-3);
}

#[test]
fn classes_count_as_much_as_their_weights() {
    let (labels, weights) = ([2_u32, 0, 1, 2], [0.5, 2.0, 3.0]);
    check(
        "weighted cross entropy",
        &Given::drawn(&[&[4, 3]]),
        |given| {
            let labels = Tensor::new(&labels, &Device::Cpu)?;
            weighted_cross_entropy(&given[0], &labels, &weights.map(|it| it as f32))
        },
        |given| {
            let rows = given[0].chunks(3).zip(&labels);
            let one = |(row, label): (&[f64], &u32)| {
                weights[*label as usize] * plain::cross_entropy(row, &[*label])
            };
            vec![rows.map(one).sum::<f64>() / 4.0]
        },
    );
    let logits = var(&[1, 3], &values(1, 3));
    let label = Tensor::new(&[0_u32], &Device::Cpu).unwrap();
    let error = weighted_cross_entropy(&logits, &label, &[1.0]).unwrap_err().to_string();
    assert!(error.contains("1 weights for 1 rows of 3"), "{error}");
}

#[test]
fn losses_of_numbers_are_right() {
    let given = Given(vec![(vec![3, 2], vec![0.3, -2.5, 0.9, 4.0, -0.2, 1.5])]);
    let targets = [0.0, 0.5, 1.0, 0.0, 0.25, -1.0];
    let mean = |given: &[f64], one: &dyn Fn(f64) -> f64| {
        let sum: f64 = given.iter().zip(targets).map(|(it, target)| one(it - target)).sum();
        vec![sum / given.len() as f64]
    };
    let huber = |error: f64| match error.abs() {
        small if small <= 0.7 => small * small / 2.0,
        large => 0.7 * (large - 0.35),
    };
    let target_tensor = var(&[3, 2], &targets);
    let losses: [(NumberLoss, &dyn Fn(f64) -> f64); 3] = [
        (NumberLoss::Squared, &|error| error * error),
        (NumberLoss::Absolute, &|error: f64| error.abs()),
        (NumberLoss::Huber(0.7), &huber),
    ];
    for (loss, one) in losses {
        check(
            &format!("{loss:?}"),
            &given,
            |given| number_loss(&given[0], &target_tensor, &loss),
            |given| mean(&given[0], one),
        );
    }
}

#[test]
fn labels_that_a_sample_has_count_as_much_as_their_weights() {
    let targets = [1.0, 0.0, 1.0, 1.0, 0.3, 0.0];
    let target_tensor = var(&[3, 2], &targets);
    let loss = NumberLoss::BinaryCrossEntropy(vec![4.0, 0.5]);
    check(
        "weighted binary cross entropy",
        &Given::drawn(&[&[3, 2]]),
        |given| number_loss(&given[0], &target_tensor, &loss),
        |given| {
            let one = |(at, logit): (usize, &f64)| {
                let share = plain::sigmoid(*logit);
                let weight = [4.0, 0.5][at % 2];
                -(weight * targets[at] * share.ln() + (1.0 - targets[at]) * (1.0 - share).ln())
            };
            vec![given[0].iter().enumerate().map(one).sum::<f64>() / 6.0]
        },
    );
}
