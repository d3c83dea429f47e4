//! Why a member's data do not go together with the others', in words.

use super::MemberId;
use crate::data_description::DataKind;

/// Why a member's data do not go together with the others'.
#[allow(missing_docs)]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataMismatch {
    /// It has all samples, and the others have another number.
    #[error(
        "the worker at {asker} sees {found} training samples, the others see {expected}: all \
         workers of a job need the same data, or --sharded when each has a share of its own"
    )]
    Samples { asker: String, found: u64, expected: u64 },
    /// Its samples are somebody's own, and the others' are not.
    #[error(
        "{asker} has {found}, {other} has {expected}: give all of them, and the evaluator, the \
         same options for their data"
    )]
    Kind { asker: String, found: DataKind, other: String, expected: DataKind },
    /// Its samples have another shape.
    #[error(
        "{asker} has samples of shape {found:?}, {other} has samples of shape {expected:?}: all \
         data of a job must be of one set"
    )]
    Shape { asker: String, found: Vec<u64>, other: String, expected: Vec<u64> },
    /// Its samples have other columns that are looked up.
    #[error(
        "{asker} looks up {found}, {other} looks up {expected} (columns, and how many ids of each): all data of a job must be \
         of one set, read with the same options (--embed)"
    )]
    Ids { asker: String, found: String, other: String, expected: String },
    /// Its labels are of another kind.
    #[error(
        "{asker} has labels for the task {found}, {other} for the task {expected}: all data of a job must be of one set, \
         read with the same options (--task, --label)"
    )]
    Task { asker: String, found: String, other: String, expected: String },
    /// It is to learn something else.
    #[error(
        "{asker} learns `{found}`, {other} learns `{expected}`: give all members the same --label, --task, --loss and \
         weights"
    )]
    Objective { asker: String, found: String, other: String, expected: String },
    /// The model has fewer classes than its labels.
    #[error(
        "{asker} has labels of {found} classes, and the model was built for {expected} before it \
         came: start all members together, or give --classes {found} to each"
    )]
    Classes { asker: String, found: u32, expected: u32 },
    /// The place's share is another one.
    #[error(
        "{asker} has {found} training samples, and the share of {member} has {expected}: start it \
         with the data, or the --worker-index, that it had before"
    )]
    Share { member: MemberId, asker: String, found: u64, expected: u64 },
    /// It has samples that nobody can train on.
    #[error(
        "the evaluator at {asker} has {samples} training samples of its own: start it with \
         --serve-samples ADDR, so that workers can train on them"
    )]
    NotServed { asker: String, samples: u64 },
}
