//! When a checkpoint is taken, and how a job goes on from one.

use super::super::lifecycle::Phase;
use super::super::*;
use super::harness::*;
use crate::checkpoint::JobState;
use crate::ids::LIFE_DISTANCE;
use crate::learning::Losses;

fn with_checkpoints(servers: u32, workers: u32, passes: u64) -> (Job, Vec<Caller>) {
    let mut job = Job::new(Config { checkpoints: true, ..config(servers, workers, passes) });
    job.machine.start_after(CheckpointHistory { has_any: false, next_number: 1 });
    job.start(servers, workers)
}

fn everybody(servers: u32, job: &Job, workers: &[Caller]) -> Vec<Caller> {
    job.servers(servers).into_iter().chain(workers.iter().copied()).collect()
}

/// One request of a worker that does what it is told at once; what it did.
type Work = (Option<LeaseResult>, Option<EvaluationResult>);

fn step(job: &mut Job, caller: Caller, number: u64, work: Work) -> Work {
    let (finished, evaluated) = work;
    match job.request(TaskRequest { caller, number, finished, evaluated }).unwrap() {
        Task::Train(task) => (Some(done(&task)), None),
        Task::Evaluate(task) => (None, Some(measured(task))),
        Task::Wait(_) => (None, None),
    }
}

/// Trains until so many checkpoints were asked for; the last number of the worker's requests.
fn train_until(job: &mut Job, worker: Caller, checkpoints: usize) -> u64 {
    let mut work = Work::default();
    for number in 1..1000 {
        if job.checkpoints.len() == checkpoints {
            return number;
        }
        work = step(job, worker, number, work);
    }
    panic!("{} checkpoints, {checkpoints} wanted", job.checkpoints.len());
}

fn state(job: &Job) -> JobState {
    job.checkpoints.last().unwrap().state.clone()
}

/// Servers and a worker, before the checkpoint is restored.
fn second_life(state: &JobState, config: Config) -> (Job, Caller) {
    let life = state.highest + LIFE_DISTANCE;
    let mut job = Job::of_life(life, Config { checkpoints: true, ..config });
    job.machine.start_after(CheckpointHistory { has_any: true, next_number: 8 });
    for shard in 0..job.machine.config.servers {
        job.join(Role::Server, shard.into(), Some(shard)).unwrap();
    }
    let worker = job.join(Role::Worker, 100, None).unwrap();
    (job, worker)
}

fn restore(job: &mut Job, state: &JobState) {
    let epoch = job.restores.last().unwrap().epoch;
    let restored = RestoredCheckpoint {
        number: 7,
        state: state.clone(),
        chunk_elements: 64,
        older: [5, 3].map(|number| CompleteCheckpoint { number, is_sound: true }).into(),
    };
    job.machine.restored(epoch, Ok(Box::new(restored)), job.now);
    job.obey();
}

#[test]
fn each_pass_and_the_end_have_a_checkpoint_and_the_end_only_one() {
    let (mut job, workers) = with_checkpoints(2, 1, 3);
    job.work(&everybody(2, &job, &workers), 0);
    assert_eq!(job.finished, Some((0, None)));
    let numbers: Vec<u64> = job.checkpoints.iter().map(|c| c.number).collect();
    assert_eq!(numbers, [1, 2, 3], "after two passes and at the end");
    let keeps: Vec<&[u64]> = job.checkpoints.iter().map(|c| c.keep.as_slice()).collect();
    assert_eq!(keeps, [&[][..], &[1], &[2, 1]]);
    let done: Vec<u64> = job.checkpoints.iter().map(|c| c.state.samples_done).collect();
    assert_eq!(done, [100, 200, 300]);
    let last = state(&job);
    assert_eq!(last.passes.len(), 3);
    assert_eq!(last.highest, 2, "fenced before the last one");
    assert_eq!(job.reports[0].checkpoint, Some(3));
}

#[test]
fn without_a_folder_there_are_none() {
    let (mut job, workers) = Job::started(1, 1, 2);
    job.work(&everybody(1, &job, &workers), 0);
    assert_eq!(job.checkpoints, []);
}

