//! Start weights from a model that was trained before, in the place of the seed's.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::more_classes::{MoreClasses, grown};
use candle_core::{DType, Device, Tensor};
use flate2::read::GzDecoder;
use ps_core::model_file::MODEL_FILE;
use ps_core::parameters::LINEAR_PATH;
use ps_core::safetensors_file::{self, Archive};
use ps_core::schema::{Column, SCHEMA_FILE, Schema};
use ps_core::{Layout, Task, TensorSpec};
use safetensors::tensor::{Dtype, TensorView};

/// Why a model cannot be started from.
#[derive(Debug, thiserror::Error)]
#[error("initial model {path}: {problem}")]
pub struct InitialError {
    path: PathBuf,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{0}; name a safetensors file, or a folder with {MODEL_FILE} or {ARCHIVE}")]
    Read(#[from] io::Error),
    #[error(transparent)]
    Format(#[from] safetensors_file::Error),
    #[error(
        "tensor `{name}` of shape {expected:?} is not in it; it has {found}; use the --model that it \
         was made with"
    )]
    Missing { name: String, expected: Vec<usize>, found: String },
    #[error(
        "tensor `{0}` is not in it: an `mlp` from before it had a linear path, or without one; to train it further give \
         --model-option linear-path=false, to use it add \"linear-path\": \"false\" to the options in its config.json"
    )]
    NoLinearPath(String),
    #[error(
        "tensor `{name}`: found shape {found:?}, expected {expected:?}; use the --model, its options \
         and data of the shape that it was made with"
    )]
    Shape { name: String, found: Vec<usize>, expected: Vec<usize> },
    #[error(
        "tensor `{name}`: found {found:?}, expected F32, F16 or BF16; save the model in one of them"
    )]
    Type { name: String, found: Dtype },
    #[error("tensor `{0}` holds values that are not finite; start from another")]
    NotFinite(String),
    #[error("tensor `{name}`: {error}")]
    Convert { name: String, error: candle_core::Error },
    #[error("{SCHEMA_FILE}: {0}")]
    Schema(String),
    #[error("it is for {found}, and the data are for {expected}")]
    Task { found: Task, expected: Task },
    #[error(
        "its table makes other inputs than that of the data ({difference}): take the model's understanding of the columns \
         with --schema {SCHEMA_FILE} of its folder; to start from the weights alone, name the file {MODEL_FILE}"
    )]
    Inputs { difference: String },
}

/// What a SageMaker job's model is packed into, and comes as when another job starts from it.
const ARCHIVE: &str = "model.tar.gz";

/// The weights of a model's layout, by name, from a safetensors file, a `.tar.gz` that holds a
/// `model.safetensors`, or a folder with one of these. What else is in the file is named in a warning.
///
/// # Errors
/// A tensor of the model is not there, has another shape, or cannot be used.
pub fn initial_weights(path: &Path, layout: &Layout) -> Result<Vec<f32>, InitialError> {
    let path = file_in(path);
    read(&path, layout, None).map_err(|problem| InitialError { path, problem })
}

/// The same for a model that has more classes than that in the file: what belongs to the new ones is 0.
///
/// # Errors
/// As [`initial_weights`].
pub fn initial_weights_of_fewer(
    path: &Path,
    layout: &Layout,
    more: MoreClasses,
) -> Result<Vec<f32>, InitialError> {
    let path = file_in(path);
    read(&path, layout, Some(more)).map_err(|problem| InitialError { path, problem })
}

/// Whether this names a model with what belongs to it, a folder or an archive, and not a file of weights alone.
pub fn is_whole_model(path: &Path) -> bool {
    path.is_dir() || is_packed(path)
}

