//! Leases alone, without a machine around them.

mod courses;

use super::*;

fn replicated(samples: u64, passes: u64, batch: u64, workers: u32) -> Leases {
    let mut leases = Leases::new(DataKind::Replicated, passes, batch, workers);
    leases.add(SHARED, samples).unwrap();
    leases
}

/// A sharded job with these shares by rank, and one that the evaluator serves.
fn sharded(shares: &[u64], served: u64, passes: u64) -> Leases {
    let mut leases = Leases::new(DataKind::Sharded, passes, 10, shares.len() as u32);
    for (rank, samples) in (0..).zip(shares) {
        leases.add(own(rank), *samples).unwrap();
    }
    leases.add(SHARED, served).unwrap();
    leases
}

fn finish(leases: &mut Leases, worker: WorkerId, id: u64) -> bool {
    leases.finish(worker, id, 0, &Losses::default())
}

#[test]
fn leases_are_whole_batches_and_cover_every_pass() {
    let mut leases = replicated(1000, 2, 32, 3);
    let mut next = (0, 0);
    while let Some(lease) = leases.grant(0, true) {
        let Positions { pass, start, end } = lease.positions;
        assert_eq!((pass, start), next);
        assert!((end - start) % 32 == 0 || end == 1000);
        next = if end == 1000 { (pass + 1, 0) } else { (pass, end) };
        assert!(finish(&mut leases, 0, lease.id));
        assert_eq!(leases.take_ended().len(), usize::from(end == 1000));
    }
    assert!(leases.are_done());
    assert_eq!(leases.progress(), (2000, 2000));
}

#[test]
fn a_returned_lease_goes_out_first_under_a_new_number() {
    let mut leases = replicated(100, 1, 10, 1);
    let first = leases.grant(0, true).unwrap();
    leases.grant(1, true).unwrap();
    leases.give_back(0);
    let again = leases.grant(2, true).unwrap();
    assert_eq!(again.positions, first.positions);
    assert_ne!(again.id, first.id);
    assert!(!finish(&mut leases, 0, first.id));
    assert!(!finish(&mut leases, 2, first.id));
    assert!(finish(&mut leases, 2, again.id));
    assert_eq!(leases.samples_done(), first.positions.count());
}

#[test]
fn the_next_pass_starts_while_this_one_is_in_work() {
    let mut leases = replicated(10, 2, 10, 2);
    assert_eq!(leases.grant(0, true).unwrap().positions.pass, 0);
    assert_eq!(leases.grant(1, true).unwrap().positions.pass, 1);
    assert_eq!(leases.pass(), 0);
    assert!(!leases.are_done() && leases.grant(2, true).is_none());
}

#[test]
fn a_served_share_is_spread_over_the_pass() {
    let mut leases = sharded(&[400, 400], 400, 1);
    let mut turns = Vec::new();
    while let Some(lease) = leases.grant(0, true) {
        turns.push(lease.source);
        assert!(finish(&mut leases, 0, lease.id));
    }
    // Worker 1 never comes: its own leases are left, everything else is done.
    assert_eq!(leases.samples_done(), 800);
    let half = turns.len() / 2;
    let served = turns[..half].iter().filter(|source| **source == SHARED).count();
    assert!((half / 3..=half * 2 / 3 + 1).contains(&served), "{turns:?}");
}

#[test]
fn what_an_absent_owner_leaves_is_skipped_and_counted() {
    let mut leases = sharded(&[100, 60], 0, 2);
    let lost = leases.grant(1, true).unwrap();
    leases.give_back(1);
    leases.suspend(own(1));
    while let Some(lease) = leases.grant(0, true) {
        assert!(finish(&mut leases, 0, lease.id));
    }
    let ended = leases.take_ended();
    assert_eq!(ended.iter().map(|end| end.pass).collect::<Vec<_>>(), [0, 1]);
    assert!(ended.iter().all(|end| end.skipped == BTreeMap::from([(own(1), 60)])), "{ended:?}");
    assert!(leases.are_done());
    assert_eq!(leases.progress(), (320, 320));
    assert!(!finish(&mut leases, 1, lost.id));
}

