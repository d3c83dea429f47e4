use super::super::tests::{NOW, bytes, chunk, header};
use super::super::{CopiedShard, EncodedRun, Guards, InitialWeights, PushHeader, ShardCopy};
use super::*;
use crate::checkpoint::{File, Remembered, names};
use crate::chunk::{Chunk, ChunkSnapshot};
use crate::correction::Correction;
use crate::gate::Member;
use crate::journal::Append;
use crate::model_spec::ModelSpec;
use crate::span::Span;
use crate::{Layout, TensorKind, TensorSpec};
use proptest::prelude::*;
use ps_kernels::encoding::Encoding;
use ps_kernels::optimizer::{NAMES, Optimizer};

const ELEMENTS: usize = 150;

/// Three chunks of 64, 64 and 22 trainable elements, and one of two of state.
const CHUNKS: u32 = 4;

/// What was written down.
#[derive(Default)]
struct Written(Mutex<Vec<u8>>);

impl Append for Written {
    fn append(&self, record: &Record<'_>) {
        record.encode(&mut self.0.lock());
    }
}

fn spec(optimizer: &str) -> ModelSpec {
    let state = TensorSpec { name: "s".into(), shape: vec![2], kind: TensorKind::State };
    let tensors = vec![TensorSpec::trainable("w", [ELEMENTS]), state];
    ModelSpec {
        layout: Layout::new(tensors).unwrap(),
        optimizer: Optimizer::parse(optimizer, None, None).unwrap(),
        rules: Vec::new(),
        correction: Correction::Auto,
        bound: Some(3),
        chunk_elements: 64,
        shards: 1,
    }
}

fn empty(guards: Guards) -> Shard {
    Shard::new(0, None, guards, Box::new(|| ()))
}

struct Job {
    shard: Shard,
    written: Arc<Written>,
}

impl Job {
    fn new(optimizer: &str, guards: Guards) -> Self {
        let written = Arc::new(Written::default());
        let shard = empty(guards).with_journal(written.clone());
        let start: Vec<f32> = (0..ELEMENTS + 2).map(|place| place as f32 / 64.0 - 1.0).collect();
        let spec = spec(optimizer);
        let mut initial = InitialWeights::new(0, spec, crc32fast::hash(bytes(&start)));
        for (chunk, range) in (0..).zip([0..64, 64..128, 128..150, 150..152]) {
            initial.add(chunk, bytes(&start[range])).unwrap();
        }
        shard.install(initial.finish().unwrap());
        let job = Self { shard, written };
        job.members(1);
        job
    }

    /// The master says that both workers are of this incarnation.
    fn members(&self, incarnation: u64) {
        let member = |worker| Member {
            worker,
            incarnation,
            active: true,
            holds_nobody: false,
            start_clock: 0,
        };
        let members = [member(0), member(1)];
        self.shard.set_members(1, 1, incarnation, &members, NOW).unwrap();
    }

    /// Sends these chunks of a push whose values follow from its number.
    fn send(&self, sent: &Sent) -> bool {
        let Sent { worker, incarnation, seq, encoding, ref runs, is_state } = *sent;
        let encoding = if is_state { Encoding::F32 } else { encoding };
        let header = PushHeader {
            epoch: 1,
            learning_rate: 0.125,
            oldest: seq.saturating_sub(4),
            chunks_total: if is_state { 1 } else { 3 },
            encoding,
            kind: if is_state { TensorKind::State } else { TensorKind::Trainable },
            ..header(worker, incarnation, seq)
        };
        let Ok(mut push) = self.shard.begin(header, NOW) else { return false };
        for &(first, chunks) in runs {
            let elements = [64, 64, 22, 2][first as usize..(first + chunks) as usize].iter().sum();
            let value = |place: usize| ((place * 7 + seq as usize * 13) % 31) as f32 / 16.0 - 1.0;
            let mut values: Vec<f32> = (0..elements).map(value).collect();
            if seq % 11 == 10 {
                values[0] = f32::NAN;
            }
            let mut encoded = vec![0; encoding.encoded_bytes(elements)];
            encoding.encode(&values, &mut encoded);
            let half = [Span::new(0, elements as u32 / 2)];
            let is_half = chunks == 1 && seq % 5 == 4 && encoding == Encoding::F32;
            let (spans, values) = match is_half {
                true => (&half[..], &encoded[..elements / 2 * 4]),
                false => (&[][..], &encoded[..]),
            };
            let run = EncodedRun {
                first,
                chunks,
                pulled_version: seq.saturating_sub(2).min(1),
                spans,
                values,
                positions: &[],
            };
            if push.take(&run).is_err() {
                return false;
            }
        }
        push.finish().is_ok()
    }

