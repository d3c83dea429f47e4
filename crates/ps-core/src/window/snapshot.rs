//! A window as a checkpoint holds it.

use super::{Acknowledgement, Entry, Window};
use crate::chunk::NonFinite;
use crate::chunk_set::ChunkSet;
use crate::ids::{ChunkId, Clock, Seq};
use crate::limits::{COUNT_MAX, DEDUP_WINDOW};
use crate::unexpected::Unexpected;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// All that a window is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowSnapshot {
    /// The oldest push that may still be retried.
    pub floor: Seq,
    /// All pushes below it are finished or given up.
    pub contiguous: Seq,
    /// Steps whose pushes are applied, counted without gaps.
    pub clock: Clock,
    /// The pushes that the window remembers, by rising number.
    pub pushes: Vec<PushSnapshot>,
}

/// One push of a window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushSnapshot {
    /// Its number.
    pub seq: Seq,
    /// The worker's clock once it and all before it are applied.
    pub clock_after: Clock,
    /// Chunks of the shard that it touches.
    pub chunks: u32,
    /// Runs of chunks of the model that are applied or refused: the first, and one after the last;
    /// absent once all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Vec<(ChunkId, ChunkId)>>,
    /// Chunks of the model that were refused, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<(ChunkId, NonFinite)>,
    /// Largest staleness over the applied chunks.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub staleness_max: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl WindowSnapshot {
    /// Has a push hold these chunks only, not what was done on others after they were copied.
    pub(crate) fn keep(&mut self, seq: Seq, held: &ChunkSet, first: ChunkId) {
        let Some(push) = self.pushes.iter_mut().find(|push| push.seq == seq) else { return };
        push.refused.retain(|(chunk, _)| held.contains((chunk - first) as usize));
        push.done = Some(pairs(held, first));
        self.contiguous = self.contiguous.min(seq);
    }
}

impl Window {
    /// A copy of all that the window is, in a shard whose first chunk is this one.
    pub fn to_snapshot(&self, first: ChunkId) -> WindowSnapshot {
        let global = |&(index, reason): &(u32, NonFinite)| (first + index, reason);
        let push = |(seq, entry): (Seq, &Entry)| PushSnapshot {
            seq,
            clock_after: entry.clock_after,
            chunks: entry.chunks_total,
            done: (!entry.is_finished()).then(|| pairs(&entry.done, first)),
            refused: entry.acknowledgement.refused.iter().map(global).collect(),
            staleness_max: entry.acknowledgement.staleness_max,
        };
        WindowSnapshot {
            floor: self.floor,
            contiguous: self.contiguous,
            clock: self.clock,
            pushes: self.begun().map(push).collect(),
        }
    }

    /// A window as it was, of a shard that holds this run of chunks.
    ///
    /// # Errors
    /// No window can have become so.
    pub fn from_snapshot(parts: WindowSnapshot, run: &Range<ChunkId>) -> Result<Self, Unexpected> {
        let WindowSnapshot { floor, contiguous, clock, pushes } = parts;
        for (what, count) in [("floor", floor), ("clock", clock)] {
            Unexpected::unless(count <= COUNT_MAX, what, count, format!("at most {COUNT_MAX}"))?;
        }
        let end = floor + DEDUP_WINDOW;
        let expected = format!("{floor} to {end}");
        Unexpected::unless(
            (floor..=end).contains(&contiguous),
            "contiguous",
            contiguous,
            expected,
        )?;
        let mut window = Self { floor, contiguous, clock, ..Self::default() };
        let mut next = floor;
        for push in pushes {
            let seq = push.seq;
            Unexpected::unless(
                (next..end).contains(&seq),
                "push",
                seq,
                format!("{next} to {end}, rising"),
            )?;
            next = seq + 1;
            *window.place(seq) = Some(entry(push, run)?);
        }
        // Else a push that is still missing something would count as finished.
        let unfinished = window.in_work().next().filter(|&(seq, _)| seq < contiguous);
        let found = unfinished.map_or(contiguous, |(seq, _)| seq);
        Unexpected::unless(
            unfinished.is_none(),
            "unfinished push",
            found,
            format!("from {contiguous} on"),
        )?;
        Ok(window)
    }
}

fn pairs(set: &ChunkSet, first: ChunkId) -> Vec<(ChunkId, ChunkId)> {
    set.runs(first).into_iter().map(|run| (run.start, run.end)).collect()
}

fn entry(push: PushSnapshot, run: &Range<ChunkId>) -> Result<Entry, Unexpected> {
    let PushSnapshot { clock_after, chunks, done, refused, staleness_max, .. } = push;
    let expected = format!("at most {COUNT_MAX}");
    Unexpected::unless(clock_after <= COUNT_MAX, "push's clock", clock_after, expected)?;
    let expected = format!("at most {}, as the shard has", run.len());
    Unexpected::unless(chunks as usize <= run.len(), "chunks of a push", chunks, expected)?;
    let is_finished = done.is_none();
    let done = chunk_set(&done.unwrap_or_default(), run)?;
    let marked = done.count();
    let expected = format!("less than {chunks}");
    let is_open = is_finished || marked < chunks;
    Unexpected::unless(is_open, "chunks of an unfinished push", marked, expected)?;
    let chunks_done = if is_finished { chunks } else { marked };
    let refusals = refused.len();
    let expected = format!("at most {chunks_done} of {run:?}");
    let fits = refusals <= chunks_done as usize && refused.iter().all(|(id, _)| run.contains(id));
    Unexpected::unless(fits, "refused chunks", refusals, expected)?;
    let refused = refused.into_iter().map(|(chunk, reason)| (chunk - run.start, reason)).collect();
    let acknowledgement = Acknowledgement { refused, staleness_max };
    Ok(Entry { clock_after, chunks_total: chunks, chunks_done, done, acknowledgement })
}

fn chunk_set(pairs: &[(ChunkId, ChunkId)], run: &Range<ChunkId>) -> Result<ChunkSet, Unexpected> {
    let (mut set, mut next) = (ChunkSet::default(), run.start);
    for &(start, end) in pairs {
        let fits = next <= start && start < end && end <= run.end;
        let (found, expected) = (format!("{start}..{end}"), format!("within {next}..{}", run.end));
        Unexpected::unless(fits, "chunks of a push", found, expected)?;
        (start..end).for_each(|chunk| set.add((chunk - run.start) as usize));
        next = end;
    }
    Ok(set)
}

#[cfg(test)]
mod tests;
