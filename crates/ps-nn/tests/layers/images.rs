//! Layers over images.

use super::check::{Given, check, on_both, var, vars};
use super::plain::{self, Images};
use candle_core::{Device, Tensor};
use ps_nn::{Activation, BatchNorm, Conv2d, Conv2dConfig, Phase, PoolConfig};

const TRAINING: Phase = Phase::Training { seed: 1 };

fn images(
    channels: usize,
    size: (usize, usize),
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Images {
    Images { channels, size, kernel: (kernel, kernel), stride, padding }
}

/// Odd sizes, one sample and several, strides that leave a rest, padding.
fn convolutions() -> Vec<(usize, usize, Images)> {
    vec![
        (1, 1, images(1, (5, 5), 3, 1, 0)),
        (3, 2, images(3, (7, 6), 3, 1, 1)),
        (2, 5, images(2, (9, 8), 5, 1, 2)),
        (2, 3, images(2, (8, 7), 3, 2, 1)),
        (1, 4, images(3, (11, 10), 4, 3, 2)),
        (2, 2, images(17, (4, 4), 1, 2, 0)),
    ]
}

fn layer(tensors: &[Tensor], kernel: usize, config: Conv2dConfig) -> Conv2d {
    let (outputs, inputs) = (tensors[1].dim(0).unwrap(), tensors[1].dim(1).unwrap());
    let vars = vars(&[("weight", &tensors[1]), ("bias", &tensors[2])]);
    Conv2d::new(inputs, outputs, kernel, config, vars).unwrap()
}

#[test]
fn convolutions_are_right() {
    for (samples, outputs, sizes) in convolutions() {
        let Images { channels, size, kernel, stride, padding } = sizes;
        let shapes: [&[usize]; 3] = [
            &[samples, channels, size.0, size.1],
            &[outputs, channels, kernel.0, kernel.1],
            &[outputs],
        ];
        let config = Conv2dConfig { stride, padding };
        let what = format!("{samples} images of {channels} x {size:?}, {kernel:?}, {config:?}");
        check(
            &what,
            &Given::drawn(&shapes),
            |given| layer(given, kernel.0, config).forward(&given[0]),
            |given| sizes.convolve(&given[0], &given[1], &given[2]),
        );
        check(
            &format!("{what}, relu"),
            &Given::drawn(&shapes),
            |given| layer(given, kernel.0, config).forward_relu(&given[0]),
            |given| plain::relu(sizes.convolve(&given[0], &given[1], &given[2])),
        );
    }
}

#[test]
fn a_pool_right_after_a_convolution_is_right() {
    for (samples, outputs, sizes) in convolutions() {
        let Images { channels, size, kernel, stride, padding } = sizes;
        let shapes: [&[usize]; 3] = [
            &[samples, channels, size.0, size.1],
            &[outputs, channels, kernel.0, kernel.1],
            &[outputs],
        ];
        let side = if sizes.outputs().0 > 4 { 3 } else { 2 };
        let pool = images(1, sizes.outputs(), side, side, 0);
        check(
            &format!("{sizes_of:?} and a pool of {side}", sizes_of = (samples, size, kernel)),
            &Given::drawn(&shapes),
            |given| {
                let config = Conv2dConfig { stride, padding };
                layer(given, kernel.0, config).forward_relu_max_pool(&given[0], side)
            },
            |given| {
                let outputs = sizes.convolve(&given[0], &given[1], &given[2]);
                plain::relu(pool.pool(&outputs, plain::most))
            },
        );
    }
}

#[test]
fn without_bias_there_is_none() {
    let sizes = images(2, (5, 5), 3, 1, 1);
    check(
        "without bias",
        &Given::drawn(&[&[2, 2, 5, 5], &[3, 2, 3, 3]]),
        |given| {
            let config = Conv2dConfig { padding: 1, ..Conv2dConfig::default() };
            let vars = vars(&[("weight", &given[1])]);
            Conv2d::without_bias(2, 3, 3, config, vars)?.forward(&given[0])
        },
        |given| sizes.convolve(&given[0], &given[1], &[0.0; 3]),
    );
}

#[test]
fn pools_are_right() {
    for (size, config) in [
        ((4, 4), PoolConfig::squares(2)),
        ((5, 7), PoolConfig::squares(2)),
        ((9, 8), PoolConfig { size: 3, stride: 2, padding: 1 }),
        ((7, 7), PoolConfig { size: 3, stride: 1, padding: 0 }),
        ((1, 1), PoolConfig::squares(1)),
    ] {
        let sizes = images(3, size, config.size, config.stride, config.padding);
        let given = Given::drawn(&[&[2, 3, size.0, size.1]]);
        let what = format!("{size:?} {config:?}");
        check(
            &format!("largest {what}"),
            &given,
            |given| config.max(&given[0]),
            |given| sizes.pool(&given[0], plain::most),
        );
        check(
            &format!("mean {what}"),
            &given,
            |given| config.mean(&given[0]),
            |given| sizes.pool(&given[0], plain::mean),
        );
    }
}

/// candle 0.11's own max pool divides a gradient among ties, and by four where there are none.
#[test]
fn the_first_of_equals_gets_the_whole_gradient() {
    on_both(|| {
        let images = var(&[1, 1, 2, 4], &[1.0, 1.0, 0.0, 2.0, 1.0, 0.0, 2.0, 2.0]);
        let loss = PoolConfig::squares(2).max(&images).unwrap().sum_all().unwrap();
        let gradient = loss.backward().unwrap().remove(&images).unwrap();
        let gradient: Vec<f32> = gradient.flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(gradient, [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);

        let weight = var(&[1, 1, 1, 1], &[1.0]);
        let tensors = [
            images.as_tensor().clone(),
            weight.as_tensor().clone(),
            var(&[1], &[0.0]).as_tensor().clone(),
        ];
        let layer = layer(&tensors, 1, Conv2dConfig::default());
        let loss = layer.forward_relu_max_pool(&images, 2).unwrap().sum_all().unwrap();
        let gradient = loss.backward().unwrap().remove(&images).unwrap();
        let gradient: Vec<f32> = gradient.flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(gradient, [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    });
}

#[test]
fn what_is_not_a_number_comes_through() {
    on_both(not_a_number);
}

fn not_a_number() {
    let tensors: Vec<Tensor> = [vec![1.0, f64::NAN, 2.0, 3.0], vec![1.0], vec![0.0]]
        .iter()
        .zip([&[1, 1, 2, 2][..], &[1, 1, 1, 1], &[1]])
        .map(|(values, shape)| var(shape, values).as_tensor().clone())
        .collect();
    let layer = layer(&tensors, 1, Conv2dConfig::default());
    let pooled = layer.forward_relu_max_pool(&tensors[0], 2).unwrap();
    assert!(pooled.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0].is_nan());
    let pooled = PoolConfig::squares(2).max(&tensors[0]).unwrap();
    assert!(pooled.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0].is_nan());
    let values = Activation::Relu.forward(&var(&[2], &[f64::NAN, -1.0])).unwrap();
    let values: Vec<f32> = values.to_vec1().unwrap();
    assert!(values[0].is_nan() && values[1] == 0.0, "{values:?}");
}

#[test]
fn nothing_comes_back_where_a_rectified_value_is_zero() {
    on_both(|| {
        let inputs = var(&[3], &[-1.0, 0.0, 2.0]);
        let loss = Activation::Relu.forward(&inputs).unwrap().sum_all().unwrap();
        let gradient = loss.backward().unwrap().remove(&inputs).unwrap();
        assert_eq!(gradient.to_vec1::<f32>().unwrap(), [0.0, 0.0, 1.0]);
    });
}

/// A model may send only some of its images through a convolution, and once none.
#[test]
fn no_images_have_a_gradient_of_zeros() {
    let tensors = [var(&[0, 2, 4, 4], &[]), var(&[3, 2, 3, 3], &[1.0; 54]), var(&[3], &[1.0; 3])];
    let given = tensors.each_ref().map(|var| var.as_tensor().clone());
    let layer = layer(&given, 3, Conv2dConfig::default());
    let loss = layer.forward(&given[0]).unwrap().sum_all().unwrap();
    let gradients = loss.backward().unwrap();
    for var in &tensors[1..] {
        let gradient = gradients.get(var).unwrap().flatten_all().unwrap().to_vec1::<f32>();
        assert!(gradient.unwrap().iter().all(|value| *value == 0.0));
    }
}

#[test]
fn batch_norm_is_right_and_keeps_running_statistics() {
    for shape in [&[4, 3][..], &[2, 3, 5, 3]] {
        let plane = shape.iter().skip(2).product();
        check(
            &format!("batch norm of {shape:?}"),
            &Given::drawn(&[shape, &[3], &[3]]),
            |given| {
                let mean = Tensor::zeros(3, candle_core::DType::F32, &Device::Cpu)?;
                let (var, named) = (mean.ones_like()?, [&given[1], &given[2]]);
                let vars = vars(&[
                    ("weight", named[0]),
                    ("bias", named[1]),
                    ("running_mean", &mean),
                    ("running_var", &var),
                ]);
                BatchNorm::new(3, 1e-5, vars)?.forward(&given[0], TRAINING)
            },
            |given| plain::batch_norm(&given[0], &given[1], &given[2], plane, 1e-5),
        );
    }
    on_both(running_statistics);
}

fn running_statistics() {
    // PyTorch's BatchNorm1d(1) on [1, 3]: running mean 0.2, running variance 0.9 + 0.1 * 2.
    let (mean, variance) = (var(&[1], &[0.0]), var(&[1], &[1.0]));
    let (weight, bias) = (var(&[1], &[1.0]), var(&[1], &[0.5]));
    let vars = vars(&[
        ("weight", &weight),
        ("bias", &bias),
        ("running_mean", &mean),
        ("running_var", &variance),
    ]);
    let norm = BatchNorm::new(1, 0.0, vars).unwrap();
    let error = norm.forward(&var(&[1, 1], &[0.2]), TRAINING).unwrap_err().to_string();
    assert!(error.contains("1 value a channel"), "{error}");
    let outputs = norm.forward(&var(&[2, 1], &[1.0, 3.0]), TRAINING).unwrap();
    assert_eq!(outputs.to_vec2::<f32>().unwrap(), [[-0.5], [1.5]]);
    assert_eq!(mean.to_vec1::<f32>().unwrap(), [0.2]);
    assert!((variance.to_vec1::<f32>().unwrap()[0] - 1.1).abs() < 1e-6);
    let outputs = norm.forward(&var(&[1, 1], &[0.2]), Phase::Evaluating).unwrap();
    assert!((outputs.to_vec2::<f32>().unwrap()[0][0] - 0.5).abs() < 1e-6);
    // A pass may end with a batch of one.
    let one = norm.forward(&var(&[1, 1], &[0.2]), TRAINING).unwrap();
    assert_eq!(one.to_vec2::<f32>().unwrap(), outputs.to_vec2::<f32>().unwrap());
    assert_eq!(mean.to_vec1::<f32>().unwrap(), [0.2]);
}

#[test]
fn images_that_do_not_fit_are_refused() {
    let tensors: Vec<Tensor> = [&[1, 2, 4, 4][..], &[3, 2, 5, 5], &[3]]
        .iter()
        .map(|shape| Tensor::zeros(*shape, candle_core::DType::F32, &Device::Cpu).unwrap())
        .collect();
    let conv = layer(&tensors, 5, Conv2dConfig::default());
    assert!(conv.forward(&tensors[0]).unwrap_err().to_string().contains("smaller than the kernel"));
    let gray = tensors[0].narrow(1, 0, 1).unwrap();
    assert!(conv.forward(&gray).unwrap_err().to_string().contains("1 channels"));
    let config = Conv2dConfig { stride: 1, padding: 5 };
    let error = Conv2d::new(2, 3, 5, config, vars(&[])).unwrap_err().to_string();
    assert!(error.contains("padding 5"), "{error}");
    let error = PoolConfig::squares(5).max(&tensors[0]).unwrap_err().to_string();
    assert!(error.contains("size 5") && error.contains("4 x 4"), "{error}");
}
