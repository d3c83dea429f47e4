//! Parameters of layers that are made of candle's operations: the gradient of each is handed over as
//! soon as it is finished, and not kept until the whole backward pass is.

use super::gradients::{deliver_tensor, is_collected, used, used_rows};
use super::tensor::{floats, made};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
#[cfg(feature = "cuda")]
use candle_core::{CudaStorage, backend::BackendStorage};

/// A parameter for one use in candle's operations.
pub(super) fn watched(parameter: &Tensor) -> Result<Tensor> {
    if !is_collected(parameter) {
        return Ok(parameter.clone());
    }
    used(parameter);
    parameter.apply_op1(Watched)
}

/// The same for some rows of a table, rising.
pub(super) fn watched_rows(table: &Tensor, rows: Vec<u32>) -> Result<Tensor> {
    let numbers = Tensor::new(rows.as_slice(), table.device())?;
    if !is_collected(table) {
        return table.index_select(&numbers, 0);
    }
    used_rows(table, &rows);
    // Candle's own way back would make a gradient as large as the table.
    table.detach().index_select(&numbers, 0)?.apply_op2(table, WatchedRows(rows))
}

struct Watched;

impl CustomOp1 for Watched {
    fn name(&self) -> &'static str {
        "parameter"
    }

    fn cpu_fwd(&self, values: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        made(floats(values, layout)?.to_vec(), layout.shape())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, values: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        copied(values, layout)
    }

    fn bwd(&self, parameter: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        deliver_tensor(parameter, None, gradient)
    }
}

/// Rows that were taken out of a table.
struct WatchedRows(Vec<u32>);

impl CustomOp2 for WatchedRows {
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
        made(floats(rows, layout)?.to_vec(), layout.shape())
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
        Ok((None, deliver_tensor(table, Some(self.0.clone()), gradient)?))
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
