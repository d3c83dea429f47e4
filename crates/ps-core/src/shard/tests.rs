use super::copy::tests::copied;
use super::*;
use crate::chunk::NonFinite;
use crate::correction::Correction;
use crate::gate::{GateDecision, Member};
use crate::ids::PushId;
use crate::window::Acknowledgement;
use crate::{Layout, TensorKind, TensorSpec, fence};
use ps_kernels::encoding::Encoding;
use ps_kernels::optimizer::Optimizer;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) const NOW: Duration = Duration::ZERO;

/// One chunk of trainable elements and one of state.
pub(super) fn spec(bound: Option<u64>) -> ModelSpec {
    let tensors = vec![
        TensorSpec::trainable("w", [4]),
        TensorSpec { name: "s".into(), shape: vec![2], kind: TensorKind::State },
    ];
    ModelSpec {
        layout: Layout::new(tensors).unwrap(),
        optimizer: Optimizer::parse("sgd", None, None).unwrap(),
        rules: Vec::new(),
        correction: Correction::None,
        bound,
        chunk_elements: 64,
        shards: 1,
    }
}

pub(super) fn bytes(values: &[f32]) -> &[u8] {
    bytemuck::cast_slice(values)
}

fn initialise(shard: &Shard, bound: Option<u64>) {
    let start = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let mut initial = InitialWeights::new(0, spec(bound), crc32fast::hash(bytes(&start)));
    initial.add(0, bytes(&start[..4])).unwrap();
    initial.add(1, bytes(&start[4..])).unwrap();
    shard.install(initial.finish().unwrap());
}

/// A shard without a master.
fn shard(bound: Option<u64>) -> Shard {
    let shard = Shard::new(0, Some(Duration::from_secs(10)), Guards::ALL, Box::new(|| ()));
    initialise(&shard, bound);
    shard
}

pub(super) fn header(worker: WorkerId, incarnation: Incarnation, seq: u64) -> PushHeader {
    PushHeader {
        id: PushId { worker, incarnation, seq },
        oldest: 0,
        epoch: 0,
        clock: seq,
        ends_step: true,
        learning_rate: 1.0,
        loss: 0.5,
        kind: TensorKind::Trainable,
        chunks_total: 1,
        encoding: Encoding::F32,
        pull_encoding: Encoding::F32,
        pull_ahead: 0,
        has_start: false,
    }
}

pub(super) fn chunk(values: &[f32]) -> EncodedRun<'_> {
    let values = bytes(values);
    EncodedRun { first: 0, chunks: 1, pulled_version: 0, spans: &[], values, positions: &[] }
}

fn puller(worker: WorkerId, clock: u64) -> Puller {
    Puller { worker, incarnation: 1, clock, finished_clock: 0, ahead: 0 }
}

fn weights(shard: &Shard) -> Vec<f32> {
    shard.model().unwrap().chunks()[0].lock().weights().to_vec()
}

#[test]
fn a_push_and_its_retries_are_applied_once() {
    let shard = shard(None);
    let gradient = [1.0, 0.0, 0.0, -1.0];
    let mut first = shard.begin(header(0, 1, 0), NOW).unwrap();
    first.take(&chunk(&gradient)).unwrap();
    // Its acknowledgement is lost: the same push comes again, and again with its chunk.
    let mut again = shard.begin(header(0, 1, 0), NOW).unwrap();
    assert!(again.was_finished() && again.is_complete());
    again.take(&chunk(&gradient)).unwrap();
    assert_eq!(weights(&shard), [0.0, 2.0, 3.0, 5.0]);
    let (acknowledgement, duplicate) = first.finish().unwrap();
    assert!(!duplicate && acknowledgement == Acknowledgement::default());
    assert_eq!(again.finish().unwrap(), (acknowledgement, true));
    let counters = shard.counters();
    let counts = [&counters.pushes_applied, &counters.pushes_duplicate, &counters.chunks_applied];
    assert_eq!(counts.map(Count::get), [1, 1, 1]);
}

#[test]
fn an_encoded_push_is_what_it_was_before() {
    let shard = shard(None);
    let mut push =
        shard.begin(PushHeader { encoding: Encoding::Bf16, ..header(0, 1, 0) }, NOW).unwrap();
    let mut values = [0; 2];
    Encoding::Bf16.encode(&[2.0], &mut values);
    let positions = 2_u16.to_le_bytes();
    push.take(&EncodedRun { values: &values, positions: &positions, ..chunk(&[]) }).unwrap();
    assert_eq!(weights(&shard), [1.0, 2.0, 1.0, 4.0]);
}

