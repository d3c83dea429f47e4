//! Calls about checkpoints, as a server takes them and the master gives them.

use super::{Error, check_counts};
use crate::v1;
use ps_core::checkpoint::{File, FileError};
use ps_core::ids::WorkerId;
use ps_core::limits::{CHECKPOINTS_KEPT_MAX, SHARDS_MAX, WORKERS_MAX};
use ps_core::master::CheckpointProgress;
use ps_core::model_spec::ModelSpec;
use ps_core::shard::{CutEnd, CutEnds, CutId};
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

/// Which pushes are in a cut, for the wire.
pub fn cut_ends_to_wire(ends: &CutEnds) -> Vec<v1::CutEnd> {
    let end = |(&worker, end): (&WorkerId, &CutEnd)| {
        let CutEnd { incarnation, seq } = *end;
        v1::CutEnd { worker, incarnation, seq }
    };
    ends.0.iter().map(end).collect()
}

/// Which pushes are in a cut.
///
/// # Errors
/// A worker or a number that there cannot be, or a worker that is named twice.
pub fn cut_ends(name: &'static str, wire: &[v1::CutEnd]) -> Result<CutEnds, Error> {
    let mut ends = CutEnds::default();
    for &v1::CutEnd { worker, incarnation, seq } in wire {
        Error::check(name, "ends.worker", worker, 0..=WORKERS_MAX - 1)?;
        check_counts(name, [("ends.incarnation", incarnation), ("ends.seq", seq)])?;
        if ends.0.insert(worker, CutEnd { incarnation, seq }).is_some() {
            return Err(Error::invalid(name, "ends.worker", worker, "each worker once"));
        }
    }
    Ok(ends)
}

/// Which cut a server is asked to take part in.
///
/// # Errors
/// Numbers that there cannot be.
pub fn cut_id(request: &v1::PrepareCutRequest) -> Result<CutId, Error> {
    let (epoch, number, attempt) = (request.epoch, request.number, request.attempt);
    check_counts("PrepareCutRequest", [("epoch", epoch), ("number", number)])?;
    Ok(CutId { epoch, number, attempt })
}

impl From<(u64, CheckpointProgress)> for v1::CheckpointNowReply {
    fn from((number, progress): (u64, CheckpointProgress)) -> Self {
        use v1::checkpoint_now_reply::State;
        let (state, reason) = match progress {
            CheckpointProgress::Writing => (State::Writing, String::new()),
            CheckpointProgress::Written => (State::Written, String::new()),
            CheckpointProgress::Failed(reason) => (State::Failed, reason),
        };
        Self { number, state: state.into(), reason }
    }
}

impl TryFrom<v1::CheckpointNowReply> for (u64, CheckpointProgress) {
    type Error = Error;

    fn try_from(reply: v1::CheckpointNowReply) -> Result<Self, Error> {
        use v1::checkpoint_now_reply::State;
        let progress = match reply.state() {
            State::Writing => CheckpointProgress::Writing,
            State::Written => CheckpointProgress::Written,
            State::Failed => CheckpointProgress::Failed(reply.reason),
            State::Unspecified => {
                let field = "state";
                return Err(Error::Missing { message: "CheckpointNowReply", field });
            }
        };
        Ok((reply.number, progress))
    }
}

/// What a server is asked to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRequest {
    /// The cut, with the checkpoint's number.
    pub cut: CutId,
    /// Which pushes are in it.
    pub ends: CutEnds,
    /// Complete checkpoints whose files stay.
    pub keep: BTreeSet<u64>,
}

impl TryFrom<&v1::SnapshotRequest> for SnapshotRequest {
    type Error = Error;

    fn try_from(request: &v1::SnapshotRequest) -> Result<Self, Error> {
        const NAME: &str = "SnapshotRequest";
        Error::check(NAME, "keep", request.keep.len(), 0..=CHECKPOINTS_KEPT_MAX)?;
        check_counts(NAME, [("epoch", request.epoch), ("number", request.number)])?;
        let (epoch, number, attempt) = (request.epoch, request.number, request.attempt);
        let ends = cut_ends(NAME, &request.ends)?;
        let keep = request.keep.iter().copied().collect();
        Ok(Self { cut: CutId { epoch, number, attempt }, ends, keep })
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
    fn what_a_cut_ends_with_survives_the_wire_and_no_worker_is_named_twice() {
        let end = |incarnation, seq| CutEnd { incarnation, seq };
        let ends = CutEnds([(0, end(3, 7)), (5, end(1, 0))].into());
        let wire = cut_ends_to_wire(&ends);
        assert_eq!(cut_ends("SnapshotRequest", &wire), Ok(ends));
        let twice = cut_ends("SnapshotRequest", &[wire[0], wire[0]]).unwrap_err().to_string();
        assert!(twice.contains("each worker once"), "{twice}");
        for wrong in [
            v1::CutEnd { worker: WORKERS_MAX, ..wire[0] },
            v1::CutEnd { seq: u64::MAX, ..wire[0] },
            v1::CutEnd { incarnation: u64::MAX, ..wire[0] },
        ] {
            assert!(cut_ends("SnapshotRequest", &[wrong]).is_err(), "{wrong:?}");
        }
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
