//! The control plane's messages, as the master takes and gives them.

use super::refusal::{self, Reason};
use super::words::{at_most, check_line};
use super::{Error, check_counts, check_protocol};
use crate::v1;
use ps_core::DataDescription;
use ps_core::gate::Member;
use ps_core::learning::Losses;
use ps_core::limits::{
    ABOUT_BYTES_MAX, ADDRESS_BYTES_MAX, EVALUATORS_MAX, SHARDS_MAX, STALENESS_COUNTS_MAX,
    WORKERS_MAX,
};
use ps_core::master::{
    Caller, EvaluationResult, Heartbeat, HeartbeatReply, JobProgress, LeaseResult, Leave, MemberId,
    Membership, Registration, Rejection, Role, Task, TaskRequest,
};
use ps_core::model_config::About;
use ps_core::report::WorkerCounters;
use ps_core::staleness::Staleness;
use tonic::Status;

fn role(message: &'static str, role: v1::Role) -> Result<Role, Error> {
    match role {
        v1::Role::Server => Ok(Role::Server),
        v1::Role::Worker => Ok(Role::Worker),
        v1::Role::Evaluator => Ok(Role::Evaluator),
        v1::Role::Unspecified => Err(Error::Missing { message, field: "role" }),
    }
}

fn member_id(message: &'static str, role: Role, index: u32) -> Result<MemberId, Error> {
    let count = match role {
        Role::Server => SHARDS_MAX,
        Role::Worker => WORKERS_MAX,
        Role::Evaluator => EVALUATORS_MAX,
    };
    if index >= count {
        return Err(Error::invalid(message, "index", index, format!("less than {count}")));
    }
    Ok(MemberId { role, index })
}

impl TryFrom<v1::RegisterRequest> for Registration {
    type Error = Error;

    fn try_from(request: v1::RegisterRequest) -> Result<Self, Error> {
        const NAME: &str = "RegisterRequest";
        check_protocol(NAME, request.protocol)?;
        check_counts(NAME, [("highest", request.highest), ("life", request.life)])?;
        let role = role(NAME, request.role())?;
        member_id(NAME, role, request.index.unwrap_or(0))?;
        check_line(NAME, "address", &request.address, ADDRESS_BYTES_MAX)?;
        let port = request.address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        if role == Role::Server && !matches!(port, Some(Ok(_))) {
            let (field, expected) = ("address", "HOST:PORT, where workers reach the server");
            return Err(Error::invalid(NAME, field, format!("`{}`", request.address), expected));
        }
        let data = request.data.map(DataDescription::try_from).transpose()?;
        if role == Role::Worker && data.is_none() {
            return Err(Error::Missing { message: NAME, field: "data" });
        }
        Ok(Self {
            role,
            token: request.token,
            index: request.index,
            address: request.address,
            data: data.unwrap_or_default(),
            highest: request.highest,
            life: request.life,
            holds_weights: request.holds_weights,
            recovered: request.recovered,
            goes_back: request.goes_back,
            keeps_best: request.keeps_best,
            about: about(&request.about)?,
        })
    }
}

/// What a member says of the model.
fn about(text: &str) -> Result<Option<Box<About>>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    at_most("RegisterRequest", "about", text.len(), ABOUT_BYTES_MAX)?;
    let about = serde_json::from_str(text).map_err(|error| {
        Error::invalid("RegisterRequest", "about", error, "JSON that says what the model is")
    })?;
    Ok(Some(Box::new(about)))
}

impl TryFrom<v1::HeartbeatRequest> for Heartbeat {
    type Error = Error;

    fn try_from(request: v1::HeartbeatRequest) -> Result<Self, Error> {
        const NAME: &str = "HeartbeatRequest";
        check_counts(NAME, [("incarnation", request.incarnation), ("clock", request.clock)])?;
        check_counts(NAME, [("updates", request.updates)])?;
        let role = role(NAME, request.role())?;
        Ok(Self {
            caller: Caller {
                member: member_id(NAME, role, request.index)?,
                incarnation: request.incarnation,
            },
            clock: request.clock,
            waiting: request.waiting,
            counters: request.counters.map(WorkerCounters::try_from).transpose()?,
            leaving: request.leaving,
            parent_gone: request.parent_gone,
            map_revision: request.map_revision,
            holds_weights: request.holds_weights,
            updates: request.updates,
        })
    }
}

impl TryFrom<v1::WorkerCounters> for WorkerCounters {
    type Error = Error;

