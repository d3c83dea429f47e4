//! Why a call is refused.

use super::Seat;
use crate::ids::Incarnation;
use crate::master::other_data::OtherData;

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The place is held by a live process.
    #[error(
        "{seat} is taken by a live process at {holder}; the one at {asker} gets it when that \
         one's lease is over"
    )]
    Taken {
        /// Which place.
        seat: Seat,
        /// Where its holder is.
        holder: String,
        /// Where the caller is.
        asker: String,
    },
    /// Every rank is held by a live process.
    #[error(
        "all {workers} worker ranks are taken (by {holders}); the worker at {asker} can join when \
         one is free: start fewer workers or the master with a larger --workers"
    )]
    Full {
        /// How many there are.
        workers: u32,
        /// Where their holders are.
        holders: String,
        /// Where the caller is.
        asker: String,
    },
    /// There is no such shard or rank.
    #[error(
        "{seat} at {asker}: this job has {count}, numbered from 0; start it with another index"
    )]
    NoSuchPlace {
        /// What was asked for.
        seat: Seat,
        /// Where the caller is.
        asker: String,
        /// How many places there are.
        count: u32,
    },
    /// A server did not say which shard it holds.
    #[error("the server at {asker} names no shard: start it with --shard I")]
    NoIndex {
        /// Where the caller is.
        asker: String,
    },
    /// The member has other data than the others.
    #[error(transparent)]
    OtherData(#[from] OtherData),
    /// The worker sees no data.
    #[error("the worker at {asker} sees no training samples: check its --data")]
    NoSamples {
        /// Where the caller is.
        asker: String,
    },
    /// The caller's lease expired, or it never registered.
    #[error("{seat} incarnation {found} is over, the next is {current}: register anew")]
    Stale {
        /// Whose.
        seat: Seat,
        /// The caller's.
        found: Incarnation,
        /// The place's.
        current: Incarnation,
    },
    /// Nobody joins any more.
    #[error("the job is over: {reason}")]
    JobOver {
        /// Why.
        reason: String,
    },
}
