//! Opens safetensors files that nobody vouches for.

use crate::limits::SAFETENSORS_HEADER_BYTES_MAX;
use safetensors::tensor::TensorInfo;
use safetensors::{SafeTensorError, SafeTensors};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Bytes before the header: its length.
const LENGTH_BYTES: usize = size_of::<u64>();

/// Why a file is not a safetensors file.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    /// Its header does not describe it.
    #[error("not a safetensors file, or damaged: {0}")]
    Library(#[from] SafeTensorError),
    /// Its header is not what a header is.
    #[error("not a safetensors file, or damaged: its header: {0}")]
    Header(#[from] serde_json::Error),
    /// It ends early.
    #[error(
        "not a safetensors file, or cut short: {needed} bytes by its header, {found} are there"
    )]
    Short { needed: u64, found: usize },
}

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__", default)]
    metadata: BTreeMap<String, String>,
    #[serde(flatten)]
    tensors: BTreeMap<String, TensorInfo>,
}

/// An open file.
#[derive(Debug)]
pub struct Archive<'a> {
    /// Its tensors.
    pub tensors: SafeTensors<'a>,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
}

/// Opens a file's bytes. Nothing is allocated by what the file claims, only by what it holds.
///
/// The library adds the offsets of a header without looking for an overflow, so that a hostile one
/// could lead it beyond the file: they are checked here first.
///
/// # Errors
/// It is no safetensors file.
pub fn open(bytes: &[u8]) -> Result<Archive<'_>, Error> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return Err(Error::Short { needed: LENGTH_BYTES as u64, found: bytes.len() });
    };
    let length = u64::from_le_bytes(*length);
    if length > SAFETENSORS_HEADER_BYTES_MAX as u64 {
        return Err(SafeTensorError::HeaderTooLarge.into());
    }
    let short = |after: u64| {
        let needed = after.saturating_add(LENGTH_BYTES as u64);
        Error::Short { needed, found: bytes.len() }
    };
    let (header, data) = rest.split_at_checked(length as usize).ok_or(short(length))?;
    let header: Header = serde_json::from_slice(header)?;
    let end = header.tensors.values().map(|info| info.data_offsets.1).max().unwrap_or(0);
    if end > data.len() {
        return Err(short(length.saturating_add(end as u64)));
    }
    Ok(Archive { tensors: SafeTensors::deserialize(bytes)?, metadata: header.metadata })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use safetensors::tensor::{Dtype, TensorView, serialize};

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend(vec![0; data]);
        file
    }

    #[test]
    fn offsets_beyond_the_file_are_refused() {
        let tensor = |name: u8, start: usize, end: usize| {
            let shape = end - start;
            format!(r#""{name}":{{"dtype":"U8","shape":[{shape}],"data_offsets":[{start},{end}]}}"#)
        };
        let eighth = usize::MAX / 8;
        let huge: Vec<String> =
            (0..8).map(|i| tensor(i as u8, i * eighth, (i + 1) * eighth)).collect();
        let error = open(&file(&format!("{{{}}}", huge.join(",")), 4)).unwrap_err();
        assert!(matches!(error, Error::Short { .. }), "{error}");
        assert!(matches!(open(&[0; 7]), Err(Error::Short { .. })));
        assert!(matches!(open(&u64::MAX.to_le_bytes()), Err(Error::Library(_))));
        assert!(matches!(open(&file("{", 0)), Err(Error::Header(_))));
        assert!(open(&file(&format!("{{{}}}", tensor(0, 0, 4)), 4)).is_ok());
        assert!(open(&file(&format!("{{{}}}", tensor(0, 0, 4)), 5)).is_err());
    }

    proptest! {
        #[test]
        fn damaged_files_never_panic(position in 0_usize..200, value: u8, end in 0_usize..200) {
            let data = [1_u8; 16];
            let view = TensorView::new(Dtype::F32, vec![2, 2], &data).unwrap();
            let metadata = Some([("a".to_owned(), "b".to_owned())].into());
            let mut file = serialize([("t", view)], metadata).unwrap();
            let archive = open(&file).unwrap();
            prop_assert_eq!(archive.metadata["a"].as_str(), "b");
            prop_assert!(archive.tensors.tensor("t").is_ok());
            let position = position.min(file.len() - 1);
            file[position] = value;
            if let Ok(archive) = open(&file) {
                prop_assert!(archive.tensors.tensors().len() <= 1);
            }
            let end = end.min(file.len() - 1);
            prop_assert!(open(&file[..end]).is_err());
        }
    }
}
