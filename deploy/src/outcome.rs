//! How a job, or a host's part of one, ended, and why in a sentence.

use crate::name::{Name, Role};
use ps_core::master::NO_WAY_BACK;
use ps_runtime::Signal;

/// What masters say to the members of a failed job starts with this.
const TOLD: &str = "the job failed: ";

/// How a job, or a host's part of one, ended.
#[derive(Debug)]
pub struct Outcome {
    /// What `psrun` exits with, or why the job failed where that is not for a role's code to say.
    pub verdict: anyhow::Result<u8>,
    /// The processes that failed before the job was being ended, in order, with their own words.
    pub failed: Vec<(Name, Option<String>)>,
    /// Who was killed that the job cannot do without, if it ended for that.
    pub lost: Option<String>,
}

impl Outcome {
    /// The outcome of a host that was asked to leave before it had begun.
    pub fn of_signal(signal: Signal) -> Self {
        Self { verdict: Ok(signal.exit_code()), failed: Vec::new(), lost: None }
    }

    /// What the master said of a job that failed.
    pub fn master_words(&self) -> String {
        let masters = self.failed.iter().filter(|(name, _)| name.role == Role::Master);
        let words = masters.filter_map(|(_, words)| words.clone()).next_back();
        words.unwrap_or_else(|| "the master failed and did not say why".to_owned())
    }

    /// What was said of a job that ended because a server could not go back alone: by the master, or by who heard it of it.
    pub fn has_no_way_back(&self) -> Option<String> {
        let mut words = self.failed.iter().filter_map(|(_, words)| words.as_ref());
        words.find(|words| words.contains(NO_WAY_BACK)).cloned()
    }

    /// Whether what a process said last is of another's failure, which the master told it.
    pub fn is_told(words: &str) -> bool {
        words.contains(TOLD)
    }

    /// Why a host's part of the job failed, in a sentence; nothing if it ended well, or because it was
    /// told to by a signal.
    pub fn failure_reason(&self, host: &str) -> Option<String> {
        let heading = match &self.verdict {
            Ok(0 | 130 | 143) => return None,
            Ok(code) => format!("exit code {code}"),
            Err(error) => ps_cli::process::causes(error),
        };
        // What happened here first; what the master tells, which may be of another host, after it.
        let (mut here, mut told) = (Vec::new(), None);
        for (name, words) in &self.failed {
            let Some(words) = words else { continue };
            match words.split_once(TOLD) {
                Some((_, reason)) if told.is_none() || name.role == Role::Master => {
                    told = Some(format!("{name}: {TOLD}{reason}"));
                }
                Some(_) => (),
                // Several fail alike: once is enough.
                None if here.iter().any(|said: &String| said.ends_with(words)) => (),
                None => here.push(format!("{name}: {words}")),
            }
        }
        let is_said = self.verdict.is_ok() && !(here.is_empty() && told.is_none());
        let parts = (!is_said).then_some(heading).into_iter().chain(here).chain(told);
        let why = parts.collect::<Vec<_>>().join("; ");
        // All of a job on one machine has no host.
        Some(if host.is_empty() { why } else { format!("{host}: {why}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(verdict: anyhow::Result<u8>, failed: &[(Role, u32, &str)]) -> Outcome {
        let failed = failed.iter().map(|(role, index, words)| {
            (Name { role: *role, index: *index }, Some((*words).to_owned()))
        });
        Outcome { verdict, failed: failed.collect(), lost: None }
    }

    #[test]
    fn good_ends_have_no_sentence() {
        for code in [0, 130, 143] {
            assert_eq!(outcome(Ok(code), &[]).failure_reason("a"), None);
        }
    }

    #[test]
    fn the_masters_words_are_enough() {
        let words = "the job failed: server shard 1 at b:2223 is lost";
        let failed = [(Role::Server, 0, "shard 0: the job failed: x"), (Role::Master, 0, words)];
        let said = outcome(Ok(1), &failed).failure_reason("algo-1").unwrap();
        assert_eq!(said, format!("algo-1: master: {words}"));
    }

    #[test]
    fn a_childs_own_words_follow_what_happened_to_it() {
        let why = anyhow::anyhow!("server 1 (pid 7) was killed by signal 9");
        let failed = [(Role::Server, 1, "panicked: out of range")];
        let said = outcome(Err(why), &failed).failure_reason("algo-2").unwrap();
        assert_eq!(
            said,
            "algo-2: server 1 (pid 7) was killed by signal 9; server 1: panicked: out of range"
        );
        assert_eq!(outcome(Ok(64), &[]).failure_reason("a").unwrap(), "a: exit code 64");
    }

    /// Found by a real process: psrun gave the master up before it had said why, and the job did not go back.
    #[test]
    fn regression_a_server_that_cannot_go_back_alone_is_known_by_whoever_says_so() {
        let words = format!("the job failed: server shard 1 was killed, and {NO_WAY_BACK}: why");
        for verdict in [Ok(1), Err(anyhow::anyhow!("server 1 exited with code 1"))] {
            let said = outcome(verdict, &[(Role::Server, 1, &words)]).has_no_way_back();
            assert_eq!(said.as_deref(), Some(&*words));
        }
        assert_eq!(outcome(Ok(1), &[(Role::Master, 0, "diverged")]).has_no_way_back(), None);
    }

    #[test]
    fn regression_what_several_say_alike_is_said_once() {
        let words = "lenet needs images";
        let failed =
            [(Role::Evaluator, 0, words), (Role::Worker, 0, words), (Role::Server, 0, "full")];
        let said = outcome(Ok(1), &failed).failure_reason("").unwrap();
        assert_eq!(said, "evaluator: lenet needs images; server 0: full");
    }
}
