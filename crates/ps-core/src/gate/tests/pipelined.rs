//! Workers that pull for later steps while they compute.

use super::*;
use std::collections::VecDeque;

const WORKERS: usize = 3;

#[test]
fn weights_for_later_steps_wait_for_the_own_pushes_too() {
    let mut gate = managed(Some(2), 1);
    let check = |gate: &Gate, step, ahead| gate.check(0, 1, step, ahead, T0);
    let wait = GateDecision::Wait { until: None };
    assert_eq!(check(&gate, 0, 2), GateDecision::Open { clock: 0 });
    assert_eq!(check(&gate, 0, 3), wait);
    assert_eq!(check(&gate, 1, 2), wait);
    gate.advance(0, 1, 1);
    assert_eq!(check(&gate, 1, 2), GateDecision::Open { clock: 1 }, "as much as the bound allows");
    assert_eq!(check(&gate, 0, 2), GateDecision::Open { clock: 1 }, "its clock, not the step");
}

/// A worker with exchanges under way.
#[derive(Clone, Debug, Default)]
struct Worker {
    /// Its next step.
    step: Clock,
    /// Steps whose pushes are on their way.
    pushes: VecDeque<Clock>,
    /// Steps whose weights are asked for.
    pulls: VecDeque<Clock>,
    /// It has weights for the steps below it.
    fresh_until: Clock,
}

struct Job {
    gate: Gate,
    bound: u64,
    depth: u64,
    workers: Vec<Worker>,
}

impl Job {
    fn new(bound: u64, depth: u64) -> Self {
        let gate = managed(Some(bound), WORKERS as u32);
        let workers = vec![Worker { pulls: [depth].into(), ..Worker::default() }; WORKERS];
        Self { gate, bound, depth, workers }
    }

    /// The oldest push of a worker arrives. Whether there is one.
    fn push(&mut self, at: usize) -> bool {
        let step = self.workers[at].pushes.pop_front();
        step.is_some_and(|step| self.gate.advance(at as u32, 1, step + 1))
    }

    /// The oldest pull of a worker is answered. Whether there is one that the gate lets through.
    fn pull(&mut self, at: usize) -> bool {
        let worker = &mut self.workers[at];
        let Some(&step) = worker.pulls.front() else {
            return false;
        };
        let (own, ahead) = (step - self.depth, self.depth);
        if !matches!(self.gate.check(at as u32, 1, own, ahead, T0), GateDecision::Open { .. }) {
            return false;
        }
        worker.pulls.pop_front();
        worker.fresh_until = step + 1;
        true
    }

    /// A worker computes its next step. Whether it has weights for it.
    fn compute(&mut self, at: usize) -> Result<bool, TestCaseError> {
        let (depth, bound) = (self.depth, self.bound);
        let worker = &mut self.workers[at];
        let step = worker.step;
        if step >= worker.fresh_until {
            return Ok(false);
        }
        worker.pushes.push_back(step);
        worker.pulls.push_back(step + 1 + depth);
        worker.step += 1;
        for other in self.gate.workers.values() {
            let clock = other.clock;
            prop_assert!(clock + bound >= step, "{at} computes step {step}, another is at {clock}");
        }
        Ok(true)
    }

    fn act(&mut self, what: usize) -> Result<bool, TestCaseError> {
        let at = what % WORKERS;
        match what / WORKERS {
            0 => Ok(self.push(at)),
            1 => Ok(self.pull(at)),
            _ => self.compute(at),
        }
    }
}

proptest! {
    /// With any number of exchanges under way up to the bound: whoever computes has weights that are
    /// within the bound, and whatever happened in whatever order, somebody can go on.
    #[test]
    fn pipelines_keep_the_bound_and_nobody_waits_for_ever(
        bound in 0_u64..4,
        less in 0_u64..4,
        order in prop::collection::vec(0..3 * WORKERS, 1..400),
    ) {
        let mut job = Job::new(bound, bound.saturating_sub(less));
        for what in order {
            job.act(what)?;
            let mut goes_on = false;
            for what in 0..3 * WORKERS {
                goes_on |= job.act(what)?;
            }
            prop_assert!(goes_on, "everybody waits");
        }
    }

    /// With more under way than the bound allows a worker would wait for itself: why it is refused.
    #[test]
    fn more_than_the_bound_waits_for_ever(bound in 0_u64..4) {
        let mut job = Job::new(bound, bound + 1);
        for what in 0..9 * WORKERS {
            prop_assert!(!job.act(what % (3 * WORKERS))?);
        }
    }
}
