//! Our layers and candle's in one model.

use super::check::{values, var, vars};
use candle_core::{Device, Tensor};
use ps_nn::{Activation, Linear, cross_entropy};

/// The gradient of the first layer's weight, by our layers or by candle's.
fn gradient(ours: bool) -> Vec<f32> {
    let inputs =
        Tensor::new(values(9, 12).iter().map(|v| *v as f32).collect::<Vec<_>>(), &Device::Cpu);
    let inputs = inputs.unwrap().reshape((3, 4)).unwrap();
    let (weight, bias) = (var(&[5, 4], &values(1, 20)), var(&[5], &values(2, 5)));
    let last = var(&[2, 5], &values(3, 10));
    let labels = Tensor::new(&[0_u32, 1, 1], &Device::Cpu).unwrap();
    let loss = if ours {
        let vars = vars(&[("weight", &weight), ("bias", &bias)]);
        let hidden = Linear::new(4, 5, vars).unwrap().forward(&inputs).unwrap();
        let hidden = Activation::Silu.forward(&hidden).unwrap();
        cross_entropy(&hidden.matmul(&last.t().unwrap()).unwrap(), &labels).unwrap()
    } else {
        let hidden = inputs.matmul(&weight.t().unwrap()).unwrap().broadcast_add(&bias).unwrap();
        let logits = hidden.silu().unwrap().matmul(&last.t().unwrap()).unwrap();
        candle_nn::loss::cross_entropy(&logits, &labels).unwrap()
    };
    let gradients = loss.backward().unwrap();
    assert!(gradients.get(&last).is_some() && gradients.get(&bias).is_some());
    gradients.get(&weight).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn they_train_together() {
    for (ours, candles) in gradient(true).iter().zip(gradient(false)) {
        assert!((ours - candles).abs() < 1e-6, "{ours}, candle has {candles}");
    }
}
