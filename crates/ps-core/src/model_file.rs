//! The model as a file that candle, PyTorch and everything else reads: safetensors.

use crate::Layout;
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use std::collections::HashMap;

/// The name of the model's file.
pub const MODEL_FILE: &str = "model.safetensors";

/// Values begin at a multiple of this, as every writer of the format does it.
const ALIGNMENT: usize = 8;

/// The beginning of the model's file. The weights follow as they are laid out, little-endian, so that they
/// can be written as they come.
///
/// # Errors
/// The layout is none that the format can hold.
pub fn header(layout: &Layout) -> Result<Vec<u8>, SafeTensorError> {
    header_with(layout, None)
}

/// The same with one more entry of metadata.
///
/// # Errors
/// As [`header`].
pub fn header_with(
    layout: &Layout,
    entry: Option<(&str, String)>,
) -> Result<Vec<u8>, SafeTensorError> {
    let info = |(position, tensor): (usize, &crate::TensorSpec)| {
        let range = layout.range(position);
        let data_offsets = (range.start * size_of::<f32>(), range.end * size_of::<f32>());
        let info = TensorInfo { dtype: Dtype::F32, shape: tensor.shape.clone(), data_offsets };
        (tensor.name.clone(), info)
    };
    // What PyTorch's readers look for.
    let mut metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    metadata.extend(entry.map(|(name, value)| (name.to_owned(), value)));
    let tensors = layout.tensors().iter().enumerate().map(info).collect();
    let mut text = serde_json::to_vec(&Metadata::new(Some(metadata), tensors)?)?;
    text.resize(text.len().next_multiple_of(ALIGNMENT), b' ');
    let mut header = (text.len() as u64).to_le_bytes().to_vec();
    header.append(&mut text);
    Ok(header)
}

/// The weights as safetensors, by name.
///
/// # Errors
/// The weights do not fit the layout.
pub fn to_safetensors(layout: &Layout, weights: &[f32]) -> Result<Vec<u8>, SafeTensorError> {
    if weights.len() != layout.elements() {
        return Err(SafeTensorError::TensorInvalidInfo);
    }
    let mut file = header(layout)?;
    // The machine is little-endian, as the file is: `chunk` checks it when it is compiled.
    file.extend_from_slice(bytemuck::cast_slice(weights));
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TensorKind, TensorSpec};
    use safetensors::SafeTensors;

    #[test]
    fn tensors_are_found_by_name() {
        let state = TensorSpec { name: "a".into(), shape: vec![1], kind: TensorKind::State };
        let tensors =
            vec![TensorSpec::trainable("w", [2, 2]), TensorSpec::trainable("b", Vec::new()), state];
        let layout = Layout::new(tensors).unwrap();
        let file = to_safetensors(&layout, &[9.0, 1.0, 2.0, 3.0, 4.0, 7.0]).unwrap();
        let read = SafeTensors::deserialize(&file).unwrap();
        assert_eq!(read.tensor("w").unwrap().shape(), [2, 2]);
        assert_eq!(read.tensor("b").unwrap().data(), 9.0_f32.to_le_bytes());
        assert_eq!(read.tensor("a").unwrap().data(), 7.0_f32.to_le_bytes());
        assert_eq!(header(&layout).unwrap().len() % ALIGNMENT, 0);
        assert!(to_safetensors(&layout, &[1.0]).is_err());
    }
}