#[test]
fn a_pass_that_ends_while_one_is_written_has_none() {
    let (mut job, workers) = with_checkpoints(1, 1, 3);
    job.writes_checkpoints = false;
    let number = train_until(&mut job, workers[0], 1);
    let all = everybody(1, &job, &workers);
    let answer = |job: &mut Job| {
        let number = job.checkpoints.last().unwrap().number;
        job.machine.checkpoint_written(number, Ok(()), job.now);
        job.obey();
    };
    let mut work = Work::default();
    for number in number..200 {
        work = step(&mut job, workers[0], number, work);
    }
    job.pass_time(20, &all);
    assert_eq!((job.checkpoints.len(), job.saves), (1, 1), "the model does not wait for it");
    answer(&mut job);
    assert_eq!(job.checkpoints.len(), 2, "and then the last one");
    assert!(!matches!(job.machine.lifecycle.phase(), Phase::Evaluating { .. }));
    answer(&mut job);
    assert!(matches!(job.machine.lifecycle.phase(), Phase::Evaluating { .. }));
}

/// A job of three passes of 10 steps that writes checkpoints so often.
fn asked_every(every: CheckpointEvery) -> (Job, Caller) {
    let config = config(1, 1, 3);
    let mut job = Job::new(Config { checkpoints: true, checkpoint_every: every, ..config });
    job.machine.start_after(CheckpointHistory { has_any: false, next_number: 1 });
    let (job, workers) = job.start(1, 1);
    (job, workers[0])
}

#[test]
fn they_are_written_every_so_many_steps_passes_or_seconds() {
    let never = CheckpointEvery { passes: 0, steps: None, time: None };
    let cases = [
        (never, vec![300]),
        (CheckpointEvery { passes: 2, ..never }, vec![200, 300]),
        (CheckpointEvery { steps: Some(9), ..never }, vec![100, 200, 300]),
    ];
    for (every, expected) in cases {
        let (mut job, worker) = asked_every(every);
        let all = everybody(1, &job, &[worker]);
        job.work(&all, 0);
        let done: Vec<u64> = job.checkpoints.iter().map(|it| it.state.samples_done).collect();
        assert_eq!(done, expected, "{every:?}");
    }
    let (mut job, worker) =
        asked_every(CheckpointEvery { time: Some(Duration::from_secs(5)), ..never });
    let all = everybody(1, &job, &[worker]);
    let mut work = step(&mut job, worker, 1, Work::default());
    job.pass_time(8, &all);
    assert_eq!(job.checkpoints.len(), 0, "nothing was trained");
    for number in 2..5 {
        work = step(&mut job, worker, number, work);
    }
    assert_eq!(job.checkpoints.len(), 1, "at the first step after so long");
    job.pass_time(6, &all);
    assert_eq!(job.checkpoints.len(), 2);
    job.pass_time(30, &all);
    assert_eq!(job.checkpoints.len(), 2, "nothing since");
}

#[test]
fn who_asks_gets_one_at_once_and_hears_when_it_is_written() {
    let never = CheckpointEvery { passes: 0, steps: None, time: None };
    let (mut job, worker) = asked_every(never);
    let ask = |job: &mut Job, number| {
        let answer = job.machine.checkpoint_now(number, job.now);
        job.obey();
        answer
    };
    assert!(matches!(ask(&mut job, None), Err(Rejection::NothingTrained)));
    let work = step(&mut job, worker, 1, Work::default());
    job.writes_checkpoints = false;
    assert_eq!(ask(&mut job, None), Ok((1, CheckpointProgress::Writing)));
    assert_eq!(job.checkpoints.len(), 1);
    assert_eq!(ask(&mut job, None), Ok((2, CheckpointProgress::Writing)), "the next one");
    assert_eq!(job.checkpoints.len(), 1, "one at a time");
    job.machine.checkpoint_written(1, Ok(()), job.now);
    job.obey();
    assert_eq!(job.checkpoints.len(), 2);
    assert_eq!(ask(&mut job, Some(1)), Ok((1, CheckpointProgress::Written)));
    assert_eq!(ask(&mut job, Some(2)), Ok((2, CheckpointProgress::Writing)));
    job.machine.checkpoint_written(2, Err("no space".into()), job.now);
    let failed = CheckpointProgress::Failed("no space".into());
    assert_eq!(ask(&mut job, Some(2)), Ok((2, failed)));
    job.writes_checkpoints = true;
    assert_eq!(ask(&mut job, None), Ok((3, CheckpointProgress::Writing)));
    assert_eq!(ask(&mut job, Some(2)), Ok((3, CheckpointProgress::Written)), "a later one");
    step(&mut job, worker, 2, work);
    job.machine.signal(143, job.now);
    assert!(matches!(ask(&mut job, None), Err(Rejection::Ending)));
    let (mut without, _) = Job::started(1, 1, 1);
    assert!(matches!(ask(&mut without, None), Err(Rejection::NoCheckpoints)));
}

