//! Between layers and whoever collects gradients: a layer's forward pass says which parameters it
//! uses, its backward pass delivers their gradients, to the collector on this thread, or to candle's
//! own store where there is none.

use candle_core::{CustomOp3, Result, Tensor};

use crate::collector::with_collector;
use crate::parameter_gradient::ParameterGradient;

/// A layer's forward pass uses a parameter: once for each gradient that it will deliver.
pub fn mark_used(parameter: &Tensor) {
    with_collector(parameter, |collector, position| collector.mark_used(position, None));
}

/// A layer's forward pass uses these rows of a parameter.
pub fn mark_rows_used(parameter: &Tensor, rows: &[u32]) {
    with_collector(parameter, |collector, position| collector.mark_used(position, Some(rows)));
}

/// A buffer for the gradient of a parameter; what is in it counts for nothing.
pub fn gradient_buffer(parameter: &Tensor) -> Vec<f32> {
    let length = parameter.elem_count();
    with_collector(parameter, |collector, _| collector.buffer(length))
        .unwrap_or_else(|| vec![0.0; length])
}

/// A layer's backward pass has the gradient of a parameter; what is returned is for candle.
///
/// # Errors
/// Other values than the parameter has, or more deliveries of it than uses.
pub fn deliver(parameter: &Tensor, values: Vec<f32>) -> Result<Option<Tensor>> {
    check_length(&values, parameter.elem_count())?;
    deliver_gradient(parameter, ParameterGradient::new(None, values))
}

/// The same for some rows of a table, rising; `values` has the rows one after another.
///
/// # Errors
/// As [`deliver`].
pub fn deliver_rows(
    parameter: &Tensor,
    rows: Vec<u32>,
    values: Vec<f32>,
) -> Result<Option<Tensor>> {
    let width = parameter.elem_count() / parameter.dim(0)?.max(1);
    check_length(&values, rows.len() * width)?;
    deliver_gradient(parameter, ParameterGradient::new(Some(rows), values))
}

fn check_length(values: &[f32], expected: usize) -> Result<()> {
    if values.len() != expected {
        candle_core::bail!("a gradient of {} values, expected {expected}", values.len());
    }
    Ok(())
}

/// Gives the gradient back, for candle, where nobody collects it.
pub(crate) fn deliver_gradient(
    parameter: &Tensor,
    gradient: ParameterGradient,
) -> Result<Option<Tensor>> {
    if !parameter.track_op() {
        return Ok(None);
    }
    let mut gradient = Some(gradient);
    let delivered = with_collector(parameter, |collector, position| {
        gradient.take().map_or(Ok(()), |gradient| collector.deliver(position, gradient))
    });
    delivered.transpose()?;
    gradient.map(|gradient| gradient.into_tensor(parameter)).transpose()
}

/// An operation of a layer with a weight and a bias.
pub(crate) fn apply_with_parameters(
    inputs: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    operation: impl CustomOp3 + Send + Sync + 'static,
) -> Result<Tensor> {
    mark_used(weight);
    mark_used(bias);
    inputs.apply_op3(weight, bias, operation)
}
