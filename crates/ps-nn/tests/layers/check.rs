//! Compares a layer with a plain one.

use candle_core::{Device, Result, Tensor, Var};
use candle_nn::VarBuilder;
use ps_nn::composed;
use std::collections::HashMap;

/// Step of the differences: their error is about its square.
const STEP: f64 = 1e-5;

/// A number that looks drawn at random and is always the same.
pub(crate) fn number(seed: usize) -> f64 {
    let mut bits = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits ^ (bits >> 31)) >> 40) as f64 / f64::from(1 << 23) - 1.0
}

/// Values between -1 and 1 as `f32` holds them.
pub(crate) fn values(seed: usize, count: usize) -> Vec<f64> {
    (0..count).map(|place| f64::from(number(seed * 100_003 + place) as f32)).collect()
}

/// Tensors with their shapes, all of which have gradients.
pub(crate) struct Given(pub(crate) Vec<(Vec<usize>, Vec<f64>)>);

impl Given {
    /// Drawn values of these shapes.
    pub(crate) fn drawn(shapes: &[&[usize]]) -> Self {
        let drawn = |(seed, shape): (usize, &&[usize])| {
            (shape.to_vec(), values(seed, shape.iter().product()))
        };
        Self(shapes.iter().enumerate().map(drawn).collect())
    }

    fn plain(&self) -> Vec<Vec<f64>> {
        self.0.iter().map(|(_, values)| values.clone()).collect()
    }
}

pub(crate) fn var(shape: &[usize], values: &[f64]) -> Var {
    let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
    Var::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// A layer's variables by name.
pub(crate) fn vars(named: &[(&str, &Tensor)]) -> VarBuilder<'static> {
    let named = named.iter().map(|(name, tensor)| ((*name).to_owned(), (*tensor).clone()));
    let named: HashMap<String, Tensor> = named.collect();
    VarBuilder::from_tensors(named, candle_core::DType::F32, &Device::Cpu)
}

fn floats(tensor: &Tensor) -> Vec<f64> {
    let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
    values.into_iter().map(f64::from).collect()
}

fn agree(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: number of values");
    let size = expected.iter().fold(1e-3_f64, |most, value| most.max(value.abs()));
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs();
        assert!(error <= tolerance * size, "{what}, value {place}: {found}, expected {expected}");
    }
}

/// Layers as they are on a processor, and as they are on a GPU.
pub(crate) fn on_both(test: impl Fn()) {
    test();
    composed(test);
}

/// A layer over its inputs and variables must do what the plain one does, forwards and backwards: as
/// it is on a processor, and as it is on a GPU.
pub(crate) fn check(
    what: &str,
    given: &Given,
    layer: impl Fn(&[Tensor]) -> Result<Tensor>,
    plain: impl Fn(&[Vec<f64>]) -> Vec<f64>,
) {
    check_here(what, given, &layer, &plain);
    composed(|| check_here(&format!("{what}, composed"), given, &layer, &plain));
}

fn check_here(
    what: &str,
    given: &Given,
    layer: impl Fn(&[Tensor]) -> Result<Tensor>,
    plain: impl Fn(&[Vec<f64>]) -> Vec<f64>,
) {
    let held: Vec<Var> = given.0.iter().map(|(shape, values)| var(shape, values)).collect();
    let tensors: Vec<Tensor> = held.iter().map(|var| var.as_tensor().clone()).collect();
    let outputs = layer(&tensors).unwrap();
    let plain_inputs = given.plain();
    let expected = plain(&plain_inputs);
    agree(&format!("{what}: outputs"), &floats(&outputs), &expected, 2e-6 * 4.0);

    // The loss weighs every output by another number, so that no mistake cancels out.
    let weights = values(77, expected.len());
    let loss_weights = var(outputs.dims(), &weights);
    let loss = (&outputs * loss_weights.detach()).unwrap().sum_all().unwrap();
    let gradients = loss.backward().unwrap();
    let loss_at = |inputs: &[Vec<f64>]| -> f64 {
        plain(inputs).iter().zip(&weights).map(|(output, weight)| output * weight).sum()
    };
    for (number, var) in held.iter().enumerate() {
        let mut moved = plain_inputs.clone();
        let expected: Vec<f64> = (0..moved[number].len())
            .map(|place| {
                let here = moved[number][place];
                moved[number][place] = here + STEP;
                let above = loss_at(&moved);
                moved[number][place] = here - STEP;
                let below = loss_at(&moved);
                moved[number][place] = here;
                (above - below) / (2.0 * STEP)
            })
            .collect();
        let found = gradients.get(var).unwrap_or_else(|| panic!("{what}: input {number}: none"));
        agree(&format!("{what}: gradient of input {number}"), &floats(found), &expected, 2e-5);
    }
}
