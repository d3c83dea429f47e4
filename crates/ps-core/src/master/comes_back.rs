//! A master that goes on with the state of one that died.
//!
//! Whatever was under way with that process is asked for once more; what it had said stands, for it said nothing that
//! was not written down before.

use super::Machine;
use super::types::Level;
use std::time::Duration;

impl Machine {
    /// Another process leads the job from now on. It claims the shards in a new epoch: whatever that one still had on its
    /// way is of an older one. `is_complete` tells of a checkpoint whether it is whole.
    pub fn come_back(&mut self, is_complete: impl Fn(u64) -> bool, away: Duration, now: Duration) {
        // Nobody could be heard.
        self.registry.hear_all(now);
        self.event(now, |machine| {
            let epoch = machine.membership.claim();
            let epoch = epoch.map(|epoch| format!("; epoch {epoch}")).unwrap_or_default();
            let (done, total) = machine.leases.progress();
            let line = format!(
                "the master is back after {away:.1?} ({}, {done} of {total} samples done){epoch}",
                machine.lifecycle.name()
            );
            machine.log(Level::Warn, line);
            machine.record.came_back("the master".to_owned());
            // What follows is asked of servers that are known.
            machine.lifecycle.come_back();
            if machine.lifecycle.is_training() {
                machine.record.training_goes_on();
            }
            machine.publish();
            machine.going_back.come_back();
            if let Some((level, line)) = machine.checkpoints.come_back(is_complete) {
                machine.log(level, line);
            }
            if machine.selection.is_looking() {
                machine.find_kept();
            }
            machine.end_again(now);
        });
    }
}
