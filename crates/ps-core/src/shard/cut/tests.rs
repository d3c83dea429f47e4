use super::super::tests::{NOW, bytes, header};
use super::super::{EncodedRun, Error, Guards, InitialWeights, PushHeader};
use super::*;
use crate::correction::Correction;
use crate::{Layout, TensorSpec};
use proptest::prelude::*;
use ps_kernels::optimizer::Optimizer;

const SHARDS: usize = 3;
const CHUNKS: usize = 3;
const ELEMENTS: usize = 64;
const WORKERS: usize = 3;
const HELD: Duration = Duration::from_secs(1);
const ID: CutId = CutId { epoch: 0, number: 1, attempt: 1 };

fn spec() -> ModelSpec {
    let elements = SHARDS * CHUNKS * ELEMENTS;
    ModelSpec {
        layout: Layout::new(vec![TensorSpec::trainable("w", [elements])]).unwrap(),
        optimizer: Optimizer::parse("momentum", None, None).unwrap(),
        rules: Vec::new(),
        correction: Correction::None,
        bound: None,
        chunk_elements: ELEMENTS as u32,
        shards: SHARDS as u32,
    }
}

fn shards() -> Vec<Shard> {
    let shard = |index: u32| {
        let lease = Some(Duration::from_secs(1000));
        let shard = Shard::new(index, lease, Guards::ALL, Box::new(|| ()));
        let values = [0.0_f32; CHUNKS * ELEMENTS];
        let mut initial = InitialWeights::new(index, spec(), crc32fast::hash(bytes(&values)));
        for chunk in 0..CHUNKS as u32 {
            let chunk = index * CHUNKS as u32 + chunk;
            initial.add(chunk, bytes(&values[..ELEMENTS])).unwrap();
        }
        shard.install(initial.finish().unwrap());
        shard
    };
    (0..SHARDS as u32).map(shard).collect()
}

/// Sends these chunks, counted from the shard's first, of a push that touches all; whether they were taken.
fn send(
    shard: &Shard,
    id: PushId,
    oldest: Seq,
    chunks: std::ops::Range<usize>,
    now: Duration,
) -> bool {
    let PushId { worker, incarnation, seq } = id;
    let header = header(worker, incarnation, seq);
    let header = PushHeader { chunks_total: CHUNKS as u32, oldest, ..header };
    let mut push = match shard.begin(header, now) {
        Ok(push) => push,
        Err(Error::CutIsPrepared { .. } | Error::Fenced(_)) => return false,
        Err(other) => panic!("{other}"),
    };
    let first = shard.model().unwrap().id(0);
    for index in chunks {
        let chunk = first + index as ChunkId;
        if !shard.cut_has_room(&id, chunk, 1) {
            return false;
        }
        let values = [1.0; ELEMENTS];
        let run = EncodedRun {
            first: chunk,
            chunks: 1,
            pulled_version: 0,
            spans: &[],
            values: bytes(&values),
            positions: &[],
        };
        push.take(&run).unwrap();
    }
    let _ = push.finish();
    true
}

/// Where a worker is with one shard: the push that it sends, and how many chunks of it are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    seq: Seq,
    sent: usize,
}

/// What each worker sends to each shard.
#[derive(Default)]
struct Senders {
    places: [[Place; SHARDS]; WORKERS],
    acknowledges: bool,
}

impl Senders {
    /// Sends the next chunk of a worker's push to a shard, up to two pushes ahead of what all shards have.
    fn send(&mut self, shards: &[Shard], worker: usize, shard: usize) -> bool {
        let Place { seq, sent } = self.places[worker][shard];
        let oldest = self.places[worker].iter().map(|place| place.seq).min().unwrap();
        if seq > oldest + 2 {
            return false;
        }
        let id = PushId { worker: worker as WorkerId, incarnation: 1, seq };
        let oldest = if self.acknowledges { oldest } else { 0 };
        if !send(&shards[shard], id, oldest, sent..sent + 1, NOW) {
            return false;
        }
        self.places[worker][shard] = match sent + 1 == CHUNKS {
            true => Place { seq: seq + 1, sent: 0 },
            false => Place { seq, sent: sent + 1 },
        };
        true
    }

