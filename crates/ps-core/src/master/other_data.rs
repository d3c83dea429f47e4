//! Why a member's data do not go together with the others', in words.

use super::types::Seat;
use crate::data_description::DataKind;

/// Why a member's data do not go together with the others'.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OtherData {
    /// It has all samples, and the others have another number.
    #[error(
        "the worker at {asker} sees {found} training samples, the others see {expected}: all \
         workers of a job need the same data, or --sharded when each has a share of its own"
    )]
    Samples {
        /// Where the member is.
        asker: String,
        /// What it sees.
        found: u64,
        /// What the others see.
        expected: u64,
    },
    /// Its samples are somebody's own, and the others' are not.
    #[error(
        "{asker} has {found}, {other} has {expected}: give all of them, and the evaluator, the \
         same options for their data"
    )]
    Kind {
        /// Which member, and where it is.
        asker: String,
        /// What it has.
        found: DataKind,
        /// Another member, and where it is.
        other: String,
        /// What that one has.
        expected: DataKind,
    },
    /// Its samples have another shape.
    #[error(
        "{asker} has samples of shape {found:?}, {other} has samples of shape {expected:?}: all \
         data of a job must be of one set"
    )]
    Shape {
        /// Which member, and where it is.
        asker: String,
        /// What its samples are like.
        found: Vec<u64>,
        /// Another member, and where it is.
        other: String,
        /// What that one's samples are like.
        expected: Vec<u64>,
    },
    /// The model has fewer classes than its labels.
    #[error(
        "{asker} has labels of {found} classes, and the model was built for {expected} before it \
         came: start all members together, or give --classes {found} to each"
    )]
    Classes {
        /// Which member, and where it is.
        asker: String,
        /// Classes of its labels.
        found: u32,
        /// Classes of the model.
        expected: u32,
    },
    /// The place's share is another one.
    #[error(
        "{asker} has {found} training samples, and the share of {seat} has {expected}: start it \
         with the data, or the --worker-index, that it had before"
    )]
    Share {
        /// Whose share it is.
        seat: Seat,
        /// Which member, and where it is.
        asker: String,
        /// What it has.
        found: u64,
        /// What the share has.
        expected: u64,
    },
    /// It has samples that nobody can train on.
    #[error(
        "the evaluator at {asker} has {samples} training samples of its own: start it with \
         --serve-samples ADDR, so that workers can train on them"
    )]
    NotServed {
        /// Where it is.
        asker: String,
        /// How many there are.
        samples: u64,
    },
}
