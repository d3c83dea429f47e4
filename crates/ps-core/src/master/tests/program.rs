//! Programs that take their samples from the master, and say what they measured.

use super::super::*;
use super::harness::*;
use crate::data_description::DataDescription;
use crate::keeping::EvaluationSettings;
use crate::measures::Measure;
use crate::scores::Scores;

fn program(token: u64) -> Registration {
    let data = DataDescription { kind: DataKind::Program, ..DataDescription::default() };
    Registration { data, ..registration(Role::Worker, token, None) }
}

/// A job whose workers run programs.
fn begun(config: Config) -> (Job, Vec<Caller>) {
    let workers = config.workers;
    let mut job = Job::new(config);
    job.join(Role::Server, 0, Some(0)).unwrap();
    let workers: Vec<Caller> =
        (0..workers).map(|rank| job.register(program(100 + u64::from(rank))).unwrap()).collect();
    for worker in &workers {
        job.beat(*worker).unwrap();
        assert!(job.lease(*worker, 1).whole);
    }
    (job, workers)
}

fn asking(process: u64, number: u64) -> Asking {
    Asking { process, number }
}

fn wish(caller: Caller, asking: Asking, pass: u64, finished: &[u64]) -> SamplesRequest {
    let finished = finished.to_vec();
    let (gives_back, wants_lease) = (false, true);
    SamplesRequest {
        caller,
        asking,
        samples: 40,
        batch: 10,
        pass,
        finished,
        gives_back,
        wants_lease,
    }
}

fn next(job: &mut Job, request: &SamplesRequest) -> Result<SamplesAnswer, Rejection> {
    let answer = job.machine.next_samples(request, job.now);
    job.obey();
    answer
}

fn lease(job: &mut Job, request: &SamplesRequest) -> (u64, u64) {
    match next(job, request) {
        Ok(SamplesAnswer::Lease { lease, start, end, .. }) => (lease, end - start),
        other => panic!("{other:?}"),
    }
}

/// Has one program do all that it gets in a pass; the samples, and its last number.
fn do_pass(job: &mut Job, caller: Caller, process: u64, mut number: u64, pass: u64) -> (u64, u64) {
    let (mut samples, mut finished) = (0, Vec::new());
    loop {
        number += 1;
        match next(job, &wish(caller, asking(process, number), pass, &finished)).unwrap() {
            SamplesAnswer::Lease { lease, start, end, .. } => {
                samples += end - start;
                finished = vec![lease];
            }
            _ => return (samples, number),
        }
    }
}

#[test]
fn a_pass_is_over_when_every_sample_of_it_was_trained() {
    let (mut job, workers) = begun(config(1, 2, 1));
    let held = lease(&mut job, &wish(workers[0], asking(1, 1), 0, &[]));
    let (samples, number) = do_pass(&mut job, workers[1], 2, 0, 0);
    assert_eq!(samples + held.1, 40);
    let again = next(&mut job, &wish(workers[1], asking(2, number + 1), 0, &[])).unwrap();
    assert!(matches!(again, SamplesAnswer::Wait(_)), "{again:?}");
    let held_up = |job: &Job| -> Vec<bool> {
        let published = job.memberships.last().unwrap();
        published.workers.iter().map(|member| member.holds_nobody).collect()
    };
    assert_eq!(held_up(&job), [false, true], "who waits for another's samples holds nobody");
    let over = next(&mut job, &wish(workers[0], asking(1, 2), 0, &[held.0])).unwrap();
    assert_eq!(over, SamplesAnswer::Over);
    assert_eq!(job.machine.snapshot().program_pass, Some(2));
}

