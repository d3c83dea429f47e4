//! What the master is told of the processes here: it cannot see how they end.

use super::Job;
use crate::exit::Exit;
use crate::name::{Name, Role};
use crate::outcome::Outcome;
use crate::plan::Lead;
use crate::supervision::Action;
use ps_runtime::member::{Ended, report_ended, report_failure};
use std::time::Duration;

/// How long the master may take to hear why a host fails.
const REPORT: Duration = Duration::from_secs(3);

impl Job<'_> {
    /// Tells the master what it cannot see: it would take our leaving for a wish to stop in order. What follows where it
    /// does not answer.
    pub(super) async fn report(&mut self, actions: &[Action]) -> Vec<Action> {
        let mut more = Vec::new();
        for action in actions {
            let is_heard = match action {
                Action::Report(name, why) => self.report_failure(*name, why, Vec::new()).await,
                Action::ReportWorkers(name, why) => {
                    let lost = self.supervision.lost_workers().collect();
                    self.report_failure(*name, why, lost).await
                }
                Action::ReportEnded(name, exit) => {
                    self.report_ended(*name, *exit);
                    true
                }
                _ => true,
            };
            if !is_heard {
                more.extend(self.master_is_silent());
            }
        }
        more
    }

    fn master_address(&self) -> Option<&String> {
        match &self.plan.lead {
            Lead::At(address) => Some(address),
            Lead::Here(_) => self.master.as_ref(),
        }
    }

    /// Tells why a host fails; whether the master has heard it.
    async fn report_failure(&self, name: Name, why: &str, lost: Vec<u32>) -> bool {
        let words = self.processes.get(&name).and_then(|it| it.last_words.message());
        let verdict = Err(anyhow::anyhow!(why.to_owned()));
        let outcome = Outcome { verdict, failed: vec![(name, words)], lost: None };
        let reason = outcome.failure_reason(&self.plan.host);
        let (Some(master), Some(reason)) = (self.master_address(), reason) else {
            return true;
        };
        let told = report_failure(&self.outside, master, &self.plan.job, &reason, lost);
        let is_heard = matches!(tokio::time::timeout(REPORT, told).await, Ok(Ok(())));
        if !is_heard {
            self.logs.say("the master could not be told why this host fails");
        }
        is_heard
    }

    /// Tells that a member has ended, beside all else: where the master does not hear it, the member's lease ends.
    fn report_ended(&self, name: Name, exit: Exit) {
        // Which of several evaluators one on another host is, only the master knows.
        let is_known = name.role != Role::Evaluator || matches!(self.plan.lead, Lead::Here(_));
        let Some(master) = self.master_address().filter(|_| is_known).cloned() else {
            return;
        };
        let of = |role| Vec::from_iter((name.role == role).then_some(name.index));
        let (job, how) = (self.plan.job.clone(), exit.to_string());
        let (workers, evaluators) = (of(Role::Worker), of(Role::Evaluator));
        let ended = Ended { workers, evaluators, servers: of(Role::Server), how };
        let outside = self.outside.clone();
        tokio::spawn(async move {
            if let Err(error) = report_ended(&outside, &master, &job, ended).await {
                tracing::debug!("the master was not told that {name} has ended: {error}");
            }
        });
    }

    /// A master here that lives and answers nobody is the cause, whoever left first for it.
    fn master_is_silent(&mut self) -> Vec<Action> {
        let Lead::Here(process) = &self.plan.lead else {
            return Vec::new();
        };
        // It is being started again, and finds out by itself who has ended.
        if !self.supervision.has_started(process.name) {
            return Vec::new();
        }
        let Some(pid) = self.processes.get(&process.name).map(|master| master.pid) else {
            return Vec::new();
        };
        let who = self.describe(process.name, Exit::Code(1));
        let state = match is_stopped(pid) {
            true => format!("it is stopped, and goes on with `kill -CONT {pid}`"),
            false => "it has no time, or hangs; its log may say more".to_owned(),
        };
        self.supervision.master_is_silent(&who, &state)
    }
}

/// Whether a process stands still because of a signal, where the system says so.
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before it may have any character in it.
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|state| state.starts_with(['T', 't']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_runs_is_not_stopped() {
        assert!(!is_stopped(std::process::id()) && !is_stopped(0));
    }
}
