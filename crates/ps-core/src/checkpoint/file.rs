//! One shard's file as a checkpoint's manifest lists it.

use super::names;
use crate::ids::ShardId;
use crate::limits::{CHECKPOINT_FILE_BYTES_MAX, MODEL_ELEMENTS_MAX, SHARDS_MAX};
use crate::unexpected::Unexpected;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// One shard's file of a checkpoint: what its writer answered with and the manifest keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Without a folder.
    pub name: String,
    /// Who wrote it.
    pub shard: ShardId,
    /// How long it is.
    pub bytes: u64,
    /// CRC-32 of all of it.
    pub crc: u32,
    /// Elements of the whole model that it holds.
    pub elements: Range<u64>,
}

/// Why a file is not a checkpoint's, or not the one that it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("checkpoint file `{name}`: {problem}")]
pub struct FileError {
    /// The name given.
    pub name: String,
    /// What does not fit.
    pub problem: Unexpected,
}

impl FileError {
    /// Says in which file.
    pub(super) fn of(name: &str) -> impl Fn(Unexpected) -> Self {
        move |problem| Self { name: name.to_owned(), problem }
    }
}

impl File {
    /// Checks what can be checked without the file: above all that the name is one of ours and
    /// leads to no other folder.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self) -> Result<(), FileError> {
        self.check_fields().map_err(FileError::of(&self.name))
    }

    fn check_fields(&self) -> Result<(), Unexpected> {
        let Some(parsed) = names::parse_shard_file(&self.name) else {
            let example = names::shard_file(7, 0, 2);
            return Err(Unexpected::new("name", &self.name, format!("a name like `{example}`")));
        };
        let (shard, shards) = (parsed.shard, parsed.shards);
        let expected = format!("{shard} as in the name");
        Unexpected::unless(shard == self.shard, "shard", self.shard, expected)?;
        let expected = format!("at most {SHARDS_MAX}");
        Unexpected::unless(shards <= SHARDS_MAX, "shards", shards, expected)?;
        let expected = format!("at most {CHECKPOINT_FILE_BYTES_MAX}");
        let fits = self.bytes <= CHECKPOINT_FILE_BYTES_MAX;
        Unexpected::unless(fits, "bytes", self.bytes, expected)?;
        let Range { start, end } = self.elements;
        let expected = format!("a range within 0..{MODEL_ELEMENTS_MAX}");
        let fits = start <= end && end <= MODEL_ELEMENTS_MAX;
        Unexpected::unless(fits, "elements", format!("{start}..{end}"), expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> File {
        let name = names::shard_file(7, 1, 3);
        File { name, shard: 1, bytes: 100, crc: 1, elements: 10..20 }
    }

    #[test]
    fn bad_files_are_named() {
        assert_eq!(file().check(), Ok(()));
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = 20..10;
        let cases = [
            (File { name: format!("../{}", file().name), ..file() }, "name"),
            (File { shard: 2, ..file() }, "shard"),
            (File { name: names::shard_file(7, 1, SHARDS_MAX + 1), ..file() }, "shards"),
            (File { bytes: u64::MAX, ..file() }, "bytes"),
            (File { elements: reversed, ..file() }, "elements"),
            (File { elements: 0..u64::MAX, ..file() }, "elements"),
        ];
        for (file, what) in cases {
            let error = file.check().unwrap_err();
            assert_eq!(error.problem.what, what, "{error}");
            assert!(error.to_string().contains(&file.name), "{error}");
        }
    }
}
