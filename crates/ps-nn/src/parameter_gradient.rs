//! The gradient of one parameter, wherever it was computed.

use candle_core::{Result, Tensor};

use super::kernels::add_to;

/// The gradient of one parameter, or of some rows of it.
#[derive(Clone, Debug)]
pub(super) struct ParameterGradient {
    /// The rows that have a gradient, rising; `None` for all.
    rows: Option<Vec<u32>>,
    pub(super) location: Location,
}

/// Where the values are, row after row.
#[derive(Clone, Debug)]
pub(super) enum Location {
    Host(Vec<f32>),
    /// On a GPU, which may still be computing them.
    Device(Tensor),
}

impl ParameterGradient {
    /// Of these rows, or of all.
    pub(super) fn new(rows: Option<Vec<u32>>, values: Vec<f32>) -> Self {
        Self { rows, location: Location::Host(values) }
    }

    /// The values of a tensor; what a GPU has stays there for now.
    pub(super) fn of_tensor(rows: Option<Vec<u32>>, tensor: &Tensor) -> Result<Self> {
        let location = match tensor.device().is_cpu() {
            true => Location::Host(read(tensor)?),
            false => Location::Device(tensor.clone()),
        };
        Ok(Self { rows, location })
    }

    /// A tensor of the parameter's shape, on its device.
    pub(super) fn into_tensor(self, parameter: &Tensor) -> Result<Tensor> {
        if let (None, Location::Device(tensor)) = (&self.rows, &self.location) {
            return Ok(tensor.clone());
        }
        let (rows, mut values) = self.into_host()?;
        if let Some(rows) = rows {
            let held = std::mem::replace(&mut values, vec![0.0; parameter.elem_count()]);
            add_rows_to(&mut values, &rows, &held);
        }
        Tensor::from_vec(values, parameter.shape(), parameter.device())
    }

    /// The sum of two gradients of one parameter.
    pub(super) fn added(self, more: Self) -> Result<Self> {
        if let (None, None, Location::Device(held), Location::Device(more)) =
            (&self.rows, &more.rows, &self.location, &more.location)
        {
            return Ok(Self { rows: None, location: Location::Device((held + more)?) });
        }
        let ((rows, mut sum), (others, mut more)) = (self.into_host()?, more.into_host()?);
        Ok(match (rows, others) {
            (None, None) => {
                add_to(&mut sum, &more);
                Self::new(None, sum)
            }
            (None, Some(others)) => {
                add_rows_to(&mut sum, &others, &more);
                Self::new(None, sum)
            }
            (Some(rows), None) => {
                add_rows_to(&mut more, &rows, &sum);
                Self::new(None, more)
            }
            (Some(mut rows), Some(others)) => {
                let width = sum.len() / rows.len().max(1);
                rows.extend(others);
                sum.extend(more);
                let (rows, values) = summed(&rows, &sum, width);
                Self::new(Some(rows), values)
            }
        })
    }

    /// None at all: of no row.
    pub(super) fn none() -> Self {
        Self::new(Some(Vec::new()), Vec::new())
    }

    /// The same with zeros for what else there is of these rows, or of the whole parameter.
    pub(super) fn covering(self, rows: Option<Vec<u32>>, parameter: &Tensor) -> Result<Self> {
        if self.rows.is_none() || self.rows == rows {
            return Ok(self);
        }
        let count = parameter.elem_count();
        let values = match &rows {
            Some(rows) => rows.len() * (count / parameter.dim(0)?.max(1)),
            None => count,
        };
        Self::new(rows, vec![0.0; values]).added(self)
    }

    fn into_host(self) -> Result<(Option<Vec<u32>>, Vec<f32>)> {
        let values = match self.location {
            Location::Host(values) => values,
            Location::Device(tensor) => read(&tensor)?,
        };
        Ok((self.rows, values))
    }
}

fn read(tensor: &Tensor) -> Result<Vec<f32>> {
    tensor.flatten_all()?.to_vec1()
}

/// Adds rows one after another to those of a table.
fn add_rows_to(table: &mut [f32], rows: &[u32], values: &[f32]) {
    let width = values.len() / rows.len().max(1);
    for (row, values) in rows.iter().zip(values.chunks_exact(width.max(1))) {
        let begin = *row as usize * width;
        add_to(&mut table[begin..begin + width], values);
    }
}

/// Rows that may occur several times, summed; rising.
pub(super) fn summed(rows: &[u32], values: &[f32], width: usize) -> (Vec<u32>, Vec<f32>) {
    let mut order: Vec<(u32, usize)> = rows.iter().copied().zip(0..).collect();
    order.sort_unstable();
    let mut unique: Vec<u32> = Vec::new();
    let mut sums: Vec<f32> = Vec::new();
    for (row, place) in order {
        let values = &values[place * width..(place + 1) * width];
        if unique.last() == Some(&row) {
            let begin = sums.len() - width;
            add_to(&mut sums[begin..], values);
        } else {
            unique.push(row);
            sums.extend_from_slice(values);
        }
    }
    (unique, sums)
}