/// What the model that training starts from was trained on, if that was a table and the model's folder, or archive, is named.
///
/// # Errors
/// It cannot be read.
pub fn initial_schema(path: &Path) -> Result<Option<Schema>, InitialError> {
    let file = file_in(path);
    let read = || {
        let text = match is_packed(&file) {
            true => packed(&file, SCHEMA_FILE),
            false if path.is_dir() => std::fs::read(path.join(SCHEMA_FILE)),
            false => return Ok(None),
        };
        match text {
            Ok(text) => Schema::from_json(&text).map(Some).map_err(Problem::Schema),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    };
    read().map_err(|problem| InitialError { path: path.to_owned(), problem })
}

/// Whether a model of one table can be trained further on another.
///
/// # Errors
/// The task is another, or the same line would make other inputs.
pub fn check_schema(path: &Path, initial: &Schema, data: &Schema) -> Result<(), InitialError> {
    let (found, expected) = (initial.task(), data.task());
    let problem = if found != expected {
        Problem::Task { found, expected }
    } else if let Some(difference) = difference(initial, data) {
        Problem::Inputs { difference }
    } else {
        return Ok(());
    };
    Err(InitialError { path: path.to_owned(), problem })
}

/// The first column that becomes something else, in words.
fn difference(initial: &Schema, data: &Schema) -> Option<String> {
    let inputs = |schema: &Schema| {
        let columns = schema.columns.iter().enumerate().filter(|(_, column)| column.is_input());
        let told = columns.map(|(at, column)| (schema.column_name(at), column.clone()));
        told.collect::<Vec<(String, Column)>>()
    };
    let (found, expected) = (inputs(initial), inputs(data));
    if found.len() != expected.len() {
        let (found, expected) = (found.len(), expected.len());
        return Some(format!("the model has {found} input columns, the data {expected}"));
    }
    let differs =
        |((name, column), (other_name, other)): &(&(String, Column), &(String, Column))| {
            name != other_name
                || column.usage != other.usage
                || (column.missing > 0) != (other.missing > 0)
        };
    let ((name, column), (other_name, other)) = found.iter().zip(&expected).find(differs)?;
    Some(format!(
        "the model has `{name}`: {}; the data have `{other_name}`: {}",
        column.words(),
        other.words()
    ))
}

fn is_packed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "gz")
}

fn read(path: &Path, layout: &Layout, more: Option<MoreClasses>) -> Result<Vec<f32>, Problem> {
    let file = if is_packed(path) { packed(path, MODEL_FILE)? } else { std::fs::read(path)? };
    let archive = safetensors_file::open(&file)?;
    let mut weights = Vec::with_capacity(layout.elements());
    for tensor in layout.tensors() {
        weights.extend(values(&archive, tensor, more)?);
    }
    let extra: Vec<String> =
        names(&archive).into_iter().filter(|name| layout.position(name).is_none()).collect();
    if !extra.is_empty() {
        let (path, extra) = (path.display(), extra.join(", "));
        tracing::warn!("initial model {path}: not in this model, and left out: {extra}");
    }
    Ok(weights)
}

/// The model in a folder: itself, or in the archive that a SageMaker job leaves.
fn file_in(path: &Path) -> PathBuf {
    if !path.is_dir() {
        return path.to_owned();
    }
    let archive = path.join(ARCHIVE);
    if archive.is_file() && !path.join(MODEL_FILE).is_file() {
        return archive;
    }
    path.join(MODEL_FILE)
}

