mod pipelined;

use super::*;
use proptest::prelude::*;

const T0: Duration = Duration::ZERO;

fn member(worker: WorkerId, active: bool, start_clock: Clock) -> Member {
    Member { worker, incarnation: 1, active, holds_nobody: false, start_clock }
}

fn managed(bound: Option<u64>, workers: u32) -> Gate {
    let mut gate = Gate::managed();
    gate.set_bound(bound);
    let members: Vec<_> = (0..workers).map(|w| member(w, true, 0)).collect();
    gate.set_members(&members, T0);
    gate
}

fn opens(gate: &Gate, worker: WorkerId, step: Clock) -> bool {
    matches!(gate.check(worker, 1, step, 0, T0), GateDecision::Open { .. })
}

#[test]
fn bound_0_is_lockstep() {
    let mut gate = managed(Some(0), 2);
    assert!(opens(&gate, 0, 0));
    gate.advance(0, 1, 1);
    assert!(!opens(&gate, 0, 1));
    gate.advance(1, 1, 1);
    assert!(opens(&gate, 0, 1) && opens(&gate, 1, 1));
}

#[test]
fn within_a_push_the_gate_is_open_if_only_that_push_is_missing() {
    let mut gate = managed(Some(0), 2);
    let within = |gate: &mut Gate, pushed| gate.check_within_push(0, 1, pushed, pushed + 1, 0, T0);
    assert_eq!(within(&mut gate, 0), None);
    gate.advance(1, 1, 1);
    assert_eq!(within(&mut gate, 0), Some(1));
    assert!(!opens(&gate, 0, 1));
    // The push of step 0 is still missing: that of step 1 does not stand for it.
    gate.advance(1, 1, 2);
    assert_eq!(within(&mut gate, 1), None);
    assert_eq!(gate.check_within_push(0, 2, 0, 1, 0, T0), None, "another incarnation");
    // Weights for a later step wait for the others' pushes up to there.
    let mut gate = managed(Some(1), 2);
    assert_eq!(gate.check_within_push(0, 1, 0, 1, 0, T0), Some(1));
    assert_eq!(gate.check_within_push(0, 1, 0, 1, 1, T0), None);
    gate.advance(1, 1, 1);
    assert_eq!(gate.check_within_push(0, 1, 0, 1, 1, T0), Some(1));
}

#[test]
fn without_a_bound_nobody_waits() {
    let mut gate = managed(None, 2);
    gate.advance(0, 1, 1_000_000);
    assert!(opens(&gate, 0, 1_000_000));
}

#[test]
fn an_idle_or_fenced_worker_holds_nobody() {
    let mut gate = managed(Some(1), 2);
    gate.advance(0, 1, 5);
    assert!(!opens(&gate, 0, 5));
    gate.set_members(&[member(1, false, 0)], T0);
    assert!(opens(&gate, 0, 5));
}

/// A pull in a worker's name that claimed a far clock lifted that worker out of the job: it waited for its own pushes on the
/// other shards, and no pass ended any more.
#[test]
fn regression_a_pull_moves_no_clock_past_what_the_shard_saw() {
    let mut gate = managed(Some(1), 2);
    gate.advance(0, 1, 5);
    gate.advance(1, 1, 5);
    gate.finished(0, 1, u64::MAX);
    assert_eq!(gate.check(0, 1, 5, 0, T0), GateDecision::Open { clock: 5 }, "nobody is lifted");
    assert_eq!(gate.check_within_push(0, 1, 5, 6, 0, T0), Some(6));
    let furthest = 5 + UNACKNOWLEDGED_PUSHES_MAX;
    assert!(!opens(&gate, 0, furthest + 1), "its own pushes are still to come");
    // However often it is said.
    (0..9).for_each(|_| assert!(!gate.finished(0, 1, u64::MAX)));
    gate.advance(1, 1, furthest + 2);
    assert!(!opens(&gate, 1, furthest + 2), "the other one is still waited for");
    // Who joins starts where the others are.
    gate.set_members(&[member(2, true, 0)], T0);
    assert_eq!(gate.check(2, 1, 0, 0, T0), GateDecision::Open { clock: 6 });
}

/// A shard that is behind another one lets through whom that one has lifted.
#[test]
fn who_was_lifted_elsewhere_waits_for_nothing_here() {
    let mut gate = managed(Some(0), 2);
    gate.advance(0, 1, 9);
    assert!(!opens(&gate, 1, 10));
    assert!(gate.finished(1, 1, 10) && !gate.finished(1, 1, 10));
    assert!(!opens(&gate, 1, 10), "worker 0 is at 9");
    gate.advance(0, 1, 10);
    assert!(opens(&gate, 1, 10) && opens(&gate, 0, 10));
}

#[test]
fn a_joiner_starts_at_the_smallest_active_clock() {
    let mut gate = managed(Some(1), 2);
    gate.advance(0, 1, 40);
    gate.advance(1, 1, 41);
    assert_eq!(gate.check(2, 1, 0, 0, T0), GateDecision::Wait { until: None });
    gate.set_members(&[member(2, true, 12)], T0);
    assert_eq!(gate.check(2, 1, 12, 0, T0), GateDecision::Open { clock: 40 });
    assert!(opens(&gate, 1, 41), "the joiner does not hold the others back");
}

