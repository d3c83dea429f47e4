//! From a folder to the shard that it holds.

use super::JournalError;
use super::whole::number_of;
use ps_core::checkpoint::{Assembly, RestoredShard, StoredShard};
use ps_core::ids::ShardId;
use ps_core::journal::{Base, Record, Segment, SegmentError, names};
use ps_core::model_spec::ModelSpec;
use ps_core::shard::Shard;
use ps_core::unexpected::Unexpected;
use ps_runtime::files::Files;
use std::collections::BTreeSet;
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
/// What is there belongs to another job or shard, or was changed.
pub(crate) fn recover(
    (files, job): (&Files, &str),
    shard: &Shard,
    now: Duration,
) -> Result<Recovered, JournalError> {
    let names = files.list()?;
    let Some(number) = names.iter().filter_map(|name| names::parse_base_file(name)).max() else {
        for name in names.iter().filter(|name| number_of(name).is_some()) {
            files.remove(name)?;
        }
        return Ok(Recovered { next: (1, 0), is_based: false, replayed_bytes: 0 });
    };
    let name = names::base_file(number);
    let base = Base::decode(&name, &files.read(&name)?)?;
    check_owner(&base, job, shard.index())?;
    let spec = base.spec()?;
    let restored = read_values(files, &base, &spec)?;
    let failed = |name: &str| {
        let name = name.to_owned();
        move |error| JournalError::Replay { name, error }
    };
    shard.recover(&base, restored, now).map_err(failed(&name))?;
    let segments: BTreeSet<u64> = names
        .iter()
        .filter_map(|name| names::parse_segment_file(name))
        .filter(|n| *n >= number)
        .collect();
    let (mut next, mut replayed_bytes) = (number, 0);
    let mut end = None;
    let last = segments.last().copied();
    for found in segments {
        if found != next {
            let why = format!("{} goes on after it", names::segment_file(found));
            return Err(JournalError::Missing { missing: names::segment_file(next), why });
        }
        let Some(bytes) = replay(files, shard, found, end)? else {
            // It was being created when its process ended: nothing is in it.
            if last == Some(found) {
                break;
            }
            let why = "it has no beginning, and another one goes on after it".to_owned();
            return Err(JournalError::Missing { missing: names::segment_file(found), why });
        };
        replayed_bytes += bytes;
        (next, end) = (found + 1, Some(bytes));
    }
    if end.is_none() && last.is_none() {
        let why = format!("{name} stands before it");
        return Err(JournalError::Missing { missing: names::segment_file(number), why });
    }
    shard.restore_clocks(now);
    Ok(Recovered { next: (next, end.unwrap_or(0)), is_based: true, replayed_bytes })
}

fn check_owner(base: &Base, job: &str, shard: ShardId) -> Result<(), JournalError> {
    if base.job == job && base.shard == shard {
        return Ok(());
    }
    let named = |job: &str, shard: ShardId| format!("shard {shard} of job `{job}`");
    Err(JournalError::Other { found: named(&base.job, base.shard), expected: named(job, shard) })
}

fn read_values(
    files: &Files,
    base: &Base,
    spec: &ModelSpec,
) -> Result<RestoredShard, JournalError> {
    let (file, count) = (&base.file, spec.shards);
    let reader = files.open(&file.name)?;
    let read_at = |place, into: &mut [u8]| Ok::<_, JournalError>(reader.read_at(place, into)?);
    let stored = StoredShard::open(file, count, spec, reader.bytes(), read_at)?;
    let mut assembly = Assembly::new(spec, base.shard);
    assembly.add(file, count as usize, &stored, read_at)?;
    Ok(assembly.finish()?)
}

/// Replays a segment; how much of it counts, if it has a beginning.
fn replay(
    files: &Files,
    shard: &Shard,
    number: u64,
    before: Option<u64>,
) -> Result<Option<u64>, JournalError> {
    let name = names::segment_file(number);
    let reader = files.open(&name)?;
    let read_at = |place, into: &mut [u8]| Ok::<_, JournalError>(reader.read_at(place, into)?);
    let Some(mut segment) = Segment::open(shard.index(), number, reader.bytes(), read_at)? else {
        return Ok(None);
    };
    if let Some(before) = before {
        let expected = segment.header().previous_bytes;
        let name = names::segment_file(number - 1);
        let problem = || Unexpected::new("bytes that count", before, expected);
        if before != expected {
            return Err(SegmentError { name, at: before, problem: problem() }.into());
        }
    }
    loop {
        let mut records = match segment.next(read_at)? {
            Ok(records) => records,
            Err(end) => {
                if end.torn_bytes > 0 {
                    let torn = end.torn_bytes;
                    tracing::info!(
                        "{name}: its last {torn} bytes are no whole batch, as a crash leaves them: nothing in them was \
                         acknowledged"
                    );
                }
                return Ok(Some(end.bytes));
            }
        };
        let failed = |error| JournalError::Record { name: name.clone(), error };
        while let Some(record) = Record::decode(&mut records).map_err(failed)? {
            let failed = |error| JournalError::Replay { name: name.clone(), error };
            shard.replay(&record).map_err(failed)?;
        }
    }
}

#[cfg(test)]
mod tests;
