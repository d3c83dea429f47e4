use super::*;
use proptest::prelude::*;

const FIRST: ChunkId = 5;
const RUN: Range<ChunkId> = FIRST..FIRST + 100;

/// A window after arbitrary attempts of a worker.
pub(crate) fn window() -> impl Strategy<Value = Window> {
    let attempt = (0_u64..40, 0_u32..3, 0_u64..40, 0_u32..5, 0_u64..9);
    prop::collection::vec(attempt, 0..120).prop_map(|attempts| {
        let mut window = Window::default();
        for (seq, chunk, oldest, chunks, staleness) in attempts {
            if window.begin(seq, oldest.min(seq), seq * 2, chunks % 4).is_ok()
                && !window.is_done(seq, chunk)
            {
                let refused = staleness == 0;
                let outcome = if refused { Err(NonFinite::Result) } else { Ok(staleness) };
                window.mark(seq, chunk, outcome);
            }
        }
        window
    })
}

proptest! {
    /// Also through JSON, as a file holds it.
    #[test]
    fn a_snapshot_makes_the_same_window(window in window(), seq in 0_u64..60, chunk in 0_u32..3) {
        let json = serde_json::to_string(&window.to_snapshot(FIRST)).unwrap();
        let mut again = Window::from_snapshot(serde_json::from_str(&json).unwrap(), &RUN).unwrap();
        prop_assert_eq!(again.to_snapshot(FIRST), window.to_snapshot(FIRST));
        prop_assert_eq!(again.clock(), window.clock());
        prop_assert_eq!(again.unfinished(), window.unfinished());
        prop_assert_eq!(again.is_done(seq, chunk), window.is_done(seq, chunk));
        let mut window = window;
        prop_assert_eq!(again.begin(seq, 3, seq, 3), window.begin(seq, 3, seq, 3));
        prop_assert_eq!(again.acknowledgement(seq), window.acknowledgement(seq));
    }

    /// A copy that lacks some chunks of a push has it unfinished: sent again, it is completed.
    #[test]
    fn a_push_that_a_copy_lacks_parts_of_is_unfinished(
        window in window(), pick: prop::sample::Index, held in 0_usize..3,
    ) {
        let mut parts = window.to_snapshot(FIRST);
        let pushes = parts.pushes.iter().filter(|push| (push.chunks as usize) > held);
        let pushes: Vec<(u64, u32)> = pushes.map(|push| (push.seq, push.chunks)).collect();
        if pushes.is_empty() {
            return Ok(());
        }
        let (seq, chunks) = pushes[pick.index(pushes.len())];
        let mut set = ChunkSet::default();
        (0..held).for_each(|index| set.add(index));
        parts.keep(seq, &set, FIRST);
        let mut again = Window::from_snapshot(parts, &RUN).unwrap();
        prop_assert!(!again.are_done_before(seq + 1));
        prop_assert_eq!(again.acknowledgement(seq), None);
        again.begin(seq, 0, seq * 2, chunks).unwrap();
        for index in 0..chunks {
            prop_assert_eq!(again.is_done(seq, index), (index as usize) < held);
            again.mark(seq, index, Ok(0));
        }
        prop_assert!(again.acknowledgement(seq).is_some());
    }

    /// Whatever a file says, there is a window or an error, and a window never panics.
    #[test]
    fn hostile_parts_never_panic(
        floor in any_count(), contiguous in any_count(), clock in any_count(),
        pushes in prop::collection::vec(push(), 0..4),
    ) {
        let parts = WindowSnapshot { floor, contiguous, clock, pushes };
        if let Ok(mut window) = Window::from_snapshot(parts, &RUN) {
            let seq = window.floor;
            window.mark(seq, 1, Ok(1));
            let _ = window.begin(seq, seq, clock, 1);
            prop_assert!(window.contiguous <= COUNT_MAX + 2 * DEDUP_WINDOW);
        }
    }
}

fn any_count() -> impl Strategy<Value = u64> {
    prop_oneof![0_u64..5, Just(COUNT_MAX), Just(COUNT_MAX + 1), any::<u64>()]
}

fn push() -> impl Strategy<Value = PushSnapshot> {
    let done = prop::option::of(prop::collection::vec(any::<(u32, u32)>(), 0..3));
    (any_count(), any_count(), 0_u32..200, done).prop_map(|(seq, clock_after, chunks, done)| {
        PushSnapshot { seq, clock_after, chunks, done, ..PushSnapshot::default() }
    })
}

#[test]
fn impossible_snapshots_are_named() {
    let push = |seq| PushSnapshot { seq, chunks: 2, ..PushSnapshot::default() };
    let unfinished = PushSnapshot { done: Some(vec![(5, 6)]), ..push(0) };
    let outside = PushSnapshot { done: Some(vec![(4, 5)]), ..push(0) };
    let many = PushSnapshot { chunks: 101, ..push(0) };
    let finished = PushSnapshot { done: Some(vec![(5, 7)]), ..push(0) };
    let cases = [
        (WindowSnapshot { floor: u64::MAX, ..WindowSnapshot::default() }, "floor"),
        (WindowSnapshot { floor: 2, contiguous: 1, ..WindowSnapshot::default() }, "contiguous"),
        (WindowSnapshot { pushes: vec![push(1), push(1)], ..WindowSnapshot::default() }, "push"),
        (WindowSnapshot { pushes: vec![push(DEDUP_WINDOW)], ..WindowSnapshot::default() }, "push"),
        (
            WindowSnapshot { contiguous: 1, pushes: vec![unfinished], ..WindowSnapshot::default() },
            "unfinished push",
        ),
        (
            WindowSnapshot { pushes: vec![finished], ..WindowSnapshot::default() },
            "chunks of an unfinished push",
        ),
        (WindowSnapshot { pushes: vec![outside], ..WindowSnapshot::default() }, "chunks of a push"),
        (WindowSnapshot { pushes: vec![many], ..WindowSnapshot::default() }, "chunks of a push"),
    ];
    for (parts, what) in cases {
        assert_eq!(Window::from_snapshot(parts.clone(), &RUN).unwrap_err().what, what, "{parts:?}");
    }
}
