use super::*;
use crate::correction::Correction;
use crate::gate::Member;
use crate::ids::{PushId, Version, WorkerId};
use crate::journal::Append;
use crate::model_spec::ModelSpec;
use crate::shard::{EncodedRun, Guards, InitialWeights, PushHeader};
use crate::{Layout, TensorKind, TensorSpec};
use parking_lot::Mutex;
use ps_kernels::encoding::Encoding;
use ps_kernels::optimizer::Optimizer;
use std::time::Duration;

const NOW: Duration = Duration::ZERO;

/// Two chunks of 64 elements.
const ELEMENTS: usize = 128;

#[derive(Default)]
struct Written(Mutex<Vec<u8>>);

impl Append for Written {
    fn append(&self, record: &Record<'_>) {
        record.encode(&mut self.0.lock());
    }
}

fn started(written: Option<Arc<Written>>) -> Shard {
    let shard = Shard::new(0, None, Guards::ALL, Box::new(|| ()));
    let shard = match written {
        Some(written) => shard.with_journal(written),
        None => shard,
    };
    let spec = ModelSpec {
        layout: Layout::new(vec![TensorSpec::trainable("w", [ELEMENTS])]).unwrap(),
        optimizer: Optimizer::parse("sgd", None, None).unwrap(),
        rules: Vec::new(),
        correction: Correction::None,
        bound: None,
        chunk_elements: 64,
        shards: 1,
    };
    let mut initial = InitialWeights::new(0, spec, crc32fast::hash(&[0; 4 * ELEMENTS]));
    for chunk in 0..2 {
        initial.add(chunk, &[0; 4 * 64]).unwrap();
    }
    shard.install(initial.finish().unwrap());
    shard
}

/// A shard with a journal, and what was written down of it.
struct Served {
    shard: Shard,
    written: Arc<Written>,
}

/// A push: who, which step, computed from which version, its loss, and the value of every gradient.
type Step = (WorkerId, u64, Version, f32, f32);

impl Served {
    fn new() -> Self {
        let written = Arc::new(Written::default());
        let shard = started(Some(written.clone()));
        let member = |worker| Member {
            worker,
            incarnation: 1,
            active: true,
            holds_nobody: false,
            start_clock: 0,
        };
        shard.set_members(1, 1, 1, &[member(0), member(1)], NOW).unwrap();
        Self { shard, written }
    }

    fn push(&self, (worker, clock, pulled_version, loss, value): Step) {
        let id = PushId { worker, incarnation: 1, seq: clock };
        let header = PushHeader {
            id,
            oldest: clock.saturating_sub(1),
            epoch: 1,
            clock,
            ends_step: true,
            learning_rate: 1.0,
            loss,
            kind: TensorKind::Trainable,
            chunks_total: 2,
            encoding: Encoding::F32,
            pull_encoding: Encoding::F32,
            pull_ahead: 0,
            has_start: false,
        };
        let mut push = self.shard.begin(header, NOW).unwrap();
        let values = [value; ELEMENTS];
        let values = bytemuck::cast_slice(&values);
        let run =
            EncodedRun { first: 0, chunks: 2, pulled_version, spans: &[], values, positions: &[] };
        push.take(&run).unwrap();
        push.finish().unwrap();
    }

    /// What its journal says, replayed on a shard that begins as it did; the same weights at its end.
    fn replayed(&self) -> (ReplayCounts, Findings) {
        let again = started(None);
        let mut replayed = ReplayedShard::new(&again).unwrap();
        let written = self.written.0.lock();
        let mut rest = written.as_slice();
        while let Some(record) = Record::decode(&mut rest).unwrap() {
            replayed.take(&record).unwrap();
        }
        let bits = |shard: &Shard| -> Vec<Vec<u32>> {
            let chunks = shard.model().unwrap().chunks().iter();
            chunks.map(|it| it.lock().weights().iter().map(|it| it.to_bits()).collect()).collect()
        };
        assert_eq!(bits(&again), bits(&self.shard));
        replayed.finish()
    }
}

/// Two workers in turn, whose losses fall and whose gradients are small.
fn good(steps: u64) -> impl Iterator<Item = Step> {
    let loss = |step: u64| 2.0 - 0.02 * step as f32;
    (0..steps)
        .map(move |step| ((step % 2) as u32, step / 2, step.saturating_sub(1), loss(step), 0.001))
}

