//! Layers over rows, and losses.

use super::check::{Given, check, on_both, values, var, vars};
use super::plain;
use candle_core::{Device, Tensor};
use ps_nn::{
    Activation, CausalSelfAttention, Dropout, Embedding, LayerNorm, Linear, Phase, RmsNorm, softmax,
};

fn linear(given: &[Tensor]) -> Linear {
    let (outputs, inputs) = given[1].dims2().unwrap();
    Linear::new(inputs, outputs, vars(&[("weight", &given[1]), ("bias", &given[2])])).unwrap()
}

#[test]
fn linear_is_right() {
    for (count, inputs, outputs) in [(1, 1, 1), (1, 7, 3), (5, 33, 18), (130, 5, 17)] {
        let given = Given::drawn(&[&[count, inputs], &[outputs, inputs], &[outputs]]);
        let what = format!("{count} rows of {inputs} to {outputs}");
        check(
            &what,
            &given,
            |given| linear(given).forward(&given[0]),
            |given| plain::linear(&given[0], &given[1], &given[2]),
        );
        check(
            &format!("{what}, relu"),
            &given,
            |given| linear(given).forward_relu(&given[0]),
            |given| plain::relu(plain::linear(&given[0], &given[1], &given[2])),
        );
    }
    let given = Given::drawn(&[&[2, 3, 4], &[5, 4], &[5]]);
    check(
        "three dimensions",
        &given,
        |given| linear(given).forward(&given[0]),
        |given| plain::linear(&given[0], &given[1], &given[2]),
    );
}

#[test]
fn l2_adds_its_part_of_the_weights_to_their_gradient_alone() {
    on_both(|| {
        let weight = var(&[3, 4], &values(1, 12));
        let bias = var(&[3], &values(2, 3));
        let inputs = var(&[5, 4], &values(3, 20));
        let gradients = |l2: f32| {
            let named = [("weight", weight.as_tensor()), ("bias", bias.as_tensor())];
            let layer = Linear::new(4, 3, vars(&named)).unwrap().with_l2(l2);
            let loss = layer.forward_relu(&inputs).unwrap().sum_all().unwrap();
            let store = loss.backward().unwrap();
            [&weight, &bias, &inputs]
                .map(|it| store.get(it).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap())
        };
        let ([before, bias_before, inputs_before], [after, bias_after, inputs_after]) =
            (gradients(0.0), gradients(0.5));
        assert_eq!((bias_before, inputs_before), (bias_after, inputs_after));
        let weights = weight.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for ((before, after), weight) in before.iter().zip(&after).zip(&weights) {
            assert!((before + 0.5 * weight - after).abs() < 1e-5, "{before} {after} {weight}");
        }
    });
}

#[test]
fn inputs_need_not_be_contiguous() {
    let given = Given::drawn(&[&[4, 3], &[5, 4], &[5]]);
    let turned = |values: &[f64]| -> Vec<f64> {
        (0..12).map(|place| values[place % 4 * 3 + place / 4]).collect()
    };
    check(
        "transposed",
        &given,
        |given| linear(given).forward(&given[0].t()?),
        |given| plain::linear(&turned(&given[0]), &given[1], &given[2]),
    );
    let given = Given::drawn(&[&[5, 4]]);
    let turned = |values: &[f64]| (0..20).map(|place| values[place % 5 * 4 + place / 5]).collect();
    check(
        "activation",
        &given,
        |given| Activation::Tanh.forward(&given[0].t()?),
        |given| {
            let turned: Vec<f64> = turned(&given[0]);
            turned.into_iter().map(f64::tanh).collect()
        },
    );
}

#[test]
fn norms_are_right() {
    for shape in [&[1, 1][..], &[3, 5], &[2, 3, 33]] {
        let width = shape[shape.len() - 1];
        check(
            &format!("layer norm of {shape:?}"),
            &Given::drawn(&[shape, &[width], &[width]]),
            |given| {
                let vars = vars(&[("weight", &given[1]), ("bias", &given[2])]);
                LayerNorm::new(width, 1e-2, vars)?.forward(&given[0])
            },
            |given| plain::norm(&given[0], &given[1], Some(&given[2]), 1e-2),
        );
        check(
            &format!("rms norm of {shape:?}"),
            &Given::drawn(&[shape, &[width]]),
            |given| RmsNorm::new(width, 1e-2, vars(&[("weight", &given[1])]))?.forward(&given[0]),
            |given| plain::norm(&given[0], &given[1], None, 1e-2),
        );
    }
}

