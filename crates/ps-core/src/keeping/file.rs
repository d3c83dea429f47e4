//! The file of weights that are kept: a model's, whose metadata say what was measured.
//!
//! One file, so that weights and what is said of them are never of two evaluations.

use super::Kept;
use crate::Layout;
use crate::limits::SAFETENSORS_HEADER_BYTES_MAX;
use crate::model_file::header_with;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What the metadata call it.
const ENTRY: &str = "psrun.kept";

/// Bytes before a safetensors file's header: its length.
pub const HEADER_LENGTH_BYTES: usize = size_of::<u64>();

/// The beginning of the file; the weights follow as they are laid out, little-endian.
///
/// # Errors
/// A layout that the format cannot hold, in words.
pub fn kept_header(layout: &Layout, kept: &Kept) -> Result<Vec<u8>, String> {
    let text = serde_json::to_string(kept).map_err(|error| error.to_string())?;
    header_with(layout, Some((ENTRY, text))).map_err(|error| error.to_string())
}

/// How many bytes the header has, by the first bytes of its file.
///
/// # Errors
/// No header is so long, in words.
pub fn header_bytes(first: [u8; HEADER_LENGTH_BYTES]) -> Result<usize, String> {
    let length = u64::from_le_bytes(first);
    let bytes = usize::try_from(length).ok().filter(|it| *it <= SAFETENSORS_HEADER_BYTES_MAX);
    bytes.ok_or_else(|| format!("not a safetensors file: a header of {length} bytes"))
}

/// What a file's header says.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptFile {
    /// What was measured.
    pub kept: Kept,
    /// Bytes of the weights, which follow the header.
    pub weight_bytes: u64,
}

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    metadata: BTreeMap<String, String>,
    #[serde(flatten)]
    tensors: BTreeMap<String, Place>,
}

#[derive(Deserialize)]
struct Place {
    data_offsets: (u64, u64),
}

impl KeptFile {
    /// Reads a header, without its length; `None` where it says nothing of an evaluation.
    ///
    /// # Errors
    /// It is no header, in words.
    pub fn read(header: &[u8]) -> Result<Option<Self>, String> {
        let wrong = |error: serde_json::Error| format!("its header cannot be read: {error}");
        let Header { metadata, tensors } = serde_json::from_slice(header).map_err(wrong)?;
        let Some(text) = metadata.get(ENTRY) else {
            return Ok(None);
        };
        let kept = serde_json::from_str(text).map_err(wrong)?;
        let weight_bytes = tensors.values().map(|place| place.data_offsets.1).max().unwrap_or(0);
        Ok(Some(Self { kept, weight_bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TensorSpec;
    use crate::model_file::header;

    #[test]
    fn a_header_says_what_was_measured() {
        let layout = Layout::new(vec![TensorSpec::trainable("w", [2, 3])]).unwrap();
        let kept = Kept { measure: "auc".into(), value: 0.1 + 0.2, pass: 3, ..Kept::default() };
        let file = kept_header(&layout, &kept).unwrap();
        let (first, rest) = file.split_first_chunk().unwrap();
        assert_eq!(header_bytes(*first), Ok(rest.len()));
        assert_eq!(KeptFile::read(rest), Ok(Some(KeptFile { kept, weight_bytes: 24 })));
        let plain = header(&layout).unwrap();
        assert_eq!(KeptFile::read(&plain[HEADER_LENGTH_BYTES..]), Ok(None), "of no evaluation");
        assert!(KeptFile::read(b"{").is_err());
        assert!(header_bytes([0xff; 8]).is_err());
    }
}
