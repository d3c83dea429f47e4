//! Servers that were killed and go back to a checkpoint alone.

use super::super::*;
use super::harness::*;

/// What a server says that takes the place of one that was killed.
fn successor(token: u64, shard: u32) -> Registration {
    let address = format!("host{shard}:9");
    Registration { goes_back: true, address, ..registration(Role::Server, token, Some(shard)) }
}

fn part(checkpoint: u64) -> RestoredPart {
    RestoredPart { checkpoint, updates: 4, model_share: 0.5 }
}

impl Job {
    /// A job of two servers that has written a checkpoint, and its workers.
    fn with_checkpoint() -> (Self, Vec<Caller>) {
        let mut job = Self::of_life(50, Config { checkpoints: true, ..config(2, 2, 3) });
        for shard in 0..2 {
            job.join(Role::Server, 1 + u64::from(shard), Some(shard)).unwrap();
        }
        let workers: Vec<Caller> =
            [11, 12].map(|token| job.join(Role::Worker, token, None).unwrap()).into();
        for worker in &workers {
            job.beat(*worker).unwrap();
        }
        job.lease(workers[0], 1);
        job.machine.checkpoint_now(None, job.now).unwrap();
        job.obey();
        assert_eq!(job.machine.checkpoints.newest(), Some(0));
        (job, workers)
    }

    fn restored(&mut self, restore: &ShardRestore, restored: Result<RestoredPart, NotRestored>) {
        self.machine.shard_restored((restore.shard, restore.epoch), restored, self.now);
        self.obey();
    }
}

#[test]
fn a_part_is_restored_when_it_knows_who_is_shut_out_and_members_are_told_then() {
    let (mut job, workers) = Job::with_checkpoint();
    let server = job.servers(2)[1];
    job.beat_with(server, |beat| beat.updates = 9).unwrap();
    job.shards_answer = false;
    let before = job.memberships.last().unwrap().clone();
    job.register(successor(77, 1)).unwrap();
    assert!(job.part_restores.is_empty(), "it does not know who is shut out");
    let told = job.memberships.last().unwrap().clone();
    assert!(told.shard_map.epoch > before.shard_map.epoch);
    for (old, new) in before.workers.iter().zip(&told.workers) {
        assert!(new.incarnation > old.incarnation && !new.active, "{told:?}");
    }
    for worker in &workers {
        assert!(job.beat(*worker).is_err(), "it begins anew");
    }
    let again = job.join(Role::Worker, 11, Some(0)).unwrap();
    assert!(job.beat(again).unwrap().shard_map.is_none(), "it would make the part from its start");
    let revision = job.memberships.last().unwrap().revision;
    job.machine.membership_acknowledged(1, revision, 0, job.now);
    job.obey();
    let [restore] = &job.part_restores[..] else { panic!("{:?}", job.part_restores) };
    let restore = restore.clone();
    assert_eq!((restore.shard, &restore.numbers[..], restore.life), (1, &[0][..], 50));
    assert_eq!(restore.epoch, told.shard_map.epoch);
    job.restored(&restore, Ok(part(0)));
    let map_now = job.beat(again).unwrap().shard_map.unwrap();
    assert_eq!(map_now.map.addresses[1], "host1:9");
    assert!(map_now.away.is_empty());
    let said = job.logs.iter().any(|line| {
        line.contains(
            "server shard 1 was killed: it went back alone to checkpoint 0, at least 5 updates",
        )
    });
    assert!(said, "{:?}", job.logs);
}

/// One that is killed on its way, and another server meanwhile: whatever was asked in an older epoch is asked again.
#[test]
fn what_was_asked_in_another_epoch_counts_nothing() {
    let (mut job, _) = Job::with_checkpoint();
    job.register(successor(77, 1)).unwrap();
    let first = job.part_restores.pop().unwrap();
    job.register(successor(78, 1)).unwrap();
    let second = job.part_restores.pop().unwrap();
    assert!(second.epoch > first.epoch);
    job.restored(&first, Ok(part(0)));
    assert!(job.machine.going_back.is_any(), "that process is gone");
    job.restored(&second, Err(NotRestored::Unreached("it is silent".into())));
    let third = job.part_restores.pop().unwrap();
    job.restored(&third, Ok(part(0)));
    assert!(!job.machine.going_back.is_any());
    assert!(job.finished.is_none());
}

#[test]
fn without_a_checkpoint_that_can_be_used_the_job_ends_and_says_so() {
    let (mut job, workers) = Job::started(2, 1, 3);
    job.beat(workers[0]).unwrap();
    job.lease(workers[0], 1);
    let refused = job.register(successor(77, 1)).unwrap_err().to_string();
    assert!(refused.contains(NO_WAY_BACK) && refused.contains("no checkpoint"), "{refused}");
    assert!(job.machine.registry.process(MemberId::server(1)).is_none(), "it is dead");
    let (mut job, _) = Job::with_checkpoint();
    job.register(successor(77, 1)).unwrap();
    let asked = job.part_restores.pop().unwrap();
    job.restored(&asked, Err(NotRestored::Unusable("checkpoint 0: damaged".into())));
    let line = job.machine.check_open().unwrap_err().to_string();
    assert!(line.contains(NO_WAY_BACK) && line.contains("damaged"), "{line}");
}

/// While a part is empty nothing is saved: neither a checkpoint nor the model.
#[test]
fn nothing_is_written_while_a_part_goes_back() {
    let (mut job, _) = Job::with_checkpoint();
    job.register(successor(77, 1)).unwrap();
    job.machine.checkpoint_now(None, job.now).unwrap();
    job.obey();
    assert_eq!(job.checkpoints.len(), 1);
    let asked = job.part_restores.pop().unwrap();
    job.restored(&asked, Ok(part(0)));
    assert_eq!(job.checkpoints.len(), 2);
}

/// As any server that is gone before anybody knows where the shards are.
#[test]
fn before_anything_is_on_it_a_server_is_replaced() {
    let mut job = Job::new(config(2, 1, 3));
    job.join(Role::Server, 1, Some(0)).unwrap();
    job.join(Role::Server, 2, Some(1)).unwrap();
    job.register(successor(77, 1)).unwrap();
    assert!(job.part_restores.is_empty() && !job.machine.going_back.is_any());
    let map = &job.memberships.last().unwrap().shard_map;
    assert_eq!(map.addresses[1], "host1:9");
}
