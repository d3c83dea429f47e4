//! Calls about checkpoints, as a server takes them and the master gives them.

use super::{Error, check_counts};
use crate::v1;
use ps_core::checkpoint::{File, FileError};
use ps_core::limits::{CHECKPOINTS_KEPT_MAX, SHARDS_MAX};
use ps_core::model_spec::ModelSpec;
use std::collections::BTreeSet;

impl From<&File> for v1::CheckpointFile {
    fn from(file: &File) -> Self {
        Self {
            name: file.name.clone(),
            shard: file.shard,
            bytes: file.bytes,
            crc: file.crc,
            first_chunk: file.chunks.start,
            chunks: file.chunks.len() as u32,
        }
    }
}

impl TryFrom<v1::CheckpointFile> for File {
    type Error = Error;

    fn try_from(wire: v1::CheckpointFile) -> Result<Self, Error> {
        let file = Self {
            name: wire.name,
            shard: wire.shard,
            bytes: wire.bytes,
            crc: wire.crc,
            chunks: wire.first_chunk..wire.first_chunk.saturating_add(wire.chunks),
        };
        match file.check() {
            Ok(()) => Ok(file),
            Err(FileError { problem, .. }) => {
                Err(Error::invalid("CheckpointFile", problem.what, problem.found, problem.expected))
            }
        }
    }
}

/// What a server is asked to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRequest {
    /// The checkpoint.
    pub number: u64,
    /// Complete checkpoints whose files stay.
    pub keep: BTreeSet<u64>,
}

impl TryFrom<&v1::SnapshotRequest> for SnapshotRequest {
    type Error = Error;

    fn try_from(request: &v1::SnapshotRequest) -> Result<Self, Error> {
        const NAME: &str = "SnapshotRequest";
        Error::check(NAME, "keep", request.keep.len(), 0..=CHECKPOINTS_KEPT_MAX)?;
        check_counts(NAME, [("epoch", request.epoch), ("number", request.number)])?;
        Ok(Self { number: request.number, keep: request.keep.iter().copied().collect() })
    }
}

/// What a server is asked to go on from.
#[derive(Clone, Debug, PartialEq)]
pub struct RestoreRequest {
    /// The checkpoint.
    pub number: u64,
    /// As the model is to be held.
    pub model: ModelSpec,
    /// All files of the checkpoint.
    pub files: Vec<File>,
    /// Only say whether it could be done.
    pub verify_only: bool,
}

impl TryFrom<v1::RestoreRequest> for RestoreRequest {
    type Error = Error;

    fn try_from(request: v1::RestoreRequest) -> Result<Self, Error> {
        const NAME: &str = "RestoreRequest";
        Error::check(NAME, "files", request.files.len(), 1..=SHARDS_MAX as usize)?;
        let (epoch, life) = (request.epoch, request.life);
        check_counts(NAME, [("epoch", epoch), ("life", life), ("number", request.number)])?;
        let model = request.model.ok_or(Error::Missing { message: NAME, field: "model" })?;
        let model = ModelSpec::try_from(model)?;
        if request.shard >= model.shards {
            let expected = format!("more than {}, the shard of the call", request.shard);
            return Err(Error::invalid(NAME, "model.shards", model.shards, expected));
        }
        let files: Result<Vec<_>, _> = request.files.into_iter().map(File::try_from).collect();
        Ok(Self { number: request.number, model, files: files?, verify_only: request.verify_only })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;
    use ps_core::checkpoint::names;
    use ps_core::limits::{CONTROL_MESSAGE_BYTES_MAX, DIMENSIONS_MAX, NAME_BYTES_MAX, TENSORS_MAX};

    fn file() -> File {
        let name = names::shard_file(7, 1, 3);
        File { name, shard: 1, bytes: 100, crc: u32::MAX, chunks: 10..20 }
    }

    #[test]
    fn a_file_survives_the_wire() {
        let wire = v1::CheckpointFile::from(&file());
        assert_eq!(File::try_from(wire.clone()), Ok(file()));
        let outside = v1::CheckpointFile { name: format!("/etc/{}", wire.name), ..wire };
        let error = File::try_from(outside).unwrap_err().to_string();
        assert!(error.contains("`name`") && error.contains("/etc/"), "{error}");
    }

    /// What could be saved can be restored: the most tensors with the longest names, of the most servers.
    #[test]
    fn regression_the_largest_layout_fits_into_a_restore() {
        let name = "n".repeat(NAME_BYTES_MAX);
        let shape = vec![u64::from(u32::MAX); DIMENSIONS_MAX];
        // As large as it can be.
        let rule = (Some(f32::MAX), Some(f32::MAX));
        let tensor =
            v1::Tensor { name, shape, kind: 2, learning_rate_scale: rule.0, weight_decay: rule.1 };
        let model =
            Some(v1::ModelSpec { tensors: vec![tensor; TENSORS_MAX], ..Default::default() });
        let files = vec![v1::CheckpointFile::from(&file()); SHARDS_MAX as usize];
        let request = v1::RestoreRequest { model, files, ..Default::default() };
        let bytes = request.encoded_len();
        assert!(bytes < CONTROL_MESSAGE_BYTES_MAX * 9 / 10, "{bytes} bytes");
    }

    #[test]
    fn a_flood_is_refused() {
        let keep = vec![1; CHECKPOINTS_KEPT_MAX + 1];
        let request = v1::SnapshotRequest { keep, ..Default::default() };
        assert!(SnapshotRequest::try_from(&request).is_err());
        let files = vec![v1::CheckpointFile::from(&file()); SHARDS_MAX as usize + 1];
        let request = v1::RestoreRequest { files, ..Default::default() };
        assert!(RestoreRequest::try_from(request).unwrap_err().to_string().contains("`files`"));
        assert!(RestoreRequest::try_from(v1::RestoreRequest::default()).is_err());
    }
}