#[test]
fn one_that_fails_is_said_and_costs_nothing_else() {
    let (mut job, workers) = with_checkpoints(1, 1, 2);
    job.writes_checkpoints = false;
    let all = everybody(1, &job, &workers);
    train_until(&mut job, workers[0], 1);
    job.machine.checkpoint_written(9, Ok(()), job.now);
    job.machine.checkpoint_written(1, Err("no space".into()), job.now);
    job.machine.checkpoint_written(1, Ok(()), job.now);
    job.writes_checkpoints = true;
    job.work(&all, 1000);
    assert_eq!(job.finished, Some((0, None)));
    assert_eq!(job.checkpoints.last().unwrap().keep, [] as [u64; 0], "the first is not complete");
    let said = job.logs.iter().any(|line| line.contains("no space") && line.contains("none yet"));
    assert!(said, "{:?}", job.logs);
}

#[test]
fn after_a_signal_a_late_checkpoint_does_not_cost_the_model() {
    let (mut job, workers) = with_checkpoints(1, 1, 9);
    let all = everybody(1, &job, &workers);
    let number = train_until(&mut job, workers[0], 1);
    job.writes_checkpoints = false;
    job.machine.signal(143, job.now);
    job.ask(workers[0], number, None).unwrap();
    assert_eq!((job.saves, job.checkpoints.len()), (1, 2));
    assert_eq!(job.beat(workers[0]).unwrap().leave, None, "it is waited for");
    job.pass_time(7, &all);
    let leave = job.beat(workers[0]).unwrap().leave.unwrap();
    assert_eq!((leave.exit_code, leave.reason), (143, String::new()));
    assert!(job.logs.iter().any(|line| line.contains("not complete in time")), "{:?}", job.logs);
}

#[test]
fn a_server_that_dies_before_the_last_one_is_complete_does_not_cost_the_model() {
    let (mut job, workers) = with_checkpoints(1, 1, 1);
    job.writes_checkpoints = false;
    train_until(&mut job, workers[0], 1);
    job.pass_time(35, &workers);
    assert_eq!(job.reports[0].outcome.exit_code, 0);
}

#[test]
fn what_diverged_is_not_written_over_what_did_not() {
    let (mut job, workers) = with_checkpoints(1, 1, 5);
    let first = train_until(&mut job, workers[0], 1);
    let mut work = Work::default();
    for number in first..first + 100 {
        work = step(&mut job, workers[0], number, work);
        if let Some(result) = &mut work.0 {
            result.losses = Losses { steps: 60, steps_not_finite: 60, ..Losses::default() };
        }
    }
    assert_eq!((job.saves, job.checkpoints.len()), (1, 1));
    assert_eq!(job.reports[0].outcome.exit_code, 1);
}