    /// What lies on the disk when the process dies: what was written whole, and what was written down since.
    fn after_death(&self, base: &(RestoredShard, Base)) -> Shard {
        let shard = empty(Guards::ALL);
        shard.recover(&base.1, copy_of(&base.0), NOW).unwrap();
        let written = self.written.0.lock().clone();
        let mut rest = written.as_slice();
        while let Some(record) = Record::decode(&mut rest).unwrap() {
            shard.replay(&record).unwrap();
        }
        shard.restore_clocks(NOW);
        shard
    }
}

fn copy_of(restored: &RestoredShard) -> RestoredShard {
    let (chunks, sessions) = (restored.chunks.clone(), restored.sessions.clone());
    RestoredShard { chunks, sessions, torn: restored.torn }
}

#[derive(Clone, Debug)]
struct Sent {
    worker: u32,
    incarnation: u64,
    seq: u64,
    encoding: Encoding,
    /// First chunk and number of chunks.
    runs: Vec<(u32, u32)>,
    is_state: bool,
}

/// One whole push, or a part of it.
fn sents() -> impl Strategy<Value = Sent> {
    let runs = prop_oneof![
        Just(vec![(0, 3)]),
        Just(vec![(0, 1), (1, 1), (2, 1)]),
        Just(vec![(2, 1), (0, 2)]),
        Just(vec![(1, 1)]),
        Just(vec![]),
    ];
    let parts = (0_u32..2, 1_u64..3, 0_u64..24, 0_usize..4, runs, 0_u32..6);
    parts.prop_map(|(worker, incarnation, seq, encoding, runs, kind)| {
        let is_state = kind == 0;
        let runs = if is_state { vec![(3, 1)] } else { runs };
        Sent { worker, incarnation, seq, encoding: Encoding::ALL[encoding], runs, is_state }
    })
}

/// What it is when it was written whole, while these pushes came between its chunks.
fn whole(job: &Job, between: &[Sent]) -> (RestoredShard, Base) {
    let mut copy = job.shard.begin_copy().unwrap();
    let mut chunks = Vec::new();
    let mut between = between.iter();
    while let Some(chunk) = next(&mut copy) {
        chunks.push(chunk);
        between.by_ref().take(2).for_each(|sent| {
            job.send(sent);
        });
    }
    let Remembered { sessions, torn } = copy.finish().unwrap();
    let window = |parts| Some(Window::from_snapshot(parts, &(0..CHUNKS)).unwrap());
    let sessions = sessions.into_iter().map(|(w, (i, parts))| (w, (i, window(parts)))).collect();
    let name = names::shard_file(1, 0, 1);
    let file = File { name, shard: 0, bytes: 0, crc: 0, chunks: 0..CHUNKS };
    let model = job.shard.model().unwrap();
    let base = Base::new("job", &model.spec, model.origin, job.shard.fenced(), (1, file));
    let written = base.encode().unwrap();
    assert_eq!(Base::decode(&base.name(), written.as_bytes()).as_ref(), Ok(&base));
    (RestoredShard { chunks, sessions, torn }, base)
}

fn next(copy: &mut ShardCopy<'_>) -> Option<Chunk> {
    let mut chunk = ChunkSnapshot::default();
    copy.next(&mut chunk).unwrap()?;
    Some(Chunk::from_snapshot(chunk).unwrap())
}

/// All that a shard is, as bits.
fn state(shard: &Shard) -> Vec<(Vec<u32>, u64, u64)> {
    let model = shard.model().unwrap();
    let chunk = |chunk: &Mutex<Chunk>| {
        let chunk = chunk.lock();
        let vectors = std::iter::once(chunk.weights()).chain(chunk.slots().iter().map(|s| &s[..]));
        let bits = vectors.flatten().map(|value| value.to_bits()).collect();
        (bits, chunk.version(), chunk.updates())
    };
    model.chunks().iter().map(chunk).collect()
}

/// What it remembers of pushes.
fn windows(shard: &Shard) -> Vec<(u32, u64, crate::window::WindowSnapshot)> {
    let snapshot = |(worker, session): (u32, Arc<Mutex<Session>>)| {
        let session = session.lock();
        let mut window = session.window.to_snapshot(0);
        window.pushes.iter_mut().for_each(|push| push.refused.sort_by_key(|(chunk, _)| *chunk));
        (worker, session.incarnation, window)
    };
    let mut all: Vec<_> = shard.all_sessions().into_iter().map(snapshot).collect();
    all.sort_by_key(|(worker, ..)| *worker);
    all
}