    fn try_from(wire: v1::WorkerCounters) -> Result<Self, Error> {
        const NAME: &str = "WorkerCounters";
        at_most(NAME, "staleness", wire.staleness.len(), STALENESS_COUNTS_MAX)?;
        check_counts(NAME, [("steps", wire.steps), ("samples", wire.samples)])?;
        let (retried, refused) = (wire.pushes_retried, wire.chunks_refused);
        check_counts(NAME, [("pushes_retried", retried), ("chunks_refused", refused)])?;
        let (pushed, pulled) = (wire.bytes_pushed, wire.bytes_pulled);
        check_counts(NAME, [("bytes_pushed", pushed), ("bytes_pulled", pulled)])?;
        let seconds = |value: f64| {
            if value.is_finite() { value.max(0.0) } else { 0.0 }
        };
        let counts = wire.staleness.iter().map(|count| (count.staleness, count.pushes));
        Ok(Self {
            steps: wire.steps,
            samples: wire.samples,
            pushes_retried: wire.pushes_retried,
            chunks_refused: wire.chunks_refused,
            bytes_pushed: wire.bytes_pushed,
            bytes_pulled: wire.bytes_pulled,
            loss_last: wire.loss_last.is_finite().then_some(wire.loss_last),
            seconds_computing: seconds(wire.seconds_computing),
            seconds_exchanging: seconds(wire.seconds_exchanging),
            staleness: Staleness::from_counts(counts),
        })
    }
}

impl TryFrom<v1::NextTaskRequest> for TaskRequest {
    type Error = Error;

    fn try_from(request: v1::NextTaskRequest) -> Result<Self, Error> {
        const NAME: &str = "NextTaskRequest";
        check_counts(NAME, [("incarnation", request.incarnation), ("number", request.number)])?;
        let role = role(NAME, request.role())?;
        if role == Role::Server {
            let expected = "worker or evaluator: servers get no tasks";
            return Err(Error::invalid(NAME, "role", "server", expected));
        }
        Ok(Self {
            caller: Caller {
                member: member_id(NAME, role, request.index)?,
                incarnation: request.incarnation,
            },
            number: request.number,
            finished: request.finished.map(LeaseResult::try_from).transpose()?,
            evaluated: request.evaluated.map(EvaluationResult::try_from).transpose()?,
        })
    }
}

impl TryFrom<v1::LeaseResult> for LeaseResult {
    type Error = Error;

    fn try_from(wire: v1::LeaseResult) -> Result<Self, Error> {
        const NAME: &str = "LeaseResult";
        let counts = [("steps", wire.steps), ("samples", wire.samples)];
        check_counts(NAME, counts)?;
        check_counts(NAME, [("lease", wire.lease), ("loss_samples", wire.loss_samples)])?;
        if wire.steps_not_finite > wire.steps {
            let expected = format!("at most the {} steps", wire.steps);
            return Err(Error::invalid(NAME, "steps_not_finite", wire.steps_not_finite, expected));
        }
        // Finite losses can still have an infinite sum.
        let is_finite = wire.loss_sum.is_finite();
        Ok(Self {
            lease: wire.lease,
            samples: wire.samples,
            losses: Losses {
                steps: wire.steps,
                steps_not_finite: if is_finite { wire.steps_not_finite } else { wire.steps },
                loss_sum: if is_finite { wire.loss_sum } else { 0.0 },
                loss_samples: if is_finite { wire.loss_samples } else { 0 },
                first: wire.loss_first.filter(|loss| loss.is_finite()),
                highest: wire.loss_highest.filter(|loss| loss.is_finite()),
            },
        })
    }
}

impl From<JobProgress> for v1::JobProgress {
    fn from(progress: JobProgress) -> Self {
        Self { samples_done: progress.samples_done, samples_total: progress.samples_total }
    }
}

impl From<HeartbeatReply> for v1::HeartbeatReply {
    fn from(reply: HeartbeatReply) -> Self {
        let leave = reply.leave.map(|Leave { exit_code, reason, goes_on }| v1::Leave {
            exit_code: exit_code.into(),
            reason,
            goes_on,
        });
        Self {
            shard_map: reply.shard_map.map(v1::ShardMap::from),
            progress: Some(reply.progress.into()),
            leave,
            stop: reply.stop,
            data: reply.data.map(v1::DataDescription::from),
        }
    }
}