#[test]
fn what_a_dead_workers_program_held_goes_to_others() {
    let (mut job, workers) = begun(config(1, 2, 1));
    let held = lease(&mut job, &wish(workers[0], asking(1, 1), 0, &[]));
    job.machine.members_ended(&[workers[0].member], "was killed by signal 9", job.now);
    job.obey();
    let (samples, _) = do_pass(&mut job, workers[1], 2, 0, 0);
    assert_eq!(samples, 40);
    let line = "10 samples of pass 1 go from the program of worker 0";
    assert!(job.logs.iter().any(|it| it.contains(line)), "{:?}", job.logs);
    // The dead one speaks once more.
    let late = next(&mut job, &wish(workers[0], asking(1, 2), 1, &[held.0]));
    assert!(matches!(late, Err(Rejection::Stale { .. })), "{late:?}");
}

#[test]
fn another_program_of_the_same_worker_begins_anew_and_one_that_asks_twice_gets_the_same() {
    let (mut job, workers) = begun(config(1, 1, 1));
    let first = wish(workers[0], asking(1, 1), 0, &[]);
    let (held, again) = (lease(&mut job, &first), lease(&mut job, &first));
    assert_eq!(held, again);
    let second = lease(&mut job, &wish(workers[0], asking(1, 2), 0, &[held.0]));
    // It was under way for long, and nobody waits for it.
    assert_eq!(lease(&mut job, &first), second);
    let (samples, _) = do_pass(&mut job, workers[0], 2, 0, 0);
    assert_eq!(samples, 40 - held.1);
}

#[test]
fn other_samples_are_refused_and_what_is_given_back_comes_again() {
    let (mut job, workers) = begun(config(1, 2, 1));
    let _ = lease(&mut job, &wish(workers[0], asking(1, 1), 0, &[]));
    let other = SamplesRequest { samples: 41, ..wish(workers[1], asking(2, 1), 0, &[]) };
    let words = next(&mut job, &other).unwrap_err().to_string();
    assert!(words.contains("worker 1") && words.contains("41 samples, and 40"), "{words}");
    let gives_back = SamplesRequest {
        gives_back: true,
        wants_lease: false,
        ..wish(workers[0], asking(1, 2), 0, &[])
    };
    next(&mut job, &gives_back).unwrap();
    assert_eq!(do_pass(&mut job, workers[1], 2, 1, 0).0, 40);
}

#[test]
fn a_job_goes_on_where_its_programs_were() {
    let (mut job, workers) = begun(Config { checkpoints: true, ..config(1, 1, 1) });
    let (_, number) = do_pass(&mut job, workers[0], 1, 0, 0);
    let held = lease(&mut job, &wish(workers[0], asking(1, number + 1), 1, &[]));
    let _ = lease(&mut job, &wish(workers[0], asking(1, number + 2), 1, &[held.0]));
    job.machine.checkpoint_now(None, job.now).unwrap();
    job.obey();
    let state = job.checkpoints.last().unwrap().state.clone();
    assert_eq!((state.programs.pass(), state.programs.done()), (1, 50));
    let mut again =
        Job::of_life(state.highest + 1000, Config { checkpoints: true, ..config(1, 1, 1) });
    again.machine.start_after(CheckpointHistory { has_any: true, next_number: 8 });
    again.join(Role::Server, 0, Some(0)).unwrap();
    let worker = again.register(program(100)).unwrap();
    let restored = RestoredCheckpoint { number: 7, state, chunk_elements: 64, older: Vec::new() };
    let epoch = again.restores.last().unwrap().epoch;
    again.machine.restored(epoch, Ok(Box::new(restored)), again.now);
    again.obey();
    again.beat(worker).unwrap();
    let task = again.lease(worker, 1);
    assert_eq!((task.pass, task.checkpoint), (1, Some(7)));
    // A script that begins anew catches up.
    let first = next(&mut again, &wish(worker, asking(5, 1), 0, &[])).unwrap();
    assert_eq!(first, SamplesAnswer::Over);
    assert_eq!(do_pass(&mut again, worker, 5, 1, 1).0, 30);
}