#[test]
fn what_spoils_the_weights_is_refused_and_remembered() {
    let shard = shard(None);
    let mut push = shard.begin(header(0, 1, 0), NOW).unwrap();
    push.take(&chunk(&[f32::NAN; 4])).unwrap();
    let (acknowledgement, _) = push.finish().unwrap();
    assert_eq!(acknowledgement.refused, [(0, NonFinite::Gradient)]);
    assert_eq!(weights(&shard), [1.0, 2.0, 3.0, 4.0]);
    let again = shard.begin(header(0, 1, 0), NOW).unwrap();
    assert_eq!(again.finish().unwrap(), (acknowledgement, true));
    assert_eq!(shard.counters().chunks_refused.get(), 1);
}

#[test]
fn what_is_not_meant_for_the_shard_changes_nothing() {
    let empty = Shard::new(7, Some(Duration::from_secs(10)), Guards::ALL, Box::new(|| ()));
    assert!(matches!(empty.begin(header(0, 1, 0), NOW), Err(Error::NotInitialised(7))));
    let shard = shard(None);
    let many = shard.begin(PushHeader { chunks_total: 3, ..header(0, 1, 0) }, NOW);
    assert!(matches!(many, Err(Error::TooManyChunks { found: 3, chunks: 2, .. })));
    let mut push = shard.begin(header(0, 1, 0), NOW).unwrap();
    let outside = push.take(&EncodedRun { first: 2, ..chunk(&[]) });
    assert!(matches!(outside, Err(Error::NoSuchChunk { id: 2, .. })));
    let state = push.take(&EncodedRun { first: 1, ..chunk(&[1.0, 1.0]) });
    assert!(matches!(state, Err(Error::Kind { held: TensorKind::State, .. })));
    assert!(matches!(push.take(&chunk(&[1.0])), Err(Error::Malformed { .. })));
    assert!(matches!(push.finish(), Err(Error::Incomplete { expected: 1, .. })));
    assert_eq!(weights(&shard), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn a_pull_waits_at_the_gate_until_the_others_pushed() {
    let told = Arc::new(AtomicU64::new(0));
    let counted = told.clone();
    let notify = Box::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let shard = Shard::new(0, None, Guards::ALL, notify);
    initialise(&shard, Some(0));
    let member = |worker| Member {
        worker,
        incarnation: 1,
        active: true,
        holds_nobody: false,
        start_clock: 0,
    };
    // Until the master vouches for it, a worker waits.
    let wait = GateDecision::Wait { until: None };
    assert_eq!(shard.check_gate(1, &puller(0, 1), NOW), Ok(wait.clone()));
    shard.set_members(1, 1, 1, &[member(0), member(1)], NOW).unwrap();
    let mut own = shard.begin(PushHeader { epoch: 1, ..header(0, 1, 0) }, NOW).unwrap();
    assert_eq!(own.check_gate(&puller(0, 1), NOW), None);
    own.take(&chunk(&[0.0; 4])).unwrap();
    own.finish().unwrap();
    assert_eq!(shard.check_gate(1, &puller(0, 1), NOW), Ok(wait));
    let before = told.load(Ordering::Relaxed);
    let mut other = shard.begin(PushHeader { epoch: 1, ..header(1, 1, 0) }, NOW).unwrap();
    assert_eq!(other.check_gate(&puller(1, 1), NOW), Some(1));
    other.take(&chunk(&[0.0; 4])).unwrap();
    other.finish().unwrap();
    assert!(told.load(Ordering::Relaxed) > before);
    assert_eq!(shard.check_gate(1, &puller(0, 1), NOW), Ok(GateDecision::Open { clock: 1 }));
}

/// What the order of a step's pushes is for.
#[test]
fn without_the_order_of_its_pushes_a_steps_weights_lack_its_state() {
    let guards = Guards { steps: false, ..Guards::ALL };
    let shard = Shard::new(0, Some(Duration::from_secs(10)), guards, Box::new(|| ()));
    initialise(&shard, Some(0));
    let gradient = shard.begin(PushHeader { clock: 0, ..header(0, 1, 1) }, NOW).unwrap();
    assert_eq!(gradient.check_gate(&puller(0, 1), NOW), Some(1));
}

/// The worker pushes running statistics, then the gradient of the same step, and the gradient
/// overtakes them: the weights of the next step must not be read before both are there.
#[test]
fn regression_a_step_ends_when_its_state_is_applied_too() {
    let wait = GateDecision::Wait { until: None };
    // Also where this shard holds no part of the gradient.
    for (bound, chunks_total) in [(Some(0), 1), (Some(0), 0), (Some(3), 1), (None, 1), (None, 0)] {
        let shard = shard(bound);
        let state = PushHeader { kind: TensorKind::State, ends_step: false, ..header(0, 1, 0) };
        let gradient = PushHeader { clock: 0, chunks_total, ..header(0, 1, 1) };
        let mut push = shard.begin(gradient, NOW).unwrap();
        assert_eq!(push.check_gate(&puller(0, 1), NOW), None);
        if chunks_total > 0 {
            push.take(&chunk(&[0.0; 4])).unwrap();
        }
        push.finish().unwrap();
        assert_eq!(shard.check_gate(0, &puller(0, 1), NOW), Ok(wait.clone()));
        let mut push = shard.begin(state, NOW).unwrap();
        push.take(&EncodedRun { first: 1, ..chunk(&[7.0, 8.0]) }).unwrap();
        push.finish().unwrap();
        assert_eq!(shard.check_gate(0, &puller(0, 1), NOW), Ok(GateDecision::Open { clock: 1 }));
    }
}

#[test]
fn whoever_is_superseded_is_fenced_in_the_middle_of_a_push() {
    let shard = shard(None);
    let mut push = shard.begin(header(0, 1, 0), NOW).unwrap();
    shard.heard(0, 0, 2, NOW);
    let late = push.take(&chunk(&[1.0; 4]));
    assert!(matches!(late, Err(Error::Fenced(fence::Error::StaleIncarnation { .. }))));
    assert_eq!(weights(&shard), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(shard.counters().calls_fenced.get(), 1);
}

/// Whichever of a new incarnation's calls comes first: none of them finds the old one's session.
#[test]
fn a_torn_push_is_counted_once_however_many_calls_supersede_it() {
    const CALLS: usize = 4;
    for _ in 0..50 {
        let shard = shard(None);
        let mut push = shard.begin(PushHeader { chunks_total: 2, ..header(0, 1, 0) }, NOW).unwrap();
        push.take(&chunk(&[0.0; 4])).unwrap();
        let barrier = Barrier::new(CALLS);
        std::thread::scope(|scope| {
            for seq in 0..CALLS as u64 {
                let (shard, barrier) = (&shard, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    shard.begin(header(0, 2, seq), NOW).unwrap();
                });
            }
        });
        assert_eq!(shard.counters().pushes_torn.get(), 1);
    }
}

#[test]
fn a_restored_shard_remembers_weights_and_pushes() {
    let before = shard(None);
    let mut push = before.begin(header(0, 1, 0), NOW).unwrap();
    push.take(&chunk(&[1.0; 4])).unwrap();
    push.finish().unwrap();
    let after = Shard::new(0, Some(Duration::from_secs(10)), Guards::ALL, Box::new(|| ()));
    after.restore(2, 0, 3, spec(None), copied(&before)).unwrap();
    assert_eq!(weights(&after), weights(&before));
    assert!(after.begin(PushHeader { epoch: 2, ..header(0, 1, 0) }, NOW).unwrap().was_finished());
    assert!(after.is_restored(3, &spec(None)).unwrap());
    assert!(matches!(before.is_restored(3, &spec(None)), Err(InstallError::Held(0))));
}

/// Whoever was in the checkpoint was admitted again, under the incarnation that it had.
#[test]
fn regression_a_life_that_is_over_pushes_nothing_into_what_was_restored() {
    let before = shard(None);
    let mut push = before.begin(PushHeader { chunks_total: 2, ..header(0, 5, 0) }, NOW).unwrap();
    push.take(&chunk(&[1.0; 4])).unwrap();
    let after = Shard::new(0, None, Guards::ALL, Box::new(|| ()));
    after.restore(10, 10, 3, spec(None), copied(&before)).unwrap();
    assert_eq!(after.counters().pushes_torn.get(), 1);
    for (worker, incarnation) in [(0, 5), (0, 9), (1, 5)] {
        let push = after.begin(PushHeader { epoch: 10, ..header(worker, incarnation, 1) }, NOW);
        let stale = matches!(push, Err(Error::Fenced(fence::Error::StaleIncarnation { .. })));
        assert!(stale, "worker {worker} incarnation {incarnation}");
    }
}
