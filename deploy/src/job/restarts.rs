//! Processes that are started again, and those that are killed for people to see it.

use super::Job;
use crate::name::Name;
use tokio::time::Instant;

impl Job<'_> {
    /// When somebody is to be started again: at once, if the job is ending, so that nobody is waited for in vain.
    pub(super) fn next_restart(&self) -> Option<Instant> {
        let first = self.restarts.iter().map(|(at, _)| *at).min()?;
        Some(if self.supervision.is_ending() { Instant::now() } else { first })
    }

    /// Starts those again whose time it is.
    pub(super) fn restart(&mut self) {
        let (now, is_ending) = (Instant::now(), self.supervision.is_ending());
        let due: Vec<Name> = self
            .restarts
            .extract_if(.., |(at, _)| is_ending || *at <= now)
            .map(|(_, name)| name)
            .collect();
        for name in due {
            let process = self.plan.again(name, self.master.as_deref());
            let before = self.processes.get(&name).and_then(|it| it.address.clone());
            match process.filter(|_| !is_ending) {
                Some(mut process) => {
                    before.iter().for_each(|address| process.listens_at(address));
                    self.start(&process);
                }
                None => self.supervision.not_restarted(name),
            }
        }
    }

    /// Kills somebody, unless the job is ending: then everybody is gone soon.
    pub(super) fn wreak(&mut self) {
        let is_ending = self.supervision.is_ending();
        let working = if is_ending { Vec::new() } else { self.supervision.working() };
        if let Some(name) = self.chaos.as_mut().and_then(|chaos| chaos.choose(&working))
            && let Some(process) = self.processes.get(&name)
        {
            process.kill();
        }
    }
}
