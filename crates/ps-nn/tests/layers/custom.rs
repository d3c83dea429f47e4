//! A layer of a user's own, as the documentation shows it, and its gradient on the way to a sink.

use super::check::{Given, check, values, var};
use super::scale::Scale;
use candle_core::{Result, Tensor, TensorId, Var};
use ps_nn::custom::{deliver, mark_used};
use ps_nn::{Completion, GradientCollector, GradientSink, HostCopies, StepStart, composed_if};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// A parameter by its position, and its gradient.
type Gradient = (usize, Vec<f32>);

/// What has been emitted, in order.
#[derive(Clone, Default)]
struct Emitted(Arc<Mutex<Vec<Gradient>>>);

impl GradientSink for Emitted {
    fn begin(&mut self, _: StepStart) {}

    fn finished(&mut self, tensor: usize, values: Vec<f32>) {
        self.0.lock().unwrap().push((tensor, values));
    }
}

/// A collector of one parameter, and what it emits.
fn collector(parameter: &Var, shared: Option<&[bool]>) -> (GradientCollector, Emitted) {
    let positions: HashMap<TensorId, usize> = [(parameter.id(), 0)].into();
    let emitted = Emitted::default();
    let sink = Box::new(emitted.clone());
    (GradientCollector::new(Arc::new(positions), shared, sink, HostCopies::default()), emitted)
}

/// A loss that every value of both uses of the factors has another part in.
fn loss(
    layer: impl Fn(&Tensor) -> Result<Tensor>,
    inputs: &Tensor,
    weights: &Tensor,
) -> Result<Tensor> {
    (layer(&layer(inputs)?)? * weights)?.sum_all()
}

#[test]
fn it_is_right_forwards_and_backwards() {
    let given = Given::drawn(&[&[3, 4], &[4]]);
    let plain = |inputs: &[Vec<f64>]| {
        inputs[0]
            .iter()
            .zip(inputs[1].iter().cycle())
            .map(|(value, factor)| value * factor)
            .collect()
    };
    let layer = |given: &[Tensor]| Scale { factors: given[1].clone() }.forward(&given[0]);
    check("scale", &given, layer, plain);
}

#[test]
fn its_gradient_is_emitted_once_after_its_last_use_and_is_the_one_of_candle() {
    let (inputs, weights) = (var(&[3, 4], &values(1, 12)), var(&[3, 4], &values(2, 12)));
    let factors = var(&[4], &values(3, 4));
    let candles = loss(|values| values.broadcast_mul(&factors), &inputs, &weights).unwrap();
    let candles = candles.backward().unwrap();
    let expected: Vec<f32> = candles.get(&factors).unwrap().to_vec1().unwrap();
    let of_inputs = |store: &candle_core::backprop::GradStore| -> Vec<f32> {
        store.get(&inputs).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    };
    let layer = Scale { factors: factors.as_tensor().clone() };
    for is_composed in [false, true] {
        let (collector, emitted) = collector(&factors, Some(&[false]));
        let (collector, gradients) = collector.run(|| {
            composed_if(is_composed, || {
                let loss = loss(|values| layer.forward(values), &inputs, &weights).unwrap();
                assert!(emitted.0.lock().unwrap().is_empty());
                loss.backward().unwrap()
            })
        });
        assert!(gradients.get(&factors).is_none(), "candle has a part of it, too");
        assert_eq!(of_inputs(&gradients), of_inputs(&candles));
        let mut emitted = emitted.0.lock().unwrap();
        let (tensor, found) = emitted.pop().unwrap();
        assert!(emitted.is_empty() && tensor == 0);
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-6, "{found}, candle has {expected}");
        }
        let finished = collector.unwrap().finish(0, &factors, None).unwrap();
        assert_eq!(finished, Completion::Done);
    }
}

#[test]
fn mistakes_of_a_layer_are_named() {
    let factors = var(&[4], &values(3, 4));
    let (collector, emitted) = collector(&factors, Some(&[false]));
    let (_, result) = collector.run(|| {
        mark_used(&factors);
        let short = deliver(&factors, vec![1.0; 3]).unwrap_err().to_string();
        assert!(short.contains("3 values, expected 4"), "{short}");
        deliver(&factors, vec![1.0; 4]).unwrap();
        deliver(&factors, vec![1.0; 4])
    });
    assert!(result.unwrap_err().to_string().contains("more gradients than"));
    assert_eq!(*emitted.0.lock().unwrap(), [(0, vec![1.0; 4])]);
}
