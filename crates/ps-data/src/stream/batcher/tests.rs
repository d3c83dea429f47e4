use super::*;
use crate::limits::BATCHES_AHEAD_MAX;
use crate::{Draw, Shuffle};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Samples without an end, counted while they are read: sample n is n, its class n modulo 2.
struct Endless(Arc<AtomicU64>);

impl SampleReader for Endless {
    fn next(&mut self, wanted: bool, inputs: &mut Inputs) -> Result<Next, Error> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        if !wanted {
            return Ok(Next::Skipped);
        }
        inputs.features.push(number as f32);
        Ok(Next::Sample(Label::Class((number % 2) as u32)))
    }

    fn shape(&self) -> &[usize] {
        &[1]
    }

    fn position(&self) -> (&Path, u64) {
        (Path::new("endless"), 1)
    }
}

const BATCH: usize = 10;

fn plan(workers: u64, waiting: usize) -> StreamPlan {
    StreamPlan {
        workers,
        rank: workers - 1,
        batch_samples: BATCH,
        shape: vec![1],
        id_columns: 0,
        outputs: Some(2),
        shift: None,
        shuffle: Some(Shuffle { samples: waiting, draw: Draw::default() }),
    }
}

/// Makes batches on a thread; the count of what was read, and the thread's end.
fn start(
    plan: StreamPlan,
) -> (mpsc::Receiver<Result<StreamBatch, Error>>, Arc<AtomicU64>, std::thread::JoinHandle<()>) {
    let (sender, batches) = mpsc::channel(BATCHES_AHEAD_MAX);
    let read = Arc::new(AtomicU64::new(0));
    let mut samples = Endless(read.clone());
    let thread = std::thread::spawn(move || {
        let mut first = Inputs::default();
        let Next::Sample(label) = samples.next(true, &mut first).unwrap() else {
            panic!("no first sample");
        };
        let mut batcher = Batcher::new(plan, sender, Box::new(samples)).unwrap();
        batcher.run(first, label).unwrap();
    });
    (batches, read, thread)
}

/// Waits until nothing is read any more.
fn at_rest(read: &AtomicU64) -> u64 {
    let mut before = u64::MAX;
    loop {
        let now = read.load(Ordering::SeqCst);
        if now == before {
            return now;
        }
        before = now;
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn no_more_is_read_than_there_is_room_for() {
    for (workers, waiting) in [(1, 500), (1, 1), (3, 50)] {
        let (mut batches, read, thread) = start(plan(workers, waiting));
        for taken in [0, 1, 20] {
            for _ in 0..taken {
                let batch = batches.blocking_recv().unwrap().unwrap();
                assert_eq!(batch.labels.len(), BATCH);
            }
        }
        // What was taken, what is in the channel, what the thread holds out, what waits in the
        // buffer, and the one that was just read; of all of which others have their part.
        let ready = (21 + BATCHES_AHEAD_MAX + 1) * BATCH;
        let most = (ready + waiting + 1) as u64 * workers;
        let found = at_rest(&read);
        assert!(found <= most, "{found} samples read, expected at most {most}");
        drop(batches);
        thread.join().unwrap();
    }
}

#[test]
fn a_pass_that_nobody_wants_ends_before_the_buffer_is_full() {
    // This worker has one record of a million: no batch would ever be sent.
    let (batches, read, thread) = start(StreamPlan { rank: 999_999, ..plan(1_000_000, 4_096) });
    drop(batches);
    let start = Instant::now();
    while !thread.is_finished() {
        assert!(start.elapsed() < Duration::from_secs(30), "the thread goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(at_rest(&read), read.load(Ordering::SeqCst));
}