/// A file in an archive.
fn packed(path: &Path, name: &str) -> io::Result<Vec<u8>> {
    let mut archive = tar::Archive::new(GzDecoder::new(std::fs::File::open(path)?));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.path()?.file_name().is_some_and(|its_name| its_name == name) {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            return Ok(content);
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no {name} in it")))
}

/// In the order of the alphabet: the library's is that of a hash.
fn names(archive: &Archive<'_>) -> Vec<String> {
    let mut names: Vec<String> = archive.tensors.names().into_iter().map(str::to_owned).collect();
    names.sort_unstable();
    names
}

fn values(
    archive: &Archive<'_>,
    tensor: &TensorSpec,
    more: Option<MoreClasses>,
) -> Result<Vec<f32>, Problem> {
    let (name, expected) = (tensor.name.clone(), tensor.shape.clone());
    let Ok(view) = archive.tensors.tensor(&tensor.name) else {
        let found = match names(archive).join(", ") {
            names if names.is_empty() => "none".to_owned(),
            names => names,
        };
        if name.starts_with(LINEAR_PATH) {
            return Err(Problem::NoLinearPath(name));
        }
        return Err(Problem::Missing { name, expected, found });
    };
    let is_grown = || more.is_some_and(|more| more.explain(view.shape(), &expected));
    if view.shape() != expected && !is_grown() {
        return Err(Problem::Shape { name, found: view.shape().to_vec(), expected });
    }
    let values = match view.dtype() {
        Dtype::F32 => {
            let (words, _) = view.data().as_chunks::<4>();
            words.iter().map(|word| f32::from_le_bytes(*word)).collect()
        }
        Dtype::F16 => widened(&name, &view, DType::F16)?,
        Dtype::BF16 => widened(&name, &view, DType::BF16)?,
        found => return Err(Problem::Type { name, found }),
    };
    if values.iter().all(|value| value.is_finite()) {
        return Ok(grown(values, view.shape(), &expected));
    }
    Err(Problem::NotFinite(name))
}

/// Every number of 16 bits is one of 32, so nothing is lost.
fn widened(name: &str, view: &TensorView<'_>, from: DType) -> Result<Vec<f32>, Problem> {
    let tensor = Tensor::from_raw_buffer(view.data(), from, view.shape(), &Device::Cpu);
    let values = tensor.and_then(|tensor| tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1());
    values.map_err(|error| Problem::Convert { name: name.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ps_core::model_file::to_safetensors;
    use safetensors::tensor::serialize;

    fn layout(tensors: &[(&str, &[usize])]) -> Layout {
        let tensors = tensors.iter().map(|(name, shape)| TensorSpec::trainable(*name, *shape));
        Layout::new(tensors.collect()).unwrap()
    }

    /// What comes of reading this file.
    fn read_file(file: &[u8], layout: &Layout) -> Result<Vec<f32>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(MODEL_FILE);
        std::fs::write(&path, file).unwrap();
        let by_folder = initial_weights(folder.path(), layout).map_err(|e| e.to_string());
        assert_eq!(by_folder, initial_weights(&path, layout).map_err(|e| e.to_string()));
        by_folder
    }

    #[test]
    fn what_was_written_is_started_from() {
        let layout = layout(&[("b", &[2]), ("a", &[2, 2]), ("s", &[])]);
        let weights: Vec<f32> = (0..7).map(|i| i as f32 * 0.3).collect();
        assert_eq!(read_file(&to_safetensors(&layout, &weights).unwrap(), &layout), Ok(weights));
    }

    #[test]
    fn a_jobs_archive_is_started_from() {
        let layout = layout(&[("a", &[2])]);
        let file = to_safetensors(&layout, &[1.0, 2.0]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let archive = |name: &str| {
            let packed = std::fs::File::create(folder.path().join(ARCHIVE)).unwrap();
            let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(
                packed,
                flate2::Compression::fast(),
            ));
            let mut header = tar::Header::new_gnu();
            header.set_size(file.len() as u64);
            builder.append_data(&mut header, name, &file[..]).unwrap();
            builder.into_inner().unwrap().finish().unwrap();
            initial_weights(folder.path(), &layout).map_err(|error| error.to_string())
        };
        assert_eq!(archive("./model.safetensors"), Ok(vec![1.0, 2.0]));
        assert!(archive("other").unwrap_err().contains("there is no model.safetensors in it"));
    }

    #[test]
    fn what_else_is_there_is_left_out() {
        let more = layout(&[("a", &[1]), ("b", &[2]), ("c", &[3])]);
        let file = to_safetensors(&more, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        assert_eq!(read_file(&file, &layout(&[("b", &[2])])), Ok(vec![2.0, 3.0]));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let file = to_safetensors(&layout(&[("a", &[2, 3])]), &[f32::NAN; 6]).unwrap();
        let refused = |model: &[(&str, &[usize])]| read_file(&file, &layout(model)).unwrap_err();
        let other = refused(&[("a", &[3, 2])]);
        assert!(other.contains("`a`: found shape [2, 3], expected [3, 2]"), "{other}");
        let missing = refused(&[("b", &[1])]);
        assert!(missing.contains("`b` of shape [1]") && missing.contains("it has a"), "{missing}");
        assert!(refused(&[("a", &[2, 3])]).contains("`a` holds values that are not finite"));
        let path_missing = refused(&[("linear-path.bias", &[1])]);
        assert!(path_missing.contains("linear-path=false"), "{path_missing}");
        let no_file = read_file(b"{}", &layout(&[("a", &[1])])).unwrap_err();
        assert!(no_file.contains(MODEL_FILE) && no_file.contains("not a safetensors"), "{no_file}");
        let nowhere = initial_weights(Path::new("no/such"), &layout(&[("a", &[1])])).unwrap_err();
        assert!(nowhere.to_string().contains("no/such"), "{nowhere}");
    }

    #[test]
    fn sixteen_bits_are_widened_and_other_types_refused() {
        let file = |dtype, data: &[u8]| {
            let view = TensorView::new(dtype, vec![2], data).unwrap();
            serialize([("a", view)], None).unwrap()
        };
        let model = layout(&[("a", &[2])]);
        let half = file(Dtype::F16, &[0x00, 0x3c, 0x00, 0xc1]);
        assert_eq!(read_file(&half, &model), Ok(vec![1.0, -2.5]));
        let brain = file(Dtype::BF16, &[0x80, 0x3f, 0x20, 0xc0]);
        assert_eq!(read_file(&brain, &model), Ok(vec![1.0, -2.5]));
        let double = read_file(&file(Dtype::F64, &[0; 16]), &model).unwrap_err();
        assert!(double.contains("`a`: found F64, expected F32"), "{double}");
    }
}