proptest! {
    /// Whenever the process dies, and whatever came while it was written whole: the same bits, the same windows, the
    /// same fence.
    #[test]
    fn a_shard_that_is_made_again_is_what_it_was(
        optimizer in 0..NAMES.len(),
        before in prop::collection::vec(sents(), 0..12),
        between in prop::collection::vec(sents(), 0..8),
        after in prop::collection::vec(sents(), 0..16),
        raises in any::<bool>(),
    ) {
        let job = Job::new(NAMES[optimizer], Guards::ALL);
        let mut applied = 0;
        before.iter().for_each(|sent| applied += u32::from(job.send(sent)));
        let base = whole(&job, &between);
        if raises {
            job.members(2);
        }
        after.iter().for_each(|sent| applied += u32::from(job.send(sent)));
        let again = job.after_death(&base);
        prop_assert_eq!(state(&again), state(&job.shard));
        prop_assert_eq!(windows(&again), windows(&job.shard));
        prop_assert_eq!(again.fenced(), job.shard.fenced());
        // Whoever was not told sends again: nothing changes.
        let is_same = state(&again);
        let again = Job { shard: again, written: Arc::default() };
        for sent in before.iter().chain(&between).chain(&after).filter(|sent| sent.runs.len() == 1) {
            if job.shard.applied(&PushId { worker: sent.worker, incarnation: sent.incarnation, seq: sent.seq }).iter().map(|run| run.len()).sum::<usize>() == 3 {
                again.send(sent);
            }
        }
        prop_assert_eq!(state(&again.shard), is_same);
    }
}

fn one(seq: u64) -> Sent {
    let (encoding, runs) = (Encoding::F32, vec![(0, 3)]);
    Sent { worker: 0, incarnation: 1, seq, encoding, runs, is_state: false }
}

/// What replaying the records of two pushes fails with, when the records of chunks come in this order.
fn replayed_in(order: fn(&mut Vec<&Record<'_>>)) -> Result<(), ReplayError> {
    let job = Job::new("sgd", Guards::ALL);
    let base = whole(&job, &[]);
    assert!(job.send(&one(0)) && job.send(&one(1)));
    let shard = empty(Guards::ALL);
    shard.recover(&base.1, copy_of(&base.0), NOW).unwrap();
    let written = job.written.0.lock().clone();
    let mut rest = written.as_slice();
    let records: Vec<Record<'_>> =
        std::iter::from_fn(|| Record::decode(&mut rest).unwrap()).collect();
    let is_chunk = |record: &&Record<'_>| matches!(record, Record::Chunk(_));
    let (mut chunks, others): (Vec<_>, Vec<_>) = records.iter().partition(is_chunk);
    order(&mut chunks);
    others.into_iter().chain(chunks).try_for_each(|record| shard.replay(record))
}

#[test]
fn records_that_are_missing_or_out_of_order_are_found() {
    replayed_in(|_| ()).unwrap();
    let first = |it: &mut Vec<&Record<'_>>| *it = it.split_off(1);
    let changes: [fn(&mut Vec<&Record<'_>>); 3] =
        [first, |it| it.rotate_left(1), |it| it.reverse()];
    for change in changes {
        let failed = replayed_in(change).unwrap_err().to_string();
        let said =
            failed.contains("version 2 of chunk") && failed.contains("which is at version 0");
        assert!(said, "{failed}");
    }
}

/// Weights of a version that no disk had are no reason to lose a gradient, or a job.
#[test]
fn what_was_computed_from_weights_that_are_lost_is_taken() {
    let job = Job::new("momentum", Guards::ALL);
    let base = whole(&job, &[]);
    let again = job.after_death(&base);
    let values = [1.0; 64];
    let send = |shard: &Shard| {
        let mut push = shard.begin(PushHeader { epoch: 1, ..header(0, 1, 0) }, NOW).unwrap();
        push.take(&EncodedRun { pulled_version: 9, ..chunk(&values) })
    };
    send(&again).unwrap();
    assert_eq!(again.model().unwrap().chunks()[0].lock().version(), 1);
    // A shard that was never made again has sent no such weights.
    assert!(send(&job.shard).is_err());
}

/// A fence that was not written down would let a superseded worker push again after a restart.
#[test]
fn who_was_shut_out_stays_out() {
    for (guards, is_out) in [(Guards::ALL, true), (Guards { fences: false, ..Guards::ALL }, false)]
    {
        let job = Job::new("sgd", guards);
        let base = whole(&job, &[]);
        job.members(2);
        let again = Job { shard: job.after_death(&base), written: Arc::default() };
        assert_eq!(!again.send(&one(0)), is_out, "{guards:?}");
    }
}
