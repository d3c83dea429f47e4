//! The model as a file that candle, PyTorch and everything else reads: safetensors.

use crate::Layout;
use safetensors::tensor::{Dtype, TensorView, serialize};
use std::collections::HashMap;

/// The name of the model's file.
pub const MODEL_FILE: &str = "model.safetensors";

/// The weights as safetensors, by name.
///
/// # Errors
/// The weights do not fit the layout.
pub fn to_safetensors(
    layout: &Layout,
    weights: &[f32],
) -> Result<Vec<u8>, safetensors::SafeTensorError> {
    // The machine is little-endian, as the file is: `chunk` checks it when it is compiled.
    let bytes: &[u8] = bytemuck::cast_slice(weights);
    let mut views = Vec::with_capacity(layout.tensors().len());
    for (position, tensor) in layout.tensors().iter().enumerate() {
        let range = layout.range(position);
        let values = bytes.get(range.start * 4..range.end * 4).unwrap_or_default();
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), values)?;
        views.push((tensor.name.as_str(), view));
    }
    // What PyTorch's readers look for.
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    serialize(views, Some(metadata))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TensorSpec;
    use safetensors::SafeTensors;

    #[test]
    fn tensors_are_found_by_name() {
        let tensors =
            vec![TensorSpec::trainable("w", [2, 2]), TensorSpec::trainable("b", Vec::new())];
        let layout = Layout::new(tensors).unwrap();
        let file = to_safetensors(&layout, &[9.0, 1.0, 2.0, 3.0, 4.0]).unwrap();
        let read = SafeTensors::deserialize(&file).unwrap();
        assert_eq!(read.tensor("w").unwrap().shape(), [2, 2]);
        assert_eq!(read.tensor("b").unwrap().data(), 9.0_f32.to_le_bytes());
        assert!(to_safetensors(&layout, &[1.0]).is_err());
    }
}