fn report(caller: Caller, number: u64, loss: f64) -> MeasuresReport {
    let measures = vec![Measure { name: "loss".to_owned(), value: loss }];
    let scores = Scores { loss: f64::NAN, accuracy: Some(0.5), measures, samples: 0 };
    let asking = asking(1, number);
    MeasuresReport { caller, asking, pass: None, is_validation: false, scores }
}

#[test]
fn what_a_program_measures_is_a_metric_line_and_ends_training_early() {
    let mut settings = config(1, 1, 1);
    let early_stop_after = Some(2);
    settings.settings.evaluation = EvaluationSettings { early_stop_after, ..Default::default() };
    let (mut job, workers) = begun(settings);
    do_pass(&mut job, workers[0], 1, 0, 0);
    let mut answers = Vec::new();
    for (number, loss) in [(1, 1.0), (2, 0.5), (2, 0.5), (3, 0.6), (4, 0.7)] {
        let answer = job.machine.measured(&report(workers[0], number, loss), job.now).unwrap();
        job.obey();
        answers.push((answer.is_best, answer.is_ended));
    }
    let expected = [(true, false), (true, false), (true, false), (false, false), (false, true)];
    assert_eq!(answers, expected);
    assert_eq!(job.metrics.len(), 4, "{:?}", job.metrics);
    assert_eq!(job.metrics[0], "pass=1; test_accuracy=0.5000; test_loss=1.0000;");
    let ended = next(&mut job, &wish(workers[0], asking(1, 100), 1, &[])).unwrap();
    assert_eq!(ended, SamplesAnswer::Ended);
}

#[test]
fn what_the_job_compares_must_be_measured() {
    let mut settings = config(1, 1, 1);
    settings.settings.evaluation = EvaluationSettings {
        early_stop_after: Some(2),
        keep_measure: "auc".to_owned(),
        ..Default::default()
    };
    let (mut job, workers) = begun(settings);
    let words = job.machine.measured(&report(workers[0], 1, 1.0), job.now).unwrap_err().to_string();
    assert!(words.contains("accuracy, loss, and no auc"), "{words}");
}

/// Found by a user: the job stood still until somebody killed it, and nobody was named.
#[test]
fn regression_who_hangs_with_samples_is_named_and_loses_them() {
    let (mut job, workers) = begun(config(1, 2, 1));
    let held = lease(&mut job, &wish(workers[1], asking(2, 1), 0, &[]));
    let (trained, number) = do_pass(&mut job, workers[0], 1, 0, 0);
    let ask =
        |job: &mut Job, number| next(job, &wish(workers[0], asking(1, number), 0, &[])).unwrap();
    let seconds = job.machine.config.step_timeout.as_secs();
    let alive: Vec<Caller> = workers.iter().copied().chain(job.servers(1)).collect();
    for second in 1..=seconds {
        job.pass_time(1, &alive);
        let is_told =
            job.logs.iter().any(|line| line.contains("waits for the program of worker 1"));
        assert_eq!(is_told, second >= 30, "{second}: {:?}", job.logs);
        if second < seconds {
            let answer = ask(&mut job, number + second);
            assert!(matches!(answer, SamplesAnswer::Wait(_)), "{second}: {answer:?}");
        }
    }
    let last = ask(&mut job, number + seconds + 2);
    assert!(
        matches!(last, SamplesAnswer::Lease { start, end, .. } if end - start == held.1),
        "{last:?}"
    );
    assert_eq!(trained + held.1, 40);
}

/// Found by a breaker: in a container that is started again a program has the process id of the one before.
#[test]
fn regression_a_program_of_a_later_incarnation_gets_no_answers_of_the_one_before() {
    let (mut job, caller) = keeping();
    let first = lease(&mut job, &wish(caller, asking(1, 1), 0, &[]));
    wanted(&mut job, caller, asking(1, 1), 0.5);
    job.machine.members_ended(&[caller.member], "was killed by signal 9", job.now);
    job.obey();
    assert!(job.logs.iter().any(|line| line.contains("did not send them")), "{:?}", job.logs);
    let again = job.register(program(200)).unwrap();
    let second = lease(&mut job, &wish(again, asking(1, 1), 0, &[]));
    assert_ne!(second.0, first.0, "a lease of its own");
    let kept = wanted(&mut job, again, asking(1, 1), 0.7);
    assert!(written(&mut job, (again, asking(1, 1)), Ok(kept)).is_best);
}