#[test]
fn nothing_stands_out_where_nothing_went_wrong() {
    let served = Served::new();
    good(60).for_each(|step| served.push(step));
    let (counts, findings) = served.replayed();
    assert_eq!(counts, ReplayCounts { pushes: 60, chunks: 120, refused: 0 });
    assert_eq!(findings, Findings::default());
}

/// Worker 1 pushes a gradient that is much too large; worker 0 is the first whose loss shows it, and worker 1 the first
/// whose gradient is no number.
#[test]
fn who_jumps_who_is_refused_and_who_had_made_them_so_are_named() {
    let served = Served::new();
    good(40).for_each(|step| served.push(step));
    served.push((1, 20, 39, 1.2, 1e20));
    // Computed before that push was there.
    served.push((0, 20, 40, 1.1, 0.001));
    served.push((0, 21, 41, 7e8, 5.0));
    served.push((1, 21, 42, f32::NAN, f32::NAN));
    served.push((0, 22, 42, f32::NAN, f32::NAN));
    let (counts, findings) = served.replayed();
    assert_eq!(counts, ReplayCounts { pushes: 45, chunks: 86, refused: 4 });
    let id = |worker, seq| PushId { worker, incarnation: 1, seq };
    let culprit = ReplayedPush { id: id(1, 20), clock: 20, staleness: 1, loss: Some(1.2) };
    let jump = findings.jump.unwrap();
    let expected = ReplayedPush { id: id(0, 21), clock: 21, staleness: 1, loss: Some(7e8) };
    assert_eq!((jump.at.push, jump.at.place), (expected, 42));
    let (after, change) = jump.at.after.unwrap();
    assert_eq!(after, culprit);
    assert!((change / (1e20 * (ELEMENTS as f64).sqrt()) - 1.0).abs() < 1e-6, "{change}");
    let refused = findings.refused.unwrap();
    assert_eq!((refused.at.push.id, refused.at.place), (id(1, 21), 43));
    assert!(refused.at.push.loss.unwrap().is_nan());
    assert_eq!((refused.chunk, refused.why), (0, NonFinite::Gradient));
    assert_eq!((refused.at.push.staleness, refused.at.after.unwrap().0), (1, culprit));
}

/// What the weights lack cannot have made them what they are.
#[test]
fn a_push_that_was_not_in_the_weights_is_not_blamed() {
    let served = Served::new();
    good(40).for_each(|step| served.push(step));
    served.push((1, 20, 40, 1.2, 1e20));
    served.push((0, 20, 40, f32::NAN, f32::NAN));
    let (_, findings) = served.replayed();
    let (after, _) = findings.refused.unwrap().at.after.unwrap();
    assert_ne!(after.id.seq, 20, "{after:?}");
}

#[test]
fn a_push_that_is_sent_again_is_counted_once() {
    let served = Served::new();
    for step in good(20) {
        served.push(step);
        served.push(step);
    }
    let (counts, findings) = served.replayed();
    assert_eq!(counts, ReplayCounts { pushes: 20, chunks: 40, refused: 0 });
    assert_eq!(findings, Findings::default());
}

#[test]
fn a_refusal_before_any_update_blames_nobody() {
    let served = Served::new();
    served.push((0, 0, 0, f32::INFINITY, f32::NAN));
    let (_, findings) = served.replayed();
    assert_eq!(findings.refused.unwrap().at.after, None);
    let jump = findings.jump.unwrap();
    assert_eq!(jump.jump, crate::learning::LossJump { median: None, limit: None });
}

#[test]
fn of_several_shards_the_one_with_the_fewest_pushes_before_tells() {
    let push = |seq| ReplayedPush {
        id: PushId { worker: 0, incarnation: 1, seq },
        clock: seq,
        staleness: 0,
        loss: None,
    };
    let on = |shard, place| {
        let at = StandingOut { shard, place, push: push(place), after: None };
        let refused = Some(RefusedPush { at, chunk: 0, why: NonFinite::Result });
        Findings { refused, jump: None }
    };
    let mut all = on(0, 7);
    [Findings::default(), on(1, 5), on(2, 5), on(3, 6)].into_iter().for_each(|it| all.add(it));
    assert_eq!(all, on(1, 5));
}
