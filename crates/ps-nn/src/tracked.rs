//! Parameters of layers that are made of candle's operations: the gradient of each is handed over as
//! soon as it is finished, and not kept until the whole backward pass is.

use crate::collector::with_collector;
use crate::delivery::{deliver_gradient, mark_rows_used, mark_used};
use crate::parameter_gradient::ParameterGradient;
use crate::tensor::{cpu_output, floats};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
#[cfg(feature = "cuda")]
use candle_core::{CudaStorage, backend::BackendStorage};

/// A parameter for one use in candle's operations: its gradient is delivered as soon as they have it.
///
/// # Errors
/// What candle says.
pub fn tracked(parameter: &Tensor) -> Result<Tensor> {
    tracked_with_l2(parameter, 0.0)
}

/// The same; `l2` times the parameter is added to its gradient.
///
/// # Errors
/// What candle says.
pub(crate) fn tracked_with_l2(parameter: &Tensor, l2: f32) -> Result<Tensor> {
    let collected = is_collected(parameter);
    if !collected && l2 == 0.0 {
        return Ok(parameter.clone());
    }
    if collected {
        mark_used(parameter);
    }
    parameter.apply_op1(TrackedOp { l2 })
}

/// The same for some rows of a table, rising.
///
/// # Errors
/// A number beyond the table.
pub fn tracked_rows(table: &Tensor, rows: Vec<u32>) -> Result<Tensor> {
    let numbers = Tensor::new(rows.as_slice(), table.device())?;
    if !is_collected(table) {
        return table.index_select(&numbers, 0);
    }
    mark_rows_used(table, &rows);
    // Candle's own way back would make a gradient as large as the table.
    table.detach().index_select(&numbers, 0)?.apply_op2(table, TrackedRowsOp(rows))
}

fn is_collected(parameter: &Tensor) -> bool {
    with_collector(parameter, |_, _| ()).is_some()
}

struct TrackedOp {
    l2: f32,
}

impl CustomOp1 for TrackedOp {
    fn name(&self) -> &'static str {
        "parameter"
    }

    fn cpu_fwd(&self, values: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        cpu_output(floats(values, layout)?.to_vec(), layout.shape())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, values: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        copied(values, layout)
    }

    fn bwd(&self, parameter: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let with_l2 = match self.l2 {
            0.0 => None,
            l2 => Some((gradient + parameter.detach().affine(f64::from(l2), 0.0)?)?),
        };
        let gradient = with_l2.as_ref().unwrap_or(gradient);
        deliver_gradient(parameter, ParameterGradient::of_tensor(None, gradient)?)
    }
}

/// Rows that were taken out of a table.
struct TrackedRowsOp(Vec<u32>);

impl CustomOp2 for TrackedRowsOp {
    fn name(&self) -> &'static str {
        "rows"
    }

    fn cpu_fwd(
        &self,
        rows: &CpuStorage,
        layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        cpu_output(floats(rows, layout)?.to_vec(), layout.shape())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        rows: &CudaStorage,
        layout: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        copied(rows, layout)
    }

    fn bwd(
        &self,
        _: &Tensor,
        table: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = ParameterGradient::of_tensor(Some(self.0.clone()), gradient)?;
        Ok((None, deliver_gradient(table, gradient)?))
    }
}

/// A copy on the GPU.
#[cfg(feature = "cuda")]
fn copied(values: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
    if layout.start_offset() != 0 || !layout.is_contiguous() {
        candle_core::bail!("a parameter that is a part of another tensor: {layout:?}");
    }
    Ok((values.try_clone(layout)?, layout.shape().clone()))
}
