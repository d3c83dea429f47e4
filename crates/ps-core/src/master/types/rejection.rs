//! Why a call is refused.

use super::{DataMismatch, MemberId};
use crate::ids::{Incarnation, Life};

/// Why a call is refused.
#[allow(missing_docs)]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The place is held by a live process.
    #[error(
        "{member} is taken by a live process at {holder}; the one at {asker} gets it when that \
         one's lease is over"
    )]
    Taken { member: MemberId, holder: String, asker: String },
    /// Every rank is held by a live process.
    #[error(
        "all {workers} worker ranks are taken (by {holders}); the worker at {asker} can join when \
         one is free: start fewer workers or the master with a larger --workers"
    )]
    Full { workers: u32, holders: String, asker: String },
    /// There is no such shard or rank.
    #[error(
        "{member} at {asker}: this job has {count}, numbered from 0; start it with another index"
    )]
    NoSuchMember { member: MemberId, asker: String, count: u32 },
    /// A server did not say which shard it holds.
    #[error("the server at {asker} names no shard: start it with --shard I")]
    NoIndex { asker: String },
    /// The member has other data than the others.
    #[error(transparent)]
    DataMismatch(#[from] DataMismatch),
    /// The worker sees no data.
    #[error("the worker at {asker} sees no training samples: check its --data")]
    NoSamples { asker: String },
    /// The caller's lease expired, or it never registered.
    #[error("{member} incarnation {found} is over, the next is {current}: register anew")]
    Stale { member: MemberId, found: Incarnation, current: Incarnation },
    /// A server holds what another life of the job left there.
    #[error(
        "{member} at {asker} holds weights of life {found} of the job, and this is life {current}: \
         start it anew, with nothing in it"
    )]
    OtherLife { member: MemberId, asker: String, found: Life, current: Life },
    /// A checkpoint is wanted of a job that keeps none.
    #[error("this job keeps no checkpoints: start it with --checkpoints DIR")]
    NoCheckpoints,
    /// A checkpoint is wanted before there is anything to save.
    #[error("nothing is trained yet: ask again when the first step is done")]
    NothingTrained,
    /// A checkpoint is wanted when the last one is about to be written.
    #[error("the job is ending: it writes its last checkpoint by itself")]
    Ending,
    /// Another program, or the checkpoint, has other samples.
    #[error(
        "{member} at {asker} has {found} samples, and {known} are known: every worker's program takes the job's samples from \
         the same data set; a job that goes on with other data takes another --checkpoints folder"
    )]
    OtherSamples { member: MemberId, asker: String, found: u64, known: u64 },
    /// A program measured something else than what the job compares.
    #[error(
        "{options}: a program reported {known}, and no {measure}; name one of them with --keep-measure"
    )]
    OtherMeasure { options: String, measure: String, known: String },
    /// A program sends weights that nobody asked for.
    #[error(
        "no weights of {member} are wanted: they are sent after a report of measures that are the best so far, where the job has \
         --keep best"
    )]
    NoWeightsWanted { member: MemberId },
    /// Nobody joins any more.
    #[error("the job is over: {reason}")]
    JobOver { reason: String },
}
