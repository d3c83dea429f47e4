//! What became of a push.

use ps_proto::v1;

/// What became of one push.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushReport {
    /// Largest staleness over its chunks.
    pub staleness: u64,
    /// Chunks that the servers refused because of a value that is not finite.
    pub chunks_refused: u64,
}

impl From<&v1::PushReply> for PushReport {
    fn from(reply: &v1::PushReply) -> Self {
        Self { staleness: reply.staleness_max, chunks_refused: reply.refused.len() as u64 }
    }
}

/// The report of a push from those of its shards.
impl FromIterator<PushReport> for PushReport {
    fn from_iter<I: IntoIterator<Item = Self>>(reports: I) -> Self {
        reports.into_iter().fold(Self::default(), |all, one| Self {
            staleness: all.staleness.max(one.staleness),
            chunks_refused: all.chunks_refused + one.chunks_refused,
        })
    }
}
