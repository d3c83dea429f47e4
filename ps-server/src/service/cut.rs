//! The shard's part of a cut: asked for, opened, and waited for until all of it is there.

use super::Service;
use ps_core::ids::PushId;
use ps_core::limits::{CUT_HELD_MS_MAX, CUT_LATE_MS_MAX, CUT_LATE_POLL_MS};
use ps_core::shard::{CutEnds, CutId, ShardCut};
use ps_proto::convert::checkpoint::{cut_ends_to_wire, cut_id};
use ps_proto::v1;
use ps_runtime::blocking;
use std::time::Duration;
use tonic::Status;

impl Service {
    /// Says which pushes are begun here, and begins no others until the cut is open.
    pub(super) async fn begun_pushes(
        &self,
        request: v1::PrepareCutRequest,
    ) -> Result<v1::PrepareCutReply, Status> {
        let cut = cut_id(&request)?;
        self.admit_master(&request.job, request.shard, cut.epoch, 0)?;
        let checkpoints = self.checkpoints()?;
        // Ahead of all that it changes: after one that nothing is near to none would be written.
        blocking(|| self.check_number(checkpoints, cut.number))?;
        let held_for = Duration::from_millis(CUT_HELD_MS_MAX);
        let ends = self.shard.prepare_cut(cut, self.clock.now(), held_for);
        let ends = ends.map_err(|error| self.no_copy(&error))?;
        Ok(v1::PrepareCutReply { ends: cut_ends_to_wire(&ends) })
    }

    /// Opens a cut, and waits for what is in it and still on its way.
    pub(super) async fn opened_cut(
        &self,
        id: CutId,
        ends: CutEnds,
    ) -> Result<ShardCut<'_>, Status> {
        let bytes = self.shard.model().map_or(0, |model| model.state_bytes());
        let (percent, bytes_min) = self.cut_memory;
        let kept_bytes_max = (bytes / 100 * usize::from(percent)).max(bytes_min);
        let opened = self.shard.open_cut(id, ends, self.clock.now(), kept_bytes_max);
        let cut = opened.map_err(|error| self.no_copy(&error))?;
        let longest = Duration::from_millis(CUT_LATE_MS_MAX);
        let (mut came, mut came_at) = (cut.came_late(), self.clock.now());
        loop {
            if !cut.is_open() {
                return Err(self.no_copy(&cut.given_up()));
            }
            let (late, now) = (cut.late(), self.clock.now());
            if cut.came_late() > came {
                (came, came_at) = (cut.came_late(), now);
            }
            if late.is_empty() {
                self.report_torn(id.number, &cut.torn());
                return Ok(cut);
            }
            if now.saturating_sub(came_at) > longest {
                return Err(Status::failed_precondition(format!(
                    "checkpoint {}, shard {}: of workers {late:?}, which are not lost, nothing came for {longest:?} \
                     though pushes of theirs are on their way",
                    id.number,
                    self.shard.index()
                )));
            }
            tokio::time::sleep(Duration::from_millis(CUT_LATE_POLL_MS)).await;
        }
    }

    /// Names the pushes of which the other parts will not come.
    fn report_torn(&self, number: u64, torn: &[PushId]) {
        if !torn.is_empty() {
            let torn: Vec<String> = torn.iter().map(ToString::to_string).collect();
            tracing::warn!(
                "checkpoint {number}: has parts only of pushes of workers that were lost: {}",
                torn.join(", ")
            );
        }
    }
}
