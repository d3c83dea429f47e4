//! Lookup of rows in a table.

use crate::delivery::{deliver_rows, mark_rows_used};
use crate::parameter_gradient::summed;
use crate::tensor::{Floats, cpu_output, floats, has_kernel};
use crate::tracked::tracked_rows;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};
use candle_nn::{Init, VarBuilder};

/// A table of rows that are looked up by number. The gradient has the rows that were, and no others:
/// the optimizer does not touch the rest.
#[derive(Clone, Debug)]
pub struct Embedding {
    table: Tensor,
}

impl Embedding {
    /// A table with the variable `weight` of the shape `[rows, width]`, normal with this deviation.
    ///
    /// # Errors
    /// What the variables' source says.
    pub fn new(rows: usize, width: usize, deviation: f64, vars: VarBuilder) -> Result<Self> {
        let start = Init::Randn { mean: 0.0, stdev: deviation };
        Ok(Self { table: vars.get_with_hints((rows, width), "weight", start)? })
    }

    /// The rows `[.., width]` of these numbers, `u32` of any shape.
    ///
    /// # Errors
    /// A number beyond the table.
    pub fn forward(&self, numbers: &Tensor) -> Result<Tensor> {
        let values: Vec<u32> = numbers.to_dtype(DType::U32)?.flatten_all()?.to_vec1()?;
        let rows = self.table.dim(0)?;
        if let Some(number) = values.iter().find(|number| **number as usize >= rows) {
            candle_core::bail!("row {number} of a table of {rows}");
        }
        if !has_kernel(&self.table) {
            return self.composed(&values, numbers.dims());
        }
        mark_rows_used(&self.table, &values);
        self.table.apply_op1(EmbeddingOp { numbers: values, shape: numbers.dims().to_vec() })
    }

    fn composed(&self, numbers: &[u32], shape: &[usize]) -> Result<Tensor> {
        let mut rows = numbers.to_vec();
        rows.sort_unstable();
        rows.dedup();
        // Every number is among the rows.
        let place = |number| rows.partition_point(|row| row < number) as u32;
        let places: Vec<u32> = numbers.iter().map(place).collect();
        let places = Tensor::new(places, self.table.device())?;
        let shape = [shape, &[self.table.dim(1)?]].concat();
        tracked_rows(&self.table, rows)?.index_select(&places, 0)?.reshape(shape)
    }
}

struct EmbeddingOp {
    numbers: Vec<u32>,
    shape: Vec<usize>,
}

impl CustomOp1 for EmbeddingOp {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn cpu_fwd(&self, table: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, width) = layout.shape().dims2()?;
        let table = floats(table, layout)?;
        let mut values = Vec::with_capacity(self.numbers.len() * width);
        for &number in &self.numbers {
            let number = number as usize;
            values.extend_from_slice(&table[number * width..(number + 1) * width]);
        }
        let mut shape = self.shape.clone();
        shape.push(width);
        cpu_output(values, shape)
    }

    fn bwd(&self, table: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        let (rows, values) = summed(&self.numbers, &Floats::of(&gradient)?, table.dim(1)?);
        deliver_rows(table, rows, values)
    }
}
