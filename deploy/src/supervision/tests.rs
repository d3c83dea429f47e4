//! Ends, signals and deadlines, one after another.

mod hosts;

use super::*;

fn name(role: Role, index: u32) -> Name {
    Name { role, index }
}

const MASTER: Name = Name { role: Role::Master, index: 0 };

/// One master, two servers, two workers, all at work.
fn job() -> Supervision {
    let mut job = Supervision::new(Rules::LOCAL);
    let members = [(Role::Server, 0), (Role::Server, 1), (Role::Worker, 0), (Role::Worker, 1)];
    for name in members.map(|(role, index)| name(role, index)).into_iter().chain([MASTER]) {
        job.started(name);
        job.is_ready(name);
    }
    job
}

fn says(actions: &[Action], words: &str) -> bool {
    actions.iter().any(|action| matches!(action, Action::Say(text) if text.contains(words)))
}

#[test]
fn a_job_that_is_done_waits_for_everybody() {
    let mut job = job();
    assert_eq!(job.exited(name(Role::Worker, 0), Exit::Code(0), ""), []);
    assert_eq!(job.exited(MASTER, Exit::Code(0), ""), [Action::Deadline(AFTER_END)]);
    for (role, index) in [(Role::Worker, 1), (Role::Server, 0), (Role::Server, 1)] {
        assert!(!job.is_over());
        assert_eq!(job.exited(name(role, index), Exit::Code(0), ""), []);
    }
    assert!(job.is_over());
    assert_eq!(job.verdict().unwrap(), 0);
}

#[test]
fn one_worker_less_is_reported_and_no_worker_left_is_the_end() {
    let mut job = job();
    let first = job.exited(name(Role::Worker, 0), Exit::Signal(9), "worker 0 (pid 7)");
    assert!(says(&first, "worker 0 (pid 7) was killed by signal 9; the others go on"), "{first:?}");
    let told = Action::ReportEnded(name(Role::Worker, 0), Exit::Signal(9));
    assert!(first.contains(&told), "the master waits for no lease: {first:?}");
    let last = job.exited(name(Role::Worker, 1), Exit::Signal(9), "worker 1");
    let is_told = |action: &Action| matches!(action, Action::ReportWorkers(_, why) if why.contains("no worker is left"));
    assert!(last.iter().any(is_told), "{last:?}");
    // Nobody wished that it ends: the master saves what there is and says why.
    assert!(!last.contains(&Action::Pass(Signal::Terminate)), "{last:?}");
    assert_eq!(job.lost_workers().collect::<Vec<_>>(), [0, 1]);
    // What follows from it is no news, and the master's word counts.
    assert_eq!(job.exited(name(Role::Server, 0), Exit::Code(1), "server 0"), []);
    job.exited(MASTER, Exit::Code(1), "master");
    assert_eq!(job.verdict().unwrap(), 1);
}

#[test]
fn a_master_that_does_not_hear_of_it_is_ended() {
    let mut job = job();
    for rank in [0, 1] {
        job.exited(name(Role::Worker, rank), Exit::Code(1), "a worker");
    }
    assert!(job.deadline().contains(&Action::Pass(Signal::Terminate)));
    let why = job.verdict().unwrap_err().to_string();
    assert!(why.contains("a worker") && why.contains("no worker is left"), "{why}");
}

/// What failed on one worker would fail on the others, whose work would be for nothing.
#[test]
fn a_program_that_fails_ends_the_job_unless_the_master_knows_better() {
    let mut job = job();
    job.rules.has_program = true;
    let first = job.exited(name(Role::Worker, 0), Exit::Code(3), "worker 0");
    let is_told = |action: &Action| matches!(action, Action::ReportWorkers(_, why) if why.contains("worker 0"));
    assert!(first.iter().any(is_told), "{first:?}");
    assert!(job.deadline().contains(&Action::Pass(Signal::Terminate)));
    let why = job.verdict().unwrap_err().to_string();
    assert!(why.contains("worker 0") && why.contains("its program failed"), "{why}");
}

/// A member that exits with a code obeys the master, or has lost something: either way it is the
/// master that knows why the job ends, and with which code.
#[test]
fn the_masters_code_counts_when_members_leave_before_it() {
    for code in [1, 143] {
        let mut job = job();
        for (role, index) in [(Role::Server, 0), (Role::Worker, 0), (Role::Worker, 1)] {
            let actions = job.exited(name(role, index), Exit::Code(1), "a member");
            assert!(!actions.contains(&Action::Pass(Signal::Terminate)), "{actions:?}");
        }
        job.exited(MASTER, Exit::Code(code), "master");
        assert_eq!(job.verdict().unwrap(), code);
    }
}