fn measures(caller: Caller, asking: Asking, loss: f64) -> MeasuresReport {
    let measures = vec![Measure { name: "loss".to_owned(), value: loss }];
    let scores = Scores { loss: f64::NAN, accuracy: None, measures, samples: 0 };
    MeasuresReport { caller, asking, pass: None, is_validation: true, scores }
}

/// A job of programs that keeps the best weights.
fn keeping() -> (Job, Caller) {
    let mut config = config(1, 1, 3);
    config.settings.evaluation =
        EvaluationSettings { keep: crate::keeping::Keep::Best, ..EvaluationSettings::default() };
    let (job, workers) = begun(config);
    (job, workers[0])
}

/// What is to be said of the weights of this report.
fn wanted(job: &mut Job, caller: Caller, asking: Asking, loss: f64) -> crate::keeping::Kept {
    let answer = job.machine.measured(&measures(caller, asking, loss), job.now).unwrap();
    assert!(answer.is_best, "{answer:?}");
    job.obey();
    answer.keep.unwrap()
}

fn written(
    job: &mut Job,
    of: (Caller, Asking),
    written: Result<crate::keeping::Kept, String>,
) -> MeasuresAnswer {
    let answer = job.machine.weights_written(of, written, job.now).unwrap();
    job.obey();
    answer
}

#[test]
fn a_programs_best_weights_are_those_that_were_written() {
    let (mut job, caller) = keeping();
    let (first, second, third) = (asking(1, 1), asking(1, 2), asking(1, 3));
    let kept = wanted(&mut job, caller, first, 0.5);
    assert_eq!(job.machine.weights_wanted(caller, first), Ok(WeightsWanted::Yes(kept.clone())));
    let answer = written(&mut job, (caller, first), Ok(kept.clone()));
    assert!(answer.is_best && answer.keep.is_none());
    // What was answered may be lost, and asked for once more.
    assert_eq!(written(&mut job, (caller, first), Ok(kept)), answer);
    assert_eq!(job.machine.weights_wanted(caller, first), Ok(WeightsWanted::Before(answer)));
    let worse = job.machine.measured(&measures(caller, second, 0.6), job.now).unwrap();
    assert_eq!(worse, MeasuresAnswer::default());
    let refused = job.machine.weights_wanted(caller, asking(1, 9));
    assert!(matches!(refused, Err(Rejection::NoWeightsWanted { .. })), "{refused:?}");
    // It is no best whose weights are not there.
    let better = wanted(&mut job, caller, third, 0.4);
    assert!(!written(&mut job, (caller, third), Err("no room".to_owned())).is_best);
    assert!(job.logs.iter().any(|line| line.contains("no room")), "{:?}", job.logs);
    let again = wanted(&mut job, caller, asking(1, 4), 0.4);
    assert_eq!(Some(again.value), Some(better.value));
}

#[test]
fn weights_that_never_come_are_given_up_with_the_next_report_and_survive_a_new_master() {
    let (mut job, caller) = keeping();
    wanted(&mut job, caller, asking(1, 1), 0.5);
    let kept = wanted(&mut job, caller, asking(1, 2), 0.6);
    assert!(job.logs.iter().any(|line| line.contains("did not send them")), "{:?}", job.logs);
    let saved = rmp_serde::to_vec_named(&job.machine).unwrap();
    job.machine = rmp_serde::from_slice(&saved).unwrap();
    assert!(written(&mut job, (caller, asking(1, 2)), Ok(kept)).is_best);
}