impl From<Task> for v1::NextTaskReply {
    fn from(task: Task) -> Self {
        use v1::next_task_reply::Task as Wire;
        let task = match task {
            Task::Train(task) => Wire::Train(v1::TrainTask {
                lease: task.lease,
                pass: task.pass,
                start: task.start,
                end: task.end,
                progress: Some(task.progress.into()),
                checkpoint: task.checkpoint.unwrap_or(0),
                start_clock: task.start_clock,
                source: task.source,
                source_samples: task.source_samples,
                served_at: task.served_at.unwrap_or_default(),
                whole: task.whole,
            }),
            Task::Evaluate(task) => Wire::Evaluate(task.into()),
            Task::Wait(wait) => {
                let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                Wire::Wait(v1::WaitTask { milliseconds })
            }
        };
        Self { task: Some(task) }
    }
}

/// A membership for the shards of this job.
pub fn membership_request(job: &str, shard: u32, membership: &Membership) -> v1::MembershipRequest {
    let member = |member: &Member| v1::Member {
        worker: member.worker,
        incarnation: member.incarnation,
        active: member.active,
        holds_nobody: member.holds_nobody,
        start_clock: member.start_clock,
    };
    v1::MembershipRequest {
        job: job.to_owned(),
        shard,
        epoch: membership.shard_map.epoch,
        life: membership.life,
        revision: membership.revision,
        workers: membership.workers.iter().map(member).collect(),
    }
}

/// The status of a call that the master refused.
pub fn refused(refused: &Rejection) -> Status {
    let message = refused.to_string();
    match refused {
        Rejection::Taken { .. } | Rejection::Full { .. } => {
            refusal::status(Reason::Taken, 0, 0, message)
        }
        Rejection::Stale { current, .. } => {
            refusal::status(Reason::StaleIncarnation, 0, *current, message)
        }
        Rejection::NoSuchMember { .. } | Rejection::NoIndex { .. } => {
            Status::invalid_argument(message)
        }
        Rejection::DataMismatch(_)
        | Rejection::NoSamples { .. }
        | Rejection::JobOver { .. }
        | Rejection::NoCheckpoints
        | Rejection::NothingTrained
        | Rejection::Ending
        | Rejection::OtherSamples { .. }
        | Rejection::OtherMeasure { .. }
        | Rejection::NoWeightsWanted { .. }
        | Rejection::OtherLife { .. } => Status::failed_precondition(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PROTOCOL;

    fn register() -> v1::RegisterRequest {
        v1::RegisterRequest {
            role: v1::Role::Server.into(),
            index: Some(1),
            address: "host:2223".into(),
            protocol: PROTOCOL,
            ..v1::RegisterRequest::default()
        }
    }

    #[test]
    fn bad_registrations_are_named() {
        assert!(Registration::try_from(register()).is_ok());
        let cases = [
            (v1::RegisterRequest { role: 0, ..register() }, "`role`"),
            (v1::RegisterRequest { protocol: 0, ..register() }, "protocol 0"),
            (v1::RegisterRequest { highest: u64::MAX, ..register() }, "`highest`"),
            (v1::RegisterRequest { index: Some(SHARDS_MAX), ..register() }, "`index`"),
            (v1::RegisterRequest { address: "x".repeat(1000), ..register() }, "`address`"),
            (
                v1::RegisterRequest { address: "0 INFO all is well\nhost:1".into(), ..register() },
                "one line",
            ),
            (v1::RegisterRequest { address: "host".into(), ..register() }, "HOST:PORT"),
            (v1::RegisterRequest { role: v1::Role::Worker.into(), ..register() }, "`data`"),
        ];
        for (request, part) in cases {
            let error = Registration::try_from(request).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn bad_results_are_named() {
        let lease = v1::LeaseResult { steps: 1, steps_not_finite: 2, ..Default::default() };
        assert!(LeaseResult::try_from(lease).is_err());
        let overflow = v1::LeaseResult { steps: 3, loss_sum: f64::INFINITY, ..Default::default() };
        assert_eq!(LeaseResult::try_from(overflow).unwrap().losses.steps_not_finite, 3);
        let server = v1::NextTaskRequest { role: v1::Role::Server.into(), ..Default::default() };
        assert!(TaskRequest::try_from(server).is_err());
    }

    #[test]
    fn a_flood_of_counts_is_refused() {
        let staleness = vec![v1::StalenessCount::default(); STALENESS_COUNTS_MAX + 1];
        let counters = v1::WorkerCounters { staleness, ..Default::default() };
        assert!(WorkerCounters::try_from(counters).is_err());
    }
}