    /// How many pushes a chunk of a shard was sent.
    fn sent(&self, shard: usize, index: usize) -> u64 {
        let of =
            |worker: &[Place; SHARDS]| worker[shard].seq + u64::from(worker[shard].sent > index);
        self.places.iter().map(of).sum()
    }
}

/// Asks a shard which pushes it has begun.
fn prepare(shard: &Shard) -> CutEnds {
    shard.prepare_cut(ID, NOW, HELD).unwrap()
}

/// What a shard's part of a cut is: the versions of its chunks, and where each worker's window ends.
fn copied(mut cut: ShardCut<'_>, versions: &mut Vec<u64>) -> Remembered {
    copy_some(&mut cut, versions, usize::MAX);
    cut.finish().unwrap()
}

fn copy_some(cut: &mut ShardCut<'_>, versions: &mut Vec<u64>, at_most: usize) {
    let mut chunk = ChunkSnapshot::default();
    for _ in 0..at_most {
        if cut.next(&mut chunk).unwrap().is_none() {
            return;
        }
        assert_eq!(chunk.weights, vec![weight_after(chunk.version); ELEMENTS]);
        versions.push(chunk.version);
    }
}

/// A weight after so many gradients of 1, by momentum.
fn weight_after(updates: u64) -> f32 {
    let step = |(weight, momentum): (f32, f32), _| {
        let momentum = 0.9 * momentum + 1.0;
        (weight - momentum, momentum)
    };
    (0..updates).fold((0.0, 0.0), step).0
}

#[derive(Clone, Debug)]
enum Event {
    /// The next shard is asked, or told, or copies a chunk, where it may.
    Cut(usize),
    Send(usize, usize),
}