#[test]
fn activations_are_right() {
    let gelu = |x: f64| {
        0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
    };
    let plain: [(Activation, &dyn Fn(f64) -> f64); 5] = [
        (Activation::Relu, &|x: f64| x.max(0.0)),
        (Activation::Gelu, &gelu),
        (Activation::Silu, &|x: f64| x * plain::sigmoid(x)),
        (Activation::Tanh, &|x: f64| x.tanh()),
        (Activation::Sigmoid, &plain::sigmoid),
    ];
    let wide = values(3, 70).into_iter().map(|value| value * 6.0).collect();
    let given = Given(vec![(vec![7, 10], wide)]);
    for (activation, function) in plain {
        check(
            &format!("{activation:?}"),
            &given,
            |given| activation.forward(&given[0]),
            |given| given[0].iter().map(|value| function(*value)).collect(),
        );
    }
}

#[test]
fn softmax_and_attention_are_right() {
    let rows = |values: &[f64], columns| values.chunks(columns).flat_map(plain::softmax).collect();
    for columns in [1, 3, 40] {
        let given = Given::drawn(&[&[3, columns]]);
        check(
            &format!("softmax of {columns}"),
            &given,
            |given| softmax(&given[0]),
            |given| rows(&given[0], columns),
        );
    }
    for (samples, positions, width, heads) in [(1, 1, 2, 1), (2, 5, 6, 3), (3, 4, 4, 2)] {
        let shapes: [&[usize]; 5] = [
            &[samples, positions, width],
            &[3 * width, width],
            &[3 * width],
            &[width, width],
            &[width],
        ];
        check(
            &format!("attention of {positions} positions, {heads} heads"),
            &Given::drawn(&shapes),
            |given| {
                let vars = vars(&[
                    ("inputs.weight", &given[1]),
                    ("inputs.bias", &given[2]),
                    ("outputs.weight", &given[3]),
                    ("outputs.bias", &given[4]),
                ]);
                CausalSelfAttention::new(width, heads, vars)?.forward(&given[0])
            },
            |given| {
                let inputs = plain::linear(&given[0], &given[1], &given[2]);
                let attended = inputs
                    .chunks(positions * 3 * width)
                    .flat_map(|sample| plain::attention(sample, positions, width, heads));
                plain::linear(&attended.collect::<Vec<_>>(), &given[3], &given[4])
            },
        );
    }
}

#[test]
fn embeddings_are_right_also_for_repeated_rows() {
    let numbers = [4_u32, 0, 4, 4, 2, 0];
    check(
        "embedding",
        &Given::drawn(&[&[6, 3]]),
        |given| {
            let table = Embedding::new(6, 3, 1.0, vars(&[("weight", &given[0])]))?;
            table.forward(&Tensor::new(&numbers, &Device::Cpu)?.reshape((2, 3))?)
        },
        |given| {
            let row = |number: &u32| given[0][*number as usize * 3..][..3].to_vec();
            numbers.iter().flat_map(row).collect()
        },
    );
    let weight = var(&[6, 3], &values(1, 18));
    let table = Embedding::new(6, 3, 1.0, vars(&[("weight", &weight)])).unwrap();
    let error = table.forward(&Tensor::new(&[6_u32], &Device::Cpu).unwrap()).unwrap_err();
    assert!(error.to_string().contains("row 6 of a table of 6"), "{error}");
}

#[test]
fn dropout_drops_by_seed_and_layer_alone() {
    on_both(|| {
        let inputs = var(&[100, 100], &vec![1.0; 10_000]);
        let with = |layer, seed| -> Vec<f32> {
            let dropout = Dropout::new(0.3, layer).unwrap();
            let outputs = dropout.forward(&inputs, Phase::Training { seed }).unwrap();
            outputs.flatten_all().unwrap().to_vec1().unwrap()
        };
        let first = with(0, 7);
        assert_eq!(first, with(0, 7));
        assert_ne!(first, with(1, 7));
        assert_ne!(first, with(0, 8));
        let dropped = first.iter().filter(|value| **value == 0.0).count();
        assert!(
            (2_800..3_200).contains(&dropped),
            "{dropped} of 10000 dropped, expected some 3000"
        );
        assert!(first.iter().all(|value| *value == 0.0 || (*value - 1.0 / 0.7).abs() < 1e-6));

        let dropout = Dropout::new(0.3, 0).unwrap();
        let outputs = dropout.forward(&inputs, Phase::Training { seed: 7 }).unwrap();
        let gradient = outputs.sum_all().unwrap().backward().unwrap().remove(&inputs).unwrap();
        let gradient: Vec<f32> = gradient.flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(gradient, first, "what was dropped has no gradient, the rest is scaled");
        let evaluated = dropout.forward(&inputs, Phase::Evaluating).unwrap();
        assert_eq!(evaluated.flatten_all().unwrap().to_vec1::<f32>().unwrap(), vec![1.0; 10_000]);
        assert!(Dropout::new(1.0, 0).is_err() && Dropout::new(-0.1, 0).is_err());
    });
}
