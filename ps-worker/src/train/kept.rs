//! The best weights as a file that the master finds, and that becomes the model.

use ps_core::Layout;
use ps_core::keeping::{KEPT_FILE, Kept, kept_header};
use ps_core::model_file::MODEL_FILE;
use ps_core::safetensors_file::{self, Archive};
use ps_runtime::files::{FileStore, Replacement};
use safetensors::tensor::Dtype;
use std::io;

/// Writes weights, in layout order, and what was measured of them: whole, or not at all.
///
/// # Errors
/// They could not be written, in words.
pub(super) fn write(
    files: &dyn FileStore,
    layout: &Layout,
    kept: &Kept,
    weights: &[f32],
) -> Result<(), String> {
    let header = kept_header(layout, kept)?;
    let written = Replacement::new(files, KEPT_FILE).and_then(|mut file| {
        file.write_at(0, &header)?;
        // The machine is little-endian, as the file is.
        file.write_at(header.len() as u64, bytemuck::cast_slice(weights))?;
        file.commit()
    });
    written.map_err(|error| error.to_string())
}

/// Reads the weights that have become the model, in layout order; with their CRC-32. They are still where
/// they were kept, or have the model's name there.
///
/// # Errors
/// They cannot be read, or are another model's; in words.
pub(super) fn read_model(
    files: &dyn FileStore,
    layout: &Layout,
) -> Result<(Vec<f32>, u32), String> {
    let (name, bytes) = match files.read(KEPT_FILE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            (MODEL_FILE, files.read(MODEL_FILE))
        }
        read => (KEPT_FILE, read),
    };
    let bytes = bytes.map_err(|error| error.to_string())?;
    let failed = |problem: String| format!("{}/{name}: {problem}", files.location());
    let archive = safetensors_file::open(&bytes).map_err(|error| failed(error.to_string()))?;
    let weights = weights(&archive, layout).map_err(failed)?;
    let digest = crc32fast::hash(bytemuck::cast_slice(&weights));
    Ok((weights, digest))
}

fn weights(archive: &Archive<'_>, layout: &Layout) -> Result<Vec<f32>, String> {
    let mut weights = Vec::with_capacity(layout.elements());
    for tensor in layout.tensors() {
        let name = &tensor.name;
        let view = archive.tensors.tensor(name).map_err(|error| format!("`{name}`: {error}"))?;
        let (found, expected) = (view.shape(), tensor.shape.as_slice());
        if found != expected || view.dtype() != Dtype::F32 {
            let dtype = view.dtype();
            return Err(format!(
                "tensor `{name}`: found {dtype:?} of shape {found:?}, expected F32 of {expected:?}"
            ));
        }
        let (words, _) = view.data().as_chunks::<4>();
        weights.extend(words.iter().map(|word| f32::from_le_bytes(*word)));
    }
    Ok(weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ps_core::TensorSpec;
    use ps_runtime::files::SimulatedDisk;

    #[test]
    fn what_is_written_is_read_again() {
        let tensors = [TensorSpec::trainable("b", [2]), TensorSpec::trainable("a", [1, 2])];
        let layout = Layout::new(tensors.into()).unwrap();
        let files = SimulatedDisk::default();
        let values = [1.0, -2.0, f32::MIN_POSITIVE, 4.5];
        write(&files, &layout, &Kept::default(), &values).unwrap();
        let digest = crc32fast::hash(bytemuck::cast_slice(&values));
        assert_eq!(read_model(&files, &layout), Ok((values.to_vec(), digest)));
        files.rename(KEPT_FILE, MODEL_FILE).unwrap();
        assert_eq!(read_model(&files, &layout), Ok((values.to_vec(), digest)));
        let other = Layout::new(vec![TensorSpec::trainable("b", [3])]).unwrap();
        let error = read_model(&files, &other).unwrap_err();
        assert!(error.contains("`b`") && error.contains("[3]"), "{error}");
        files.remove(MODEL_FILE).unwrap();
        assert!(read_model(&files, &layout).unwrap_err().contains(MODEL_FILE));
    }
}