/// Found by a newcomer: six lines said that somebody had ended, and each why, which the master had said before.
#[test]
fn regression_who_was_told_to_leave_is_no_news() {
    let mut job = job();
    for (role, index) in [(Role::Server, 0), (Role::Worker, 0), (Role::Worker, 1)] {
        job.obeyed(name(role, index));
        let actions = job.exited(name(role, index), Exit::Code(1), "a member");
        assert_eq!(actions, [Action::Deadline(MASTER_SAYS_WHY)]);
    }
    assert_eq!(job.lost_workers().count(), 0);
    job.exited(MASTER, Exit::Code(1), "master");
    assert_eq!(job.verdict().unwrap(), 1);
}

/// Found by hand: the master waited for the lease of the second of two programs that failed.
#[test]
fn regression_the_master_hears_of_each_program_that_fails() {
    let mut job = job();
    job.rules.has_program = true;
    for rank in [0, 1] {
        let actions = job.exited(name(Role::Worker, rank), Exit::Code(3), "a worker");
        let is_told = |action: &Action| matches!(action, Action::ReportWorkers(..));
        assert!(actions.iter().any(is_told), "{actions:?}");
        assert_eq!(says(&actions, "a worker"), rank == 0);
    }
    assert_eq!(job.lost_workers().collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_member_that_the_master_does_not_explain_ends_the_job() {
    let mut job = job();
    job.exited(name(Role::Server, 1), Exit::Code(1), "server 1 (pid 9)");
    let late = job.deadline();
    assert!(late.contains(&Action::Pass(Signal::Terminate)), "{late:?}");
    assert!(job.verdict().unwrap_err().to_string().contains("server 1 (pid 9)"));
}

#[test]
fn a_signal_before_the_master_listens_for_it_keeps_its_code() {
    let mut job = job();
    job.signal(Signal::Interrupt);
    job.exited(MASTER, Exit::Signal(2), "master");
    assert_eq!(job.verdict().unwrap(), 130);
}

#[test]
fn a_dead_master_ends_the_job() {
    let mut job = job();
    let actions = job.exited(MASTER, Exit::Signal(9), "the master");
    assert!(actions.contains(&Action::Pass(Signal::Terminate)), "{actions:?}");
    // What the others exit with because of it does not hide the cause.
    job.exited(name(Role::Worker, 0), Exit::Code(143), "a worker");
    assert!(job.verdict().unwrap_err().to_string().contains("the master"));
}

/// The master knows whether anybody needs what a dead server held; where it says nothing, the server is the cause.
#[test]
fn what_a_dead_server_costs_is_for_the_master_to_say() {
    let victim = name(Role::Server, 1);
    let killed = || {
        let mut job = job();
        let actions = job.exited(victim, Exit::Signal(9), "the victim");
        assert!(actions.contains(&Action::ReportEnded(victim, Exit::Signal(9))), "{actions:?}");
        assert!(!job.is_ending());
        job
    };
    for code in [0, 1] {
        let mut job = killed();
        job.exited(MASTER, Exit::Code(code), "master");
        assert_eq!(job.verdict().unwrap(), code);
    }
    let mut job = killed();
    let late = job.deadline();
    assert!(late.contains(&Action::Pass(Signal::Terminate)), "{late:?}");
    assert!(job.verdict().unwrap_err().to_string().contains("the victim"));
}

#[test]
fn a_signal_is_passed_on_and_a_second_one_kills() {
    let mut job = job();
    let first = job.signal(Signal::Interrupt);
    assert!(first.contains(&Action::Pass(Signal::Interrupt)), "{first:?}");
    let second = job.signal(Signal::Interrupt);
    assert!(second.contains(&Action::Kill), "{second:?}");
    assert!(job.verdict().unwrap_err().to_string().contains("may not be saved"));
}

#[test]
fn after_a_signal_the_masters_code_counts() {
    let mut job = job();
    job.signal(Signal::Terminate);
    job.exited(name(Role::Worker, 0), Exit::Code(143), "");
    job.exited(MASTER, Exit::Code(143), "");
    assert_eq!(job.verdict().unwrap(), 143);
}

#[test]
fn who_does_not_leave_is_killed_and_then_abandoned() {
    let mut job = job();
    job.exited(MASTER, Exit::Code(0), "");
    let late = job.deadline();
    assert!(says(&late, "worker 1") && late.contains(&Action::Kill), "{late:?}");
    assert_eq!(job.deadline(), [Action::Abandon]);
    assert_eq!(job.verdict().unwrap(), 0);
}

/// Told twice, a process ends where it is.
#[test]
fn everybody_is_told_once_to_end() {
    let mut job = job();
    let ending = job.exited(MASTER, Exit::Signal(9), "");
    assert!(ending.contains(&Action::Pass(Signal::Terminate)), "{ending:?}");
    assert_eq!(job.signal(Signal::Interrupt), []);
    assert!(job.signal(Signal::Interrupt).contains(&Action::Kill));
}
