//! Candle's tensors as slices, and back.

use candle_core::{CpuStorage, Layout, Result, Shape, Storage, StorageRef, Tensor};
use std::cell::Cell;
use std::ops::Deref;

/// The values of a contiguous tensor.
///
/// # Errors
/// It is not contiguous, or not `f32`.
pub fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (start, end) = offsets(layout)?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

fn offsets(layout: &Layout) -> Result<(usize, usize)> {
    match layout.contiguous_offsets() {
        Some(offsets) => Ok(offsets),
        None => candle_core::bail!("a tensor of strides {:?}, not contiguous", layout.stride()),
    }
}

thread_local! {
    static COMPOSED: Cell<bool> = const { Cell::new(false) };
}

/// Runs something with all layers made of candle's operations, as they are on a GPU: to test that
/// where there is none, and to compare.
pub fn composed<R>(run: impl FnOnce() -> R) -> R {
    composed_if(true, run)
}

/// The same, or with layers as they are on a processor.
pub fn composed_if<R>(is_composed: bool, run: impl FnOnce() -> R) -> R {
    /// Puts it back even when the thread's work panics: the thread lives on.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            COMPOSED.set(self.0);
        }
    }
    let _before = Before(COMPOSED.replace(is_composed));
    run()
}

/// Whether this runs within [`composed`].
pub fn is_composed() -> bool {
    COMPOSED.get()
}

/// Whether a layer over this tensor is one operation of ours, and not made of candle's.
pub fn has_kernel(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && !is_composed()
}

/// The values of a tensor on the processor, contiguous, as long as this is held.
pub struct Floats<'a> {
    storage: StorageRef<'a>,
    range: std::ops::Range<usize>,
}

impl<'a> Floats<'a> {
    /// Looks at a tensor.
    ///
    /// # Errors
    /// It is not contiguous, not `f32` or not on the processor.
    pub fn of(tensor: &'a Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        let (start, end) = offsets(layout)?;
        match &*storage {
            Storage::Cpu(CpuStorage::F32(_)) => Ok(Self { storage, range: start..end }),
            _ => candle_core::bail!("a tensor that is not f32 on the processor"),
        }
    }
}

impl Deref for Floats<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.range.clone()],
            _ => &[],
        }
    }
}

/// What a forward pass on the processor returns.
///
/// # Errors
/// None; for the end of a function that has some.
pub fn cpu_output(values: Vec<f32>, shape: impl Into<Shape>) -> Result<(CpuStorage, Shape)> {
    Ok((CpuStorage::F32(values), shape.into()))
}

/// Values as a tensor of the shape of another, beside it.
///
/// # Errors
/// Other values than the shape has.
pub fn tensor_like(values: Vec<f32>, tensor: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(values, tensor.shape(), tensor.device())
}

/// Rows of a tensor, whose last dimension they are, and their length.
pub(super) fn rows_of(shape: &Shape) -> Result<(usize, usize)> {
    let Some(&columns) = shape.dims().last() else {
        candle_core::bail!("a tensor without dimensions, expected at least one");
    };
    Ok((shape.elem_count() / columns.max(1), columns))
}

/// The same shape with another last dimension.
pub(super) fn with_last(shape: &Shape, columns: usize) -> Shape {
    let mut dims = shape.dims().to_vec();
    dims.iter_mut().next_back().into_iter().for_each(|last| *last = columns);
    Shape::from(dims)
}
