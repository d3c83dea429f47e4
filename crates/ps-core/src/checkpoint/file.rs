//! One shard's file as a checkpoint's manifest lists it.

use super::names;
use crate::ids::{ChunkId, ShardId};
use crate::limits::{CHECKPOINT_FILE_BYTES_MAX, SHARDS_MAX};
use crate::model_spec::ModelSpec;
use crate::partition::Partition;
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
    /// CRC-32 of its header, in which there is one of the rest.
    pub crc: u32,
    /// Chunks of the model that it holds.
    pub chunks: Range<ChunkId>,
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
        let Range { start, end } = self.chunks;
        Unexpected::unless(start <= end, "chunks", format!("{start}..{end}"), "a range")
    }
}

/// Checks that these are all files of a checkpoint of this model, in the order of their shards.
///
/// # Errors
/// A file is of another checkpoint, missing or twice, or they do not tile the model.
pub fn check_files(files: &[File], number: u64, spec: &ModelSpec) -> Result<(), FileError> {
    let shards = files.len() as u32;
    let partition = Partition::new(&spec.layout, spec.chunk_elements, shards);
    for (shard, file) in (0..).zip(files) {
        file.check()?;
        let (name, run) = (names::shard_file(number, shard, shards), partition.run(shard));
        Unexpected::unless(file.name == name, "name", &file.name, &name)
            .and_then(|()| {
                let (found, expected) = (format!("{:?}", file.chunks), format!("{run:?}"));
                Unexpected::unless(file.chunks == run, "chunks", found, expected)
            })
            .map_err(FileError::of(&file.name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> File {
        let name = names::shard_file(7, 1, 3);
        File { name, shard: 1, bytes: 100, crc: 1, chunks: 10..20 }
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
            (File { chunks: reversed, ..file() }, "chunks"),
        ];
        for (file, what) in cases {
            let error = file.check().unwrap_err();
            assert_eq!(error.problem.what, what, "{error}");
            assert!(error.to_string().contains(&file.name), "{error}");
        }
    }
}
