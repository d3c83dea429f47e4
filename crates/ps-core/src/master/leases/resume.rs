//! Leases in a checkpoint, and back.

use super::source::{Source, owner};
use super::{Leases, SourceId};
use crate::checkpoint::cursor::{Cursor, Mismatch, Positions, SourceCursor};
use crate::data_description::DataKind;

impl Leases {
    /// How far everything is. Leases that are out count as not finished.
    pub(in crate::master) fn cursor(&self) -> Cursor {
        let mut sources = self.absent.clone();
        sources.extend(self.sources.iter().map(|(id, source)| (*id, self.saved(*id, source))));
        Cursor { kind: self.kind, passes_over: self.open, losses: self.losses.clone(), sources }
    }

    fn saved(&self, id: SourceId, source: &Source) -> SourceCursor {
        let out = self.out.values().filter(|lease| lease.source == id);
        let mut unfinished: Vec<Positions> = out.map(|lease| lease.positions).collect();
        unfinished.extend(&source.returned);
        unfinished.sort_unstable();
        SourceCursor {
            samples: source.samples,
            next_pass: source.next.0,
            next_position: source.next.1,
            unfinished,
            samples_done: source.samples_done,
            samples_skipped: source.samples_skipped,
        }
    }

    /// Goes on where the cursor is, before anything is granted. A source that is not there yet
    /// takes its place when it is added.
    ///
    /// # Errors
    /// The data are not those that the cursor is about.
    pub(in crate::master) fn resume(&mut self, cursor: &Cursor) -> Result<(), Mismatch> {
        if cursor.kind != self.kind {
            return Err(Mismatch::Kind { saved: cursor.kind, found: self.kind });
        }
        if self.kind == DataKind::Program {
            // A program that is started again knows itself what is left to do, also one that had ended.
            return Ok(());
        }
        self.open = cursor.passes_over.min(self.passes);
        let losses = cursor.losses.iter().filter(|(pass, _)| **pass >= self.open);
        self.losses = losses.map(|(pass, losses)| (*pass, *losses)).collect();
        self.absent.clone_from(&cursor.sources);
        for (id, source) in &mut self.sources {
            match self.absent.remove(id) {
                Some(saved) => source.resume(&saved, owner(*id))?,
                None => source.next = (self.open, 0),
            }
        }
        self.end_passes();
        Ok(())
    }
}

impl Source {
    /// Takes over how far it was.
    pub(super) fn resume(&mut self, saved: &SourceCursor, owner: String) -> Result<(), Mismatch> {
        if let (Some(saved), Some(found)) = (saved.samples, self.samples)
            && saved != found
        {
            return Err(Mismatch::Samples { owner, saved, found });
        }
        let (pass, position) = (saved.next_pass, saved.next_position);
        let is_before_next = |part: &Positions| {
            let end = if part.pass == pass { position } else { self.length };
            part.pass <= pass && part.start < part.end && part.end <= end
        };
        let follows = |pair: &[Positions]| {
            pair[0].pass < pair[1].pass
                || (pair[0].pass, pair[0].end) <= (pair[1].pass, pair[1].start)
        };
        let parts = &saved.unfinished;
        let is_inside = position == 0 || position < self.length;
        if !is_inside || !parts.iter().all(is_before_next) || !parts.windows(2).all(follows) {
            return Err(Mismatch::Place { owner });
        }
        self.samples = self.samples.or(saved.samples);
        self.next = (pass, position);
        self.returned = parts.iter().flat_map(|part| self.in_leases(*part)).collect();
        self.samples_done = saved.samples_done;
        self.samples_skipped = saved.samples_skipped;
        Ok(())
    }

    /// In leases of the usual size: there may be more workers now than there were.
    fn in_leases(&self, part: Positions) -> impl Iterator<Item = Positions> + use<> {
        let (size, end) = (self.size, part.end);
        let starts = std::iter::successors(Some(part.start), move |start| start.checked_add(size));
        let starts = starts.take_while(move |start| *start < end);
        starts.map(move |start| Positions {
            start,
            end: start.saturating_add(size).min(end),
            ..part
        })
    }
}
