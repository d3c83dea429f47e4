//! Whose training samples there are, and where the job is in them.

use super::agreement::source_of;
use super::leases::SourceId;
use super::types::{Level, Seat};
use super::{Leases, Machine};
use crate::checkpoint::cursor::{Cursor, Mismatch};
use crate::data_description::{DataDescription, DataKind};
use std::time::Duration;

impl Machine {
    /// How far the job is in its data; `None` as long as nobody said what data there are.
    pub fn cursor(&self) -> Option<Cursor> {
        Some(self.leases.as_ref()?.cursor())
    }

    /// Goes on where a checkpoint is, before the first lease. Data that come later are compared
    /// with it when they come.
    ///
    /// # Errors
    /// The data that are known already are not those of the checkpoint.
    pub fn resume(&mut self, cursor: Cursor) -> Result<(), Mismatch> {
        if let Some(leases) = &mut self.leases {
            leases.resume(&cursor)?;
        }
        self.resumed = Some(cursor);
        Ok(())
    }

    /// What the members have together; before that is settled, nothing is known. Samples of a stream
    /// are counted while it is read.
    pub fn data(&self) -> DataDescription {
        let samples = self.leases.as_ref().map_or(0, |leases| leases.samples());
        DataDescription { samples, ..self.agreed.clone().unwrap_or_default() }
    }

    /// Whose samples the job trains on, once that is settled.
    pub(super) fn kind(&self) -> Option<DataKind> {
        self.agreed.as_ref().map(|agreed| agreed.kind)
    }

    /// A member with data has taken its place: its samples can be worked on (again).
    pub(super) fn data_came(&mut self, seat: Seat, data: &DataDescription, now: Duration) {
        let Some(leases) = &mut self.leases else {
            return;
        };
        // An evaluator without a share has any kind.
        let Some(source) = source_of(seat, data.kind).filter(|_| data.kind == leases.kind()) else {
            return;
        };
        match leases.add(source, data.samples) {
            Ok(()) => leases.revive(source),
            Err(mismatch) => self.fail(mismatch.to_string(), now),
        }
    }

    /// A member is gone: what only it has does not hold the job.
    pub(super) fn data_went(&mut self, seat: Seat) {
        if self.phase.is_over() {
            return;
        }
        let Some(leases) = &mut self.leases else {
            return;
        };
        if let Some(source) = source_of(seat, leases.kind())
            && leases.suspend(source)
        {
            let line = format!("the rest of the samples of {seat} waits for it, and holds no pass");
            self.log(Level::Info, line);
        }
    }

    /// Leases on these sources, from where a checkpoint is.
    pub(super) fn new_leases(
        &self,
        kind: DataKind,
        sources: &[(SourceId, u64)],
    ) -> Result<Leases, Mismatch> {
        let settings = &self.config.settings;
        let (passes, batch) = (settings.passes, settings.batch_size);
        let mut leases = Leases::new(kind, passes, batch, self.config.workers);
        if let Some(cursor) = &self.resumed {
            leases.resume(cursor)?;
        }
        for (source, samples) in sources {
            leases.add(*source, *samples)?;
        }
        Ok(leases)
    }
}
