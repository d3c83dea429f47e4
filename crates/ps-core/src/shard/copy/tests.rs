use super::super::tests::{NOW, bytes, header};
use super::super::{EncodedRun, Guards, InitialWeights, PushHeader, Shard};
use super::*;
use crate::checkpoint::RestoredShard;
use crate::chunk::Chunk;
use crate::correction::Correction;
use crate::window::Window;
use crate::{Layout, TensorSpec};
use proptest::prelude::*;
use ps_kernels::optimizer::Optimizer;
use std::time::Duration;

const CHUNKS: usize = 6;
const ELEMENTS: usize = 64;

fn spec() -> ModelSpec {
    ModelSpec {
        layout: Layout::new(vec![TensorSpec::trainable("w", [CHUNKS * ELEMENTS])]).unwrap(),
        optimizer: Optimizer::parse("sgd", None, None).unwrap(),
        rules: Vec::new(),
        correction: Correction::None,
        bound: None,
        chunk_elements: ELEMENTS as u32,
        shards: 1,
    }
}

fn empty() -> Shard {
    Shard::new(0, Some(Duration::from_secs(10)), Guards::ALL, Box::new(|| ()))
}

fn shard() -> Shard {
    let shard = empty();
    let start = vec![0.0; CHUNKS * ELEMENTS];
    let mut initial = InitialWeights::new(0, spec(), crc32fast::hash(bytes(&start)));
    for index in 0..CHUNKS {
        initial.add(index as ChunkId, bytes(&start[..ELEMENTS])).unwrap();
    }
    shard.install(initial.finish().unwrap());
    shard
}

/// Sends these chunks of a push that touches all; each takes one off every weight.
fn send(shard: &Shard, worker: u32, seq: u64, oldest: u64, chunks: std::ops::Range<usize>) {
    let header = PushHeader { chunks_total: CHUNKS as u32, oldest, ..header(worker, 1, seq) };
    let Ok(mut push) = shard.begin(header, NOW) else { return };
    for index in chunks {
        let values = [1.0; ELEMENTS];
        let run = EncodedRun {
            first: index as ChunkId,
            chunks: 1,
            pulled_version: 0,
            spans: &[],
            values: bytes(&values),
            positions: &[],
        };
        push.take(&run).unwrap();
    }
    let _ = push.finish();
}

/// What a checkpoint of a shard holds, without its way through a file.
pub(in crate::shard) fn copied(shard: &Shard) -> RestoredShard {
    let mut copy = shard.begin_copy().unwrap();
    let mut chunks = Vec::new();
    while let Some(chunk) = next(&mut copy) {
        chunks.push(chunk);
    }
    restored(copy, chunks)
}

fn next(copy: &mut ShardCopy<'_>) -> Option<Chunk> {
    let mut chunk = ChunkSnapshot::default();
    copy.next(&mut chunk).unwrap()?;
    Some(Chunk::from_snapshot(chunk).unwrap())
}

fn restored(copy: ShardCopy<'_>, chunks: Vec<Chunk>) -> RestoredShard {
    let run = copy.model.id(0)..copy.model.id(copy.model.chunks().len());
    let Remembered { sessions, torn } = copy.finish().unwrap();
    let window = |parts| Some(Window::from_snapshot(parts, &run).unwrap());
    let sessions = sessions.into_iter().map(|(w, (i, parts))| (w, (i, window(parts)))).collect();
    RestoredShard { chunks, sessions, torn }
}

/// How many pushes each chunk holds.
fn applied(shard: &Shard) -> Vec<u64> {
    let weight = |chunk: &parking_lot::Mutex<Chunk>| {
        let weights = chunk.lock().weights().to_vec();
        assert!(weights.iter().all(|weight| *weight == weights[0]), "a chunk is torn");
        -weights[0] as u64
    };
    shard.model().unwrap().chunks().iter().map(weight).collect()
}

#[derive(Clone, Debug)]
enum Event {
    Copy,
    /// The next part of a worker's push, or the first of its next one.
    Send {
        worker: u32,
        chunks: usize,
        acknowledges: bool,
    },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let send = (0_u32..3, 1_usize..=CHUNKS, any::<bool>())
        .prop_map(|(worker, chunks, acknowledges)| Event::Send { worker, chunks, acknowledges });
    prop::collection::vec(prop_oneof![1 => Just(Event::Copy), 2 => send], 0..40)
}