#[test]
fn an_owner_that_comes_back_goes_on_at_the_oldest_open_pass() {
    let mut leases = sharded(&[20, 20], 0, 3);
    leases.suspend(own(1));
    for _ in 0..2 {
        let lease = leases.grant(0, true).unwrap();
        assert!(finish(&mut leases, 0, lease.id));
    }
    assert_eq!(leases.take_ended().len(), 1);
    leases.revive(own(1));
    assert_eq!(leases.grant(1, true).unwrap().positions, Positions { pass: 1, start: 0, end: 10 });
}

#[test]
fn while_every_owner_is_away_nothing_is_skipped() {
    let mut leases = sharded(&[20, 20], 0, 1);
    leases.suspend(own(0));
    leases.suspend(own(1));
    assert!(leases.take_ended().is_empty() && !leases.are_done());
    leases.revive(own(0));
    assert!(leases.take_ended().is_empty());
}

#[test]
fn a_stream_counts_passes_until_it_was_read_once() {
    let mut leases = Leases::new(DataKind::Streamed, 2, 10, 2);
    leases.add(own(0), 0).unwrap();
    leases.add(own(1), 0).unwrap();
    assert_eq!(leases.progress(), (0, 4));
    let (one, two) = (leases.grant(0, true).unwrap(), leases.grant(1, true).unwrap());
    assert!(one.is_whole && leases.grant(2, true).is_none());
    assert!(leases.finish(0, one.id, 70, &Losses::default()));
    assert_eq!(leases.progress(), (1, 4));
    assert!(leases.finish(1, two.id, 30, &Losses::default()));
    assert_eq!((leases.progress(), leases.samples()), ((100, 200), 100));
    leases.suspend(own(1));
    let one = leases.grant(0, true).unwrap();
    assert!(leases.finish(0, one.id, 70, &Losses::default()));
    let ended = leases.take_ended();
    assert_eq!(ended[1].skipped, BTreeMap::from([(own(1), 30)]));
    assert!(leases.are_done());
}

#[test]
fn a_program_is_one_lease_for_each_worker() {
    let mut leases = Leases::new(DataKind::Program, 10, 10, 2);
    leases.add(own(0), 0).unwrap();
    leases.add(own(1), 0).unwrap();
    for worker in [0, 1] {
        let lease = leases.grant(worker, true).unwrap();
        assert!(finish(&mut leases, worker, lease.id) && leases.grant(worker, true).is_none());
    }
    assert!(leases.are_done());
    assert_eq!((leases.passes(), leases.progress()), (1, (2, 2)));
}

#[test]
fn other_data_than_the_cursors_is_refused_by_name() {
    let cursor = sharded(&[20, 20], 5, 1).cursor();
    let mut other = Leases::new(DataKind::Sharded, 1, 10, 2);
    other.resume(&cursor).unwrap();
    let refused = other.add(own(1), 19).unwrap_err().to_string();
    assert!(refused.contains("worker 1") && refused.contains("20") && refused.contains("19"));
    let refused = replicated(20, 1, 10, 1).resume(&cursor).unwrap_err().to_string();
    assert!(refused.contains("replicated") && refused.contains("sharded"), "{refused}");
    let mut damaged = cursor;
    damaged.sources.get_mut(&own(0)).unwrap().next_position = 21;
    assert!(matches!(sharded(&[20, 20], 5, 1).resume(&damaged), Err(Mismatch::Place { .. })));
}

/// Found by a user: a job whose scripts had ended was done for ever, whatever they had left to do.
#[test]
fn regression_programs_that_had_ended_are_run_again() {
    let programs = || {
        let mut leases = Leases::new(DataKind::Program, 10, 1, 1);
        leases.add(own(0), 0).unwrap();
        leases
    };
    let mut leases = programs();
    let lease = leases.grant(0, true).unwrap();
    assert!(finish(&mut leases, 0, lease.id) && leases.are_done());
    let mut again = programs();
    again.resume(&leases.cursor()).unwrap();
    assert!(!again.are_done() && again.grant(0, true).is_some());
}
