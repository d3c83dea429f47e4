//! A host without the master, or with it, of a job that has others.

use super::*;

const SERVER: Name = Name { role: Role::Server, index: 1 };
const WORKER: Name = Name { role: Role::Worker, index: 0 };

/// A host without the master: a server and a worker at work.
fn host() -> Supervision {
    let mut host = Supervision::new(Rules::HOST);
    for name in [SERVER, WORKER] {
        host.started(name);
        host.is_ready(name);
    }
    host
}

#[test]
fn a_host_serves_on_without_its_worker() {
    for end in [Exit::Signal(9), Exit::Code(1)] {
        let mut host = host();
        let actions = host.exited(WORKER, end, "worker 0 (pid 7)");
        assert!(says(&actions, "worker 0 (pid 7)"), "{actions:?}");
        assert!(!host.is_ending() && !host.is_over());
        assert_eq!(host.exited(SERVER, Exit::Code(0), ""), [Action::Deadline(AFTER_END)]);
        assert_eq!(host.verdict().unwrap(), 0);
    }
}

#[test]
fn a_worker_that_cannot_begin_fails_its_host() {
    let mut host = Supervision::new(Rules::HOST);
    host.started(SERVER);
    host.started(WORKER);
    let actions = host.exited(WORKER, Exit::Code(1), "worker 0");
    // The master first, that it does not take what follows for a wish to stop.
    let is_first = matches!(&actions[0], Action::Report(WORKER, why) if why.contains("worker 0"));
    assert!(is_first && actions[1] == Action::Pass(Signal::Terminate), "{actions:?}");
    host.exited(SERVER, Exit::Code(143), "server 1");
    let why = host.verdict().unwrap_err().to_string();
    assert!(why.contains("worker 0") && why.contains("before it could train"), "{why}");
}

/// The master does not know it yet and would wait for it, with everybody else.
#[test]
fn a_server_that_does_not_listen_fails_the_job_with_its_reason() {
    for has_master in [true, false] {
        let mut host = Supervision::new(Rules { has_master, ..Rules::HOST });
        if has_master {
            host.started(MASTER);
            host.is_ready(MASTER);
        }
        host.started(SERVER);
        let actions = host.exited(SERVER, Exit::Code(1), "server 1 (pid 9)");
        let is_first = matches!(&actions[0], Action::Report(SERVER, why) if why.contains("serve"));
        assert!(is_first && actions[1] == Action::Pass(Signal::Terminate), "{actions:?}");
        host.exited(MASTER, Exit::Code(1), "master");
        let why = host.verdict().unwrap_err().to_string();
        assert!(why.contains("server 1 (pid 9)") && why.contains("before it could"), "{why}");
    }
    // One that was stopped has no reason of its own.
    let mut host = Supervision::new(Rules::HOST);
    host.started(SERVER);
    let actions = host.exited(SERVER, Exit::Code(143), "server 1");
    assert!(!actions.iter().any(|action| matches!(action, Action::Report(..))), "{actions:?}");
}

#[test]
fn a_dead_server_fails_its_host() {
    let mut host = host();
    let actions = host.exited(SERVER, Exit::Signal(9), "server 1 (pid 9)");
    let is_first = matches!(&actions[0], Action::Report(SERVER, why) if why.contains("weights"));
    assert!(is_first && actions[1] == Action::Pass(Signal::Terminate), "{actions:?}");
    host.exited(WORKER, Exit::Code(143), "");
    assert!(host.verdict().unwrap_err().to_string().contains("server 1 (pid 9)"));
}

#[test]
fn a_host_leaves_with_what_the_master_says() {
    for (code, verdict) in [(0, 0), (143, 143), (130, 130)] {
        let mut host = host();
        host.exited(WORKER, Exit::Code(code), "");
        host.exited(SERVER, Exit::Code(code), "");
        assert!(host.is_over());
        assert_eq!(host.verdict().unwrap(), verdict);
    }
    let mut failed = host();
    failed.exited(SERVER, Exit::Code(1), "server 1");
    assert!(failed.verdict().unwrap_err().to_string().contains("server 1"));
}

#[test]
fn a_host_that_is_stopped_leaves_in_time() {
    let mut host = host();
    let actions = host.signal(Signal::Terminate);
    assert!(actions.contains(&Action::Deadline(Rules::HOST.after_signal)), "{actions:?}");
    assert!(Rules::HOST.after_signal + Rules::HOST.after_kill < Duration::from_millis(9_500));
    // Nobody leaves: killed, and the answer to the signal is what counts.
    assert!(host.deadline().contains(&Action::Kill));
    host.exited(SERVER, Exit::Signal(9), "");
    assert_eq!(host.verdict().unwrap(), 143);
}

#[test]
fn a_signal_after_the_end_does_not_undo_it() {
    let mut host = host();
    host.exited(SERVER, Exit::Code(0), "");
    assert_eq!(host.signal(Signal::Terminate), [Action::Pass(Signal::Terminate)]);
    host.exited(WORKER, Exit::Code(143), "");
    assert_eq!(host.verdict().unwrap(), 0);
    // Also when the server hears of the end only after the signal.
    let mut late = self::host();
    late.signal(Signal::Terminate);
    late.exited(WORKER, Exit::Code(143), "");
    late.exited(SERVER, Exit::Code(0), "");
    assert_eq!(late.verdict().unwrap(), 0);
}

#[test]
fn a_host_with_a_worker_alone_ends_with_it() {
    for (end, code) in [(Exit::Code(0), Some(0)), (Exit::Signal(9), None)] {
        let mut host = Supervision::new(Rules::HOST);
        host.started(WORKER);
        host.is_ready(WORKER);
        host.exited(WORKER, end, "worker 0");
        assert!(host.is_over());
        assert_eq!(host.verdict().ok(), code);
    }
}

/// Of several workers on a host that has no server the last one speaks for it.
#[test]
fn a_host_goes_on_with_the_workers_that_it_has_left() {
    const SECOND: Name = Name { role: Role::Worker, index: 1 };
    for (end, code) in [(Exit::Code(0), Some(0)), (Exit::Signal(9), None)] {
        let mut host = Supervision::new(Rules::HOST);
        for worker in [WORKER, SECOND] {
            host.started(worker);
            host.is_ready(worker);
        }
        let first = host.exited(WORKER, Exit::Signal(9), "worker 0");
        assert!(says(&first, "worker 0") && !host.is_ending(), "{first:?}");
        host.exited(SECOND, end, "worker 1");
        assert_eq!(host.verdict().ok(), code);
    }
}

#[test]
fn a_master_with_workers_elsewhere_outlives_its_own() {
    let mut host = Supervision::new(Rules { has_master: true, ..Rules::HOST });
    for name in [MASTER, SERVER, WORKER] {
        host.started(name);
        host.is_ready(name);
    }
    let actions = host.exited(WORKER, Exit::Signal(9), "worker 0");
    assert!(says(&actions, "the others go on") && !host.is_ending(), "{actions:?}");
}
