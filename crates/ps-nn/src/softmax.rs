//! Softmax over the last dimension.

use crate::kernels::softmax::{softmax_row_back, softmax_rows};
use crate::tensor::{Floats, cpu_output, floats, has_kernel, rows_of, tensor_like};
use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor};

/// `exp(value) / sum(exp)` over the last dimension.
///
/// # Errors
/// A tensor without dimensions.
pub fn softmax(inputs: &Tensor) -> Result<Tensor> {
    let inputs = inputs.contiguous()?;
    if has_kernel(&inputs) {
        inputs.apply_op1(SoftmaxOp)
    } else {
        candle_nn::ops::softmax(&inputs, D::Minus1)
    }
}

struct SoftmaxOp;

impl CustomOp1 for SoftmaxOp {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, inputs: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, columns) = rows_of(layout.shape())?;
        let mut values = floats(inputs, layout)?.to_vec();
        softmax_rows(&mut values, columns);
        cpu_output(values, layout.shape())
    }

    fn bwd(&self, inputs: &Tensor, outputs: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (_, columns) = rows_of(inputs.shape())?;
        let gradient = gradient.contiguous()?;
        let mut of_inputs = Floats::of(&gradient)?.to_vec();
        let rows = of_inputs.chunks_exact_mut(columns.max(1));
        for (row, outputs) in rows.zip(Floats::of(outputs)?.chunks_exact(columns.max(1))) {
            softmax_row_back(outputs, row);
        }
        tensor_like(of_inputs, inputs).map(Some)
    }
}
