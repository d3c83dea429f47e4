//! A window as a checkpoint holds it.

use super::{Acknowledgement, Entry, Window};
use crate::chunk::NonFinite;
use crate::ids::{Clock, Seq};
use crate::limits::{COUNT_MAX, DEDUP_WINDOW};
use crate::unexpected::Unexpected;
use serde::{Deserialize, Serialize};

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
    /// Bit i: chunk i of the shard is applied or refused; absent once all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Vec<u64>>,
    /// Chunks that were refused, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<(u32, NonFinite)>,
    /// Largest staleness over the applied chunks.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub staleness_max: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(value: &u64) -> bool {
    *value == 0
}

impl Window {
    /// A copy of all that the window is.
    pub fn to_snapshot(&self) -> WindowSnapshot {
        let push = |(&seq, entry): (&Seq, &Entry)| PushSnapshot {
            seq,
            clock_after: entry.clock_after,
            chunks: entry.chunks_total,
            done: (!entry.is_finished()).then(|| entry.done.clone()),
            refused: entry.acknowledgement.refused.clone(),
            staleness_max: entry.acknowledgement.staleness_max,
        };
        WindowSnapshot {
            floor: self.floor,
            contiguous: self.contiguous,
            clock: self.clock,
            pushes: self.entries.iter().map(push).collect(),
        }
    }

    /// A window as it was.
    ///
    /// # Errors
    /// No window can have become so.
    pub fn from_snapshot(parts: WindowSnapshot) -> Result<Self, Unexpected> {
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
            window.entries.insert(seq, entry(push)?);
        }
        // Else a push that is still missing something would count as finished.
        let unfinished = window.entries.range(..contiguous).find(|(_, entry)| !entry.is_finished());
        let found = unfinished.map_or(contiguous, |(&seq, _)| seq);
        Unexpected::unless(
            unfinished.is_none(),
            "unfinished push",
            found,
            format!("from {contiguous} on"),
        )?;
        Ok(window)
    }

    /// Forgets every push that was ever begun: all of them are stale from now on, none is applied.
    ///
    /// What a shard of another cut remembers says nothing about single chunks of this one.
    #[must_use]
    pub fn closed(mut self) -> Self {
        let begun = self.entries.last_key_value().map_or(0, |(&seq, _)| seq + 1);
        self.raise_floor(begun.max(self.contiguous));
        self
    }

    /// The window that remembers what either of two closed ones does.
    #[must_use]
    pub fn join_closed(mut self, other: &Self) -> Self {
        self.raise_floor(other.floor);
        self.clock = self.clock.max(other.clock);
        self
    }
}

fn entry(push: PushSnapshot) -> Result<Entry, Unexpected> {
    let PushSnapshot { clock_after, chunks, done, refused, staleness_max, .. } = push;
    let expected = format!("at most {COUNT_MAX}");
    Unexpected::unless(clock_after <= COUNT_MAX, "push's clock", clock_after, expected)?;
    let is_finished = done.is_none();
    let done = done.unwrap_or_default();
    let marked: u64 = done.iter().map(|word| u64::from(word.count_ones())).sum();
    let unfinished = is_finished || marked < u64::from(chunks);
    Unexpected::unless(
        unfinished,
        "chunks of an unfinished push",
        marked,
        format!("less than {chunks}"),
    )?;
    let most = if is_finished { u64::from(chunks) } else { marked };
    let refusals = refused.len();
    Unexpected::unless(
        refusals as u64 <= most,
        "refused chunks",
        refusals,
        format!("at most {most}"),
    )?;
    Ok(Entry {
        clock_after,
        chunks_total: chunks,
        // Less than `chunks`, so it fits.
        chunks_done: if is_finished { chunks } else { marked as u32 },
        done,
        acknowledgement: Acknowledgement { refused, staleness_max },
    })
}

#[cfg(test)]
mod tests;
