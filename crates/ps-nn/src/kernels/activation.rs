//! Functions of one value, and their derivatives.

use super::exponential::{sigmoid, tanh};
use multiversion::multiversion;

/// A function that a layer applies to each of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The value where it is more than zero, else zero; its derivative at zero is zero.
    Relu,
    /// `x / 2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))` (Hendrycks and Gimpel, 2016), the
    /// approximation that PyTorch calls `tanh`.
    Gelu,
    /// `x sigmoid(x)`, also called swish (Elfwing et al., 2018).
    Silu,
    /// The hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

/// sqrt(2 / pi).
const GELU_SCALE: f32 = 0.797_884_6;
const GELU_CUBE: f32 = 0.044_715;

/// Writes the function of each input.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn activate(activation: Activation, inputs: &[f32], outputs: &mut [f32]) {
    let values = outputs.iter_mut().zip(inputs);
    match activation {
        Activation::Relu => values.for_each(|(y, &x)| *y = if x < 0.0 { 0.0 } else { x }),
        Activation::Gelu => values.for_each(|(y, &x)| *y = 0.5 * x * (1.0 + gelu_tanh(x))),
        Activation::Silu => values.for_each(|(y, &x)| *y = x * sigmoid(x)),
        Activation::Tanh => values.for_each(|(y, &x)| *y = tanh(x)),
        Activation::Sigmoid => values.for_each(|(y, &x)| *y = sigmoid(x)),
    }
}

/// Writes the gradients of the inputs; `outputs` is what [`activate`] wrote for them.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
pub(crate) fn activate_back(
    activation: Activation,
    inputs: &[f32],
    outputs: &[f32],
    of_outputs: &[f32],
    of_inputs: &mut [f32],
) {
    let values = of_inputs.iter_mut().zip(of_outputs).zip(inputs.iter().zip(outputs));
    match activation {
        Activation::Relu => {
            values.for_each(|((dx, dy), (_, &y))| *dx = if y <= 0.0 { 0.0 } else { *dy });
        }
        Activation::Gelu => values.for_each(|((dx, dy), (&x, _))| *dx = dy * gelu_slope(x)),
        Activation::Silu => values.for_each(|((dx, dy), (&x, &y))| {
            let part = sigmoid(x);
            *dx = dy * (part + y * (1.0 - part));
        }),
        Activation::Tanh => values.for_each(|((dx, dy), (_, &y))| *dx = dy * (1.0 - y * y)),
        Activation::Sigmoid => values.for_each(|((dx, dy), (_, &y))| *dx = dy * y * (1.0 - y)),
    }
}

#[inline(always)]
fn gelu_tanh(x: f32) -> f32 {
    tanh(GELU_SCALE * (x + GELU_CUBE * x * x * x))
}

#[inline(always)]
fn gelu_slope(x: f32) -> f32 {
    let bend = gelu_tanh(x);
    let inner = GELU_SCALE * (1.0 + 3.0 * GELU_CUBE * x * x);
    0.5 * (1.0 + bend) + 0.5 * x * (1.0 - bend * bend) * inner
}