#[test]
fn nobody_begins_before_the_checkpoint_is_restored() {
    let (mut first, workers) = with_checkpoints(2, 1, 3);
    train_until(&mut first, workers[0], 1);
    let state = state(&first);
    let (mut job, worker) = second_life(&state, config(3, 1, 3));
    assert!(worker.incarnation > state.highest && job.restores[0].epoch > state.highest);
    let knows = |job: &mut Job| job.beat(worker).unwrap().shard_map.is_some();
    assert!(!knows(&mut job));
    // However long it takes.
    let all = everybody(3, &job, &[worker]);
    job.pass_time(150, &all);
    assert!(!knows(&mut job) && job.finished.is_none());
    restore(&mut job, &state);
    assert!(knows(&mut job));
    let line = "resumed from checkpoint 7: 1 of 3 passes done, 100 of 300 samples";
    assert!(job.logs.iter().any(|log| log == line), "{:?}", job.logs);
    job.work(&all, 0);
    let report = &job.reports[0];
    assert_eq!(job.finished, Some((0, None)));
    assert_eq!(report.passes.len(), 3);
    assert_eq!(report.passes[0].train_loss, state.passes[0].train_loss);
    assert_eq!(report.resumed.unwrap().checkpoint, 7);
    assert_eq!(report.start_loss, Some(2.0), "of the first life");
    assert_eq!(job.checkpoints[0].number, 8);
    assert_eq!(job.checkpoints[0].keep, [7, 5]);
    assert!(job.checkpoints.last().unwrap().state.highest > worker.incarnation);
}

#[test]
fn a_server_that_is_replaced_before_the_start_restores_again() {
    let (mut first, workers) = with_checkpoints(1, 1, 2);
    train_until(&mut first, workers[0], 1);
    let state = state(&first);
    let (mut job, worker) = second_life(&state, config(1, 1, 2));
    restore(&mut job, &state);
    let server = registration(Role::Server, 55, Some(0));
    job.pass_time(10, &[]);
    job.register(server).unwrap();
    assert_eq!(job.join(Role::Worker, 100, None).unwrap().incarnation, worker.incarnation + 1);
    assert_eq!(job.restores.len(), 2);
    let late = RestoredCheckpoint {
        number: 7,
        state: state.clone(),
        chunk_elements: 64,
        older: Vec::new(),
    };
    let epoch = job.restores[0].epoch;
    job.machine.restored(epoch, Ok(Box::new(late)), job.now);
    restore(&mut job, &state);
    assert_eq!(job.machine.snapshot().samples_done, 100);
}

#[test]
fn other_data_or_no_usable_checkpoint_ends_the_job_in_words() {
    let (mut first, workers) = with_checkpoints(1, 1, 2);
    train_until(&mut first, workers[0], 1);
    let state = state(&first);
    let mut other = Job::new(Config { checkpoints: true, ..config(1, 1, 2) });
    other.machine.start_after(CheckpointHistory { has_any: true, next_number: 8 });
    other.join(Role::Server, 0, Some(0)).unwrap();
    restore(&mut other, &state);
    let mut fewer = registration(Role::Worker, 1, None);
    fewer.data.samples = 99;
    other.register(fewer).unwrap();
    let reason = other.reports[0].outcome.reason.clone().unwrap();
    assert!(reason.contains("100 training") && reason.contains("99"), "{reason}");

    let (mut unusable, _) = second_life(&state, config(1, 1, 2));
    let epoch = unusable.restores[0].epoch;
    unusable.machine.restored(epoch, Err("all are damaged".into()), unusable.now);
    unusable.obey();
    assert_eq!(unusable.reports[0].outcome.reason.as_deref(), Some("all are damaged"));
    assert_eq!(unusable.reports[0].outcome.exit_code, 1);
}

#[test]
fn when_all_was_done_before_the_model_is_written_and_measured_again() {
    let (mut first, workers) = with_checkpoints(1, 1, 2);
    first.work(&everybody(1, &first, &workers), 0);
    let state = state(&first);
    for passes in [1, 2] {
        let (mut job, worker) = second_life(&state, config(1, 1, passes));
        restore(&mut job, &state);
        job.work(&everybody(1, &job, &[worker]), 0);
        assert_eq!((job.finished.clone(), job.saves), (Some((0, None)), 1));
        assert_eq!(job.checkpoints, [], "nothing new");
        assert!(job.metrics.iter().any(|line| line.starts_with("final_test_accuracy=")));
    }
}
