//! What differs between jobs in what follows from a process's end.

use std::time::Duration;

/// What differs between a job of one machine and one host's part of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The master is a process here.
    pub has_master: bool,
    /// Other hosts have workers, so that the job goes on without those here.
    pub workers_elsewhere: bool,
    /// Nobody has looked at data and model before: a worker that fails before it has them would
    /// fail on every host.
    pub is_unchecked: bool,
    /// Workers run a program of the user's: what fails on one of them would fail on the others.
    pub has_program: bool,
    /// What a server acknowledged is on its disk: one that dies is started again.
    pub has_journals: bool,
    /// That stays there when the job has ended.
    pub keeps_journals: bool,
    /// A server that dies is started again, and its part goes back to a checkpoint alone.
    pub servers_go_back: bool,
    /// Time to save the model and leave after a signal: the roles give up by themselves a second before.
    pub after_signal: Duration,
    /// Time for who was killed to be gone.
    pub after_kill: Duration,
}

impl Rules {
    /// A whole job on one machine.
    pub const LOCAL: Self = Self {
        has_master: true,
        workers_elsewhere: false,
        is_unchecked: false,
        has_program: false,
        has_journals: false,
        keeps_journals: false,
        servers_go_back: false,
        after_signal: Duration::from_secs(9),
        after_kill: Duration::from_secs(5),
    };

    /// A host of a job. By default everything is over 10 s after a signal, when `docker stop` kills.
    pub const HOST: Self = Self {
        has_master: false,
        workers_elsewhere: true,
        is_unchecked: true,
        has_program: false,
        has_journals: false,
        keeps_journals: false,
        servers_go_back: false,
        after_signal: Duration::from_secs(9),
        after_kill: Duration::from_millis(300),
    };
}