fn events(most: usize) -> impl Strategy<Value = Vec<Event>> {
    let send = (0..WORKERS, 0..SHARDS).prop_map(|(worker, shard)| Event::Send(worker, shard));
    let cut = (0..SHARDS).prop_map(Event::Cut);
    prop::collection::vec(prop_oneof![1 => cut, 4 => send], 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Chunks of pushes reach shards in any order while the shards are asked, told, and copied: every push is in all
    /// chunks of all shards, or in none.
    #[test]
    fn each_push_is_in_the_cut_on_all_shards_or_on_none(
        before in prop::collection::vec((0..WORKERS, 0..SHARDS), 0..60),
        events in events(200),
        acknowledges in any::<bool>(),
        kept_chunks_max in 1_usize..9,
    ) {
        let shards = shards();
        let mut senders = Senders { acknowledges, ..Senders::default() };
        for (worker, shard) in before {
            senders.send(&shards, worker, shard);
        }
        let kept_bytes_max = kept_chunks_max * 2 * ELEMENTS * size_of::<f32>();
        let mut said: [Option<CutEnds>; SHARDS] = Default::default();
        let mut ends = CutEnds::default();
        let mut cuts: [Option<ShardCut<'_>>; SHARDS] = Default::default();
        let mut versions: [Vec<u64>; SHARDS] = Default::default();
        // Then everybody in turn, until it is done.
        let all_send = (0..WORKERS * SHARDS).map(|it| Event::Send(it / SHARDS, it % SHARDS));
        let in_turn: Vec<_> = (0..SHARDS).map(Event::Cut).chain(all_send).collect();
        let then = std::iter::repeat_n(in_turn, 40).flatten();
        for event in events.into_iter().chain(then) {
            match event {
                Event::Send(worker, shard) => {
                    senders.send(&shards, worker, shard);
                }
                Event::Cut(shard) if said[shard].is_none() => {
                    let own = prepare(&shards[shard]);
                    ends.extend(&own);
                    said[shard] = Some(own);
                }
                Event::Cut(_) if said.iter().any(Option::is_none) => (),
                Event::Cut(shard) => match &mut cuts[shard] {
                    None => {
                        let cut = shards[shard].open_cut(ID, ends.clone(), NOW, kept_bytes_max);
                        cuts[shard] = Some(cut.unwrap());
                    }
                    Some(cut) if cut.late().is_empty() => copy_some(cut, &mut versions[shard], 1),
                    Some(_) => (),
                },
            }
        }
        let held: u64 = ends.0.values().map(|end| end.seq).sum();
        for (shard, cut) in cuts.into_iter().enumerate() {
            let cut = cut.unwrap();
            prop_assert_eq!(cut.torn(), Vec::new());
            let remembered = copied(cut, &mut versions[shard]);
            prop_assert_eq!(&versions[shard], &vec![held; CHUNKS]);
            for (worker, (_, window)) in &remembered.sessions {
                let end = ends.0.get(worker).map_or(0, |end| end.seq);
                prop_assert_eq!((window.contiguous, window.clock), (end, end));
                prop_assert!(window.pushes.iter().all(|push| push.seq < end && push.done.is_none()));
            }
        }
        // What is in no cut is in the shards all the same.
        for (shard, own) in shards.iter().enumerate() {
            for (index, chunk) in own.model().unwrap().chunks().iter().enumerate() {
                prop_assert_eq!(chunk.lock().version(), senders.sent(shard, index));
            }
        }
    }
}

/// Whoever dies in the middle of a push holds no cut: what it left is torn, and said.
#[test]
fn a_dead_workers_push_is_torn_and_named_and_holds_nothing() {
    let (shards, mut senders) = (shards(), Senders::default());
    for (worker, shard) in [(0, 0), (0, 0), (1, 1)] {
        assert!(senders.send(&shards, worker, shard));
    }
    let mut ends = CutEnds::default();
    shards.iter().for_each(|shard| ends.extend(&prepare(shard)));
    let shard = &shards[0];
    let cut = shard.open_cut(ID, ends, NOW, usize::MAX).unwrap();
    assert_eq!(cut.late(), [0, 1], "one has begun, of the other a push is on its way");
    shard.heard(0, 0, 2, NOW);
    assert_eq!(cut.late(), [1]);
    shard.heard(0, 1, 2, NOW);
    assert!(cut.late().is_empty());
    assert_eq!(cut.torn(), [PushId { worker: 0, incarnation: 1, seq: 0 }]);
    let mut versions = Vec::new();
    let remembered = copied(cut, &mut versions);
    assert_eq!(versions, [1, 1, 0]);
    let pushes = &remembered.sessions[&0].1.pushes;
    assert_eq!(pushes[0].done, Some(vec![(0, 2)]), "which chunks hold it");
    assert!(!remembered.sessions.contains_key(&1), "of it nothing came");
}

/// A master that dies, or is slow, between asking and telling holds nobody for long, and mixes no moments.
#[test]
fn what_is_not_opened_in_time_is_given_up_and_not_opened_later() {
    let shard = &shards()[0];
    let id = |seq: Seq| PushId { worker: 0, incarnation: 1, seq };
    let whole = |seq: Seq, now: Duration| send(shard, id(seq), 0, 0..CHUNKS, now);
    assert!(whole(0, NOW));
    let ends = prepare(shard);
    assert_eq!(ends.0[&0], CutEnd { incarnation: 1, seq: 1 });
    assert!(whole(0, NOW), "what is begun goes on");
    assert!(!whole(1, NOW), "what is not waits");
    let mut more = ends.clone();
    more.0.insert(0, CutEnd { incarnation: 1, seq: 0 });
    let open = |ends: &CutEnds, now: Duration| shard.open_cut(ID, ends.clone(), now, 1).map(drop);
    assert!(matches!(open(&more, NOW), Err(CopyError::NotPrepared { .. })), "less than was said");
    assert!(matches!(open(&ends, HELD), Err(CopyError::NotPrepared { .. })), "too late");
    assert!(whole(1, HELD), "it is given up");
    assert!(matches!(open(&ends, NOW), Err(CopyError::NotPrepared { .. })));
    let later = CutId { attempt: 2, ..ID };
    let ends = shard.prepare_cut(later, HELD, HELD).unwrap();
    assert_eq!(ends.0[&0].seq, 2);
    assert!(matches!(open(&ends, HELD), Err(CopyError::NotPrepared { .. })), "of another attempt");
    assert!(shard.open_cut(later, ends, HELD, 1).is_ok());
}

/// Pushes that are not in the cut wait for memory, but only for chunks that would need more of it; what is kept is
/// written first.
#[test]
fn what_is_kept_is_bounded_and_whoever_waits_goes_on_when_it_is_written() {
    let shard = &shards()[0];
    let ends = prepare(shard);
    let chunk_bytes = 2 * ELEMENTS * size_of::<f32>();
    let mut cut = shard.open_cut(ID, ends, NOW, chunk_bytes).unwrap();
    let id = PushId { worker: 0, incarnation: 1, seq: 0 };
    assert!(send(shard, id, 0, 2..3, NOW), "there is room for one");
    assert!(!send(shard, id, 0, 0..1, NOW));
    assert!(send(shard, PushId { seq: 1, ..id }, 0, 2..3, NOW), "it is kept already");
    let mut chunk = ChunkSnapshot::default();
    assert_eq!(cut.next(&mut chunk).unwrap(), Some(2), "it is in memory twice");
    assert_eq!(chunk.version, 0);
    assert!(send(shard, id, 0, 1..2, NOW), "there is room again");
    assert!(!send(shard, id, 0, 0..1, NOW));
    assert_eq!(cut.next(&mut chunk).unwrap(), Some(1));
    assert_eq!(cut.next(&mut chunk).unwrap(), Some(0));
    assert!(send(shard, id, 0, 0..1, NOW), "it is copied already");
    assert_eq!(cut.next(&mut chunk).unwrap(), None);
    assert!(cut.finish().unwrap().sessions.is_empty(), "none of it is in the cut");
    assert!(send(shard, PushId { seq: 2, ..id }, 0, 0..CHUNKS, NOW));
}

/// Whoever has waited long enough ends the cut: it is not written, and pushes go on.
#[test]
fn a_cut_that_is_given_up_is_not_written_and_holds_nothing() {
    let shard = &shards()[0];
    let mut cut = shard.open_cut(ID, prepare(shard), NOW, 1).unwrap();
    let id = PushId { worker: 0, incarnation: 1, seq: 0 };
    assert!(send(shard, id, 0, 0..1, NOW) && !send(shard, id, 0, 1..2, NOW));
    shard.give_up_cut();
    assert!(send(shard, id, 0, 1..3, NOW));
    let mut chunk = ChunkSnapshot::default();
    assert!(matches!(cut.next(&mut chunk), Err(CopyError::GivenUp { .. })));
    assert!(matches!(cut.finish(), Err(CopyError::GivenUp { .. })));
}

#[test]
fn one_cut_is_taken_at_a_time_and_none_of_an_epoch_that_is_over() {
    let shard = &shards()[0];
    let id = CutId { epoch: 3, ..ID };
    let ends = shard.prepare_cut(id, NOW, HELD).unwrap();
    let mut first = shard.open_cut(id, ends, NOW, 1).unwrap();
    assert!(matches!(shard.prepare_cut(id, NOW, HELD), Err(CopyError::Over { .. })));
    let mut chunk = ChunkSnapshot::default();
    assert_eq!(first.next(&mut chunk).unwrap(), Some(0));
    let id = CutId { attempt: 2, ..id };
    let ends = shard.prepare_cut(id, NOW, HELD).unwrap();
    assert!(!first.is_open() && first.next(&mut chunk).is_err(), "it is given up");
    let mut cut = shard.open_cut(id, ends, NOW, 1).unwrap();
    drop(first);
    assert_eq!(cut.next(&mut chunk).unwrap(), Some(0));
    shard.enter(4, 0).unwrap();
    assert!(matches!(cut.next(&mut chunk), Err(CopyError::Fenced(_))));
    drop(cut);
    assert!(matches!(shard.prepare_cut(id, NOW, HELD), Err(CopyError::Fenced(_))));
    let empty = Shard::new(0, None, Guards::ALL, Box::new(|| ()));
    let id = CutId { epoch: 4, ..ID };
    assert!(matches!(empty.prepare_cut(id, NOW, HELD), Err(CopyError::Empty(0))));
    assert!(shard.prepare_cut(id, NOW, HELD).is_ok());
}