/// Where a worker is: the push that it sends, and how many chunks of it are sent.
#[derive(Clone, Copy, Default)]
struct Sender {
    seq: u64,
    sent: usize,
    oldest: u64,
}

impl Sender {
    fn send(&mut self, shard: &Shard, worker: u32, chunks: usize, acknowledges: bool) {
        let end = CHUNKS.min(self.sent + chunks);
        send(shard, worker, self.seq, self.oldest, self.sent..end);
        self.sent = end;
        if self.sent == CHUNKS {
            (self.seq, self.sent) = (self.seq + 1, 0);
            self.oldest = if acknowledges { self.seq } else { self.oldest };
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Pushes arrive in parts, are acknowledged or not, and a copy is taken in between, chunk by chunk. In
    /// what is restored, whoever sends again what it may is in every chunk exactly once; and what nobody
    /// sends again is in all chunks, in none, or counted as torn.
    #[test]
    fn a_copy_under_way_holds_each_push_whole_or_absent_or_torn_and_counted(
        before in events(), during in events(),
    ) {
        let shard = shard();
        let mut senders = [Sender::default(); 3];
        for event in before {
            if let Event::Send { worker, chunks, acknowledges } = event {
                senders[worker as usize].send(&shard, worker, chunks, acknowledges);
            }
        }
        let mut copy = shard.begin_copy().unwrap();
        let mut chunks = Vec::new();
        for event in during {
            match event {
                Event::Copy => chunks.extend(next(&mut copy)),
                Event::Send { worker, chunks, acknowledges } => {
                    senders[worker as usize].send(&shard, worker, chunks, acknowledges);
                }
            }
        }
        chunks.extend(std::iter::from_fn(|| next(&mut copy)));
        let versions: Vec<u64> = chunks.iter().map(Chunk::version).collect();
        let restored = restored(copy, chunks);
        let after = empty();
        after.restore(0, 0, 1, spec(), restored).unwrap();
        prop_assert_eq!(applied(&after), versions, "a chunk's version counts its pushes");

        // Each push that a worker may send again, once more.
        for (worker, sender) in (0..).zip(&senders) {
            for seq in sender.oldest..=sender.seq {
                send(&after, worker, seq, sender.oldest, 0..CHUNKS);
            }
        }
        let torn = after.counters().pushes_torn.get();
        // What a worker does not send again was acknowledged before: in the copy wholly, or at the end only.
        let held = applied(&after);
        let (least, most) = (*held.iter().min().unwrap(), *held.iter().max().unwrap());
        let all: u64 = senders.iter().map(|sender| sender.seq + 1).sum();
        prop_assert!(most <= all, "{held:?}: a push is doubled, {all} were sent");
        prop_assert!(most - least <= torn, "{held:?}: {torn} torn");
        let may_be_sent: u64 = senders.iter().map(|sender| sender.seq + 1 - sender.oldest).sum();
        prop_assert!(least >= may_be_sent, "{held:?}: {may_be_sent} were sent again");
        if senders.iter().all(|sender| sender.oldest == 0) {
            prop_assert_eq!(held, vec![all; CHUNKS], "exactly once");
            prop_assert_eq!(torn, 0);
        }
    }
}

#[test]
fn one_copy_is_taken_at_a_time() {
    let shard = shard();
    let copy = shard.begin_copy().unwrap();
    assert!(matches!(shard.begin_copy(), Err(CopyError::Busy(0))));
    drop(copy);
    assert!(shard.begin_copy().is_ok());
    assert!(matches!(empty().begin_copy(), Err(CopyError::Empty(0))));
}

/// What a superseded worker left behind is torn, and what is written down stays bounded.
#[test]
fn what_is_over_is_forgotten_and_counted() {
    let shard = shard();
    let mut copy = shard.begin_copy().unwrap();
    let mut chunk = ChunkSnapshot::default();
    copy.next(&mut chunk).unwrap();
    let pushes = 20_000;
    for seq in 0..pushes {
        send(&shard, 0, seq, seq, 0..CHUNKS);
    }
    copy.next(&mut chunk).unwrap();
    assert!(!shard.copying.is_large(), "what is over is only counted");
    send(&shard, 1, 0, 0, 1..4);
    shard.heard(0, 1, 2, NOW);
    while copy.next(&mut chunk).unwrap().is_some() {}
    // All pushes of worker 0 but the last, which may be sent again, and the one of worker 1, of which chunk 1
    // was copied before it came.
    assert_eq!(copy.finish().unwrap().torn, pushes - 1 + 1);
}
