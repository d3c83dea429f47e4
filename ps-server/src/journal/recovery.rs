//! From a folder to the shard that it holds.

use super::JournalError;
use super::stored::{ReadFrom, StoredJournal};
use super::whole::number_of;
use ps_core::ids::ShardId;
use ps_core::journal::Base;
use ps_core::shard::Shard;
use ps_runtime::files::Files;
use std::time::Duration;

/// What a folder holds, once the shard is made of it.
pub(crate) struct Recovered {
    /// The number of the next segment, and how much of the one before it counts.
    pub(crate) next: (u64, u64),
    /// Whether there was a shard.
    pub(crate) is_based: bool,
    /// Bytes of records that were replayed.
    pub(crate) replayed_bytes: u64,
}

/// Makes the shard again from its folder, or finds that nothing is there yet: then what is left of an attempt that
/// never held a model is removed.
///
/// # Errors
/// What is there belongs to another job or shard, to one that has ended, or was changed.
pub(crate) fn recover(
    (files, job): (&Files, &str),
    shard: &Shard,
    now: Duration,
) -> Result<Recovered, JournalError> {
    let Some(journal) = StoredJournal::find(files, ReadFrom::Newest)? else {
        for name in files.list()?.iter().filter(|name| number_of(name).is_some()) {
            files.remove(name)?;
        }
        return Ok(Recovered { next: (1, 0), is_based: false, replayed_bytes: 0 });
    };
    check_owner(journal.base(), job, shard.index())?;
    if let Some(end) = journal.end()? {
        return Err(JournalError::Ended { job: end.job });
    }
    journal.recover(shard, now)?;
    let read = journal.read(&mut |record| shard.replay(record))?;
    if read.torn_bytes > 0 {
        tracing::info!(
            "the last {} bytes of the journal are no whole batch, as a crash leaves them: nothing in them was acknowledged",
            read.torn_bytes
        );
    }
    shard.restore_clocks(now);
    Ok(Recovered { next: (read.next, read.end), is_based: true, replayed_bytes: read.bytes })
}

fn check_owner(base: &Base, job: &str, shard: ShardId) -> Result<(), JournalError> {
    if base.job == job && base.shard == shard {
        return Ok(());
    }
    let named = |job: &str, shard: ShardId| format!("shard {shard} of job `{job}`");
    Err(JournalError::Other { found: named(&base.job, base.shard), expected: named(job, shard) })
}

#[cfg(test)]
mod tests;