/// Found by the simulation (pipelined, seed 300): weights for step 2 left with the push of step 0, and who
/// joined while that push was still arriving began at step 0, two steps behind.
#[test]
fn regression_who_joins_while_a_push_arrives_starts_after_it() {
    let mut gate = managed(Some(1), 1);
    assert_eq!(gate.check_within_push(0, 1, 0, 1, 1, T0), Some(1));
    gate.set_members(&[member(1, true, 0)], T0);
    assert_eq!(gate.check(1, 1, 0, 0, T0), GateDecision::Open { clock: 1 });
}

/// Found by the simulation (seed 7): shards lift a joiner to different clocks, it takes the
/// largest, and at bound 0 waited for itself on the shard that had lifted it less.
#[test]
fn regression_a_lifted_joiner_does_not_wait_for_itself() {
    let mut gate = managed(Some(0), 1);
    gate.advance(0, 1, 7);
    gate.set_members(&[member(1, true, 0)], T0);
    gate.advance(0, 1, 8);
    assert!(!opens(&gate, 1, 8), "this shard has the joiner at 7");
    gate.finished(1, 1, 8); // it says that it has no push below 8
    assert!(opens(&gate, 1, 8) && opens(&gate, 0, 8));
}

#[test]
fn without_a_master_silence_ends_activity() {
    let mut gate = Gate::unmanaged(Duration::from_secs(10));
    gate.set_bound(Some(0));
    gate.heard(0, 1, T0);
    gate.heard(1, 1, T0);
    gate.advance(0, 1, 1);
    let wait = GateDecision::Wait { until: Some(Duration::from_secs(10)) };
    assert_eq!(gate.check(0, 1, 1, 0, T0), wait);
    gate.heard(0, 1, Duration::from_secs(9));
    let later = Duration::from_secs(10);
    assert_eq!(gate.check(0, 1, 1, 0, later), GateDecision::Open { clock: 1 });
    gate.advance(0, 1, 7);
    gate.heard(1, 1, Duration::from_secs(11));
    let back = gate.check(1, 1, 0, 0, Duration::from_secs(11));
    assert_eq!(back, GateDecision::Open { clock: 7 }, "a returner is lifted to the others");
}

proptest! {
/// However workers join, leave and step, whoever passes is within the bound of every
    /// active worker.
    #[test]
    fn whoever_passes_is_within_the_bound(
        bound in 0_u64..4,
        events in prop::collection::vec((0_u32..4, 0_u8..8), 1..300),
    ) {
        let mut gate = managed(Some(bound), 0);
        let mut steps = [0_u64; 4];
        let mut active = [false; 4];
        for (id, event) in events {
            let at = id as usize;
            match event {
                0 => {
                    gate.set_members(&[member(id, !active[at], 0)], T0);
                    active[at] = !active[at];
                }
                _ => {
                    let GateDecision::Open { clock } = gate.check(id, 1, steps[at], 0, T0) else {
                        continue;
                    };
                    if clock > steps[at] {
                        steps[at] = clock; // lifted: it asks again for that step
                        continue;
                    }
                    for other in (0..4).filter(|&o| active[o]) {
                        let done = gate.workers[&(other as u32)].clock;
                        prop_assert!(done + bound >= clock, "{other} at {done}, {id} at {clock}");
                    }
                    gate.advance(id, 1, clock + 1);
                    steps[at] = clock + 1;
                }
            }
        }
    }
}

/// Found by a breaker: a server was killed before the first push had come, and started again; the push came once more before
/// the master's word that its worker is active, which then had it at the beginning, so that its pull waited for ever.
#[test]
fn regression_a_push_ahead_of_the_masters_word_counts() {
    let mut gate = Gate::managed();
    let worker = Member { incarnation: 7, ..member(3, true, 0) };
    assert!(gate.advance(3, 7, 1));
    assert!(!gate.is_active(3, 7, Duration::ZERO), "it holds nobody yet");
    gate.set_members(&[worker], Duration::ZERO);
    let open = GateDecision::Open { clock: 1 };
    assert_eq!(gate.check(3, 7, 1, 0, Duration::ZERO), open);
    // The same of one that has taken a place.
    assert!(gate.advance(3, 8, 2) && !gate.advance(3, 7, 5));
    gate.set_members(&[Member { incarnation: 8, ..worker }], Duration::ZERO);
    assert_eq!(gate.check(3, 8, 2, 0, Duration::ZERO), GateDecision::Open { clock: 2 });
}

/// Found in a job of two programs: one waited for the other's last samples, and that one for its clock.
#[test]
fn regression_nobody_waits_for_who_waits_for_samples() {
    let mut gate = Gate::managed();
    gate.set_bound(Some(2));
    let waiting = Member { holds_nobody: true, ..member(1, true, 0) };
    gate.set_members(&[member(0, true, 0), member(1, true, 0)], Duration::ZERO);
    gate.advance(0, 1, 5);
    let next = |gate: &Gate, worker, step| gate.check(worker, 1, step, 0, Duration::ZERO);
    assert!(matches!(next(&gate, 0, 5), GateDecision::Wait { .. }));
    gate.set_members(&[member(0, true, 0), waiting], Duration::ZERO);
    assert_eq!(next(&gate, 0, 5), GateDecision::Open { clock: 5 });
    // It may go on all the same.
    assert_eq!(next(&gate, 1, 0), GateDecision::Open { clock: 0 });
    // When it has samples again it is where the others are.
    gate.set_members(&[member(0, true, 0), member(1, true, 0)], Duration::ZERO);
    assert_eq!(next(&gate, 1, 0), GateDecision::Open { clock: 5 });
    assert_eq!(next(&gate, 0, 5), GateDecision::Open { clock: 5 });
}
