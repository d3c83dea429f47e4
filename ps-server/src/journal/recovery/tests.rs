//! Folders that are not as they were written: each bit, and each length, of each file.

use super::super::{OpenJournal, Waiting, WriterSettings, open};
use super::*;
use ps_core::ids::PushId;
use ps_core::journal::{BATCH_HEADER_BYTES, names};
use ps_core::model_spec::ModelSpec;
use ps_core::shard::{EncodedRun, Guards, InitialWeights, PushHeader};
use ps_core::{Layout, TensorKind, TensorSpec};
use ps_kernels::encoding::Encoding;
use ps_kernels::optimizer::Optimizer;
use ps_runtime::files::{FileStore, SimulatedDisk};
use std::sync::Arc;

const JOB: &str = "job";
const NOW: Duration = Duration::ZERO;

/// Two chunks, of 64 and of 6.
const ELEMENTS: usize = 70;

fn empty() -> Shard {
    // Without a master, so that nobody has to say who its workers are.
    Shard::new(0, Some(Duration::from_secs(10)), Guards::ALL, Box::new(|| ()))
}

fn install(shard: &Shard) {
    let layout = Layout::new(vec![TensorSpec::trainable("w", [ELEMENTS])]).unwrap();
    let spec = ModelSpec {
        layout,
        optimizer: Optimizer::parse("sgd", None, None).unwrap(),
        rules: Vec::new(),
        correction: ps_core::correction::Correction::None,
        bound: None,
        chunk_elements: 64,
        shards: 1,
    };
    let start: Vec<f32> = (0..ELEMENTS).map(|at| at as f32).collect();
    let start: &[u8] = bytemuck::cast_slice(&start);
    let mut initial = InitialWeights::new(0, spec, crc32fast::hash(start));
    initial.add(0, &start[..64 * 4]).unwrap();
    initial.add(1, &start[64 * 4..]).unwrap();
    shard.install(initial.finish().unwrap());
}

/// A push of ones, at the rate 1.
fn push(shard: &Shard, seq: u64) {
    let header = PushHeader {
        id: PushId { worker: 0, incarnation: 1, seq },
        oldest: 0,
        epoch: 0,
        clock: seq,
        ends_step: true,
        learning_rate: 1.0,
        loss: 0.0,
        kind: TensorKind::Trainable,
        chunks_total: 2,
        encoding: Encoding::F32,
        pull_encoding: Encoding::F32,
        pull_ahead: 0,
        has_start: false,
    };
    let ones = [1.0_f32; ELEMENTS];
    let ones: &[u8] = bytemuck::cast_slice(&ones);
    let mut push = shard.begin(header, NOW).unwrap();
    for (first, values) in [(0, &ones[..64 * 4]), (1, &ones[64 * 4..])] {
        let run =
            EncodedRun { first, chunks: 1, pulled_version: 0, spans: &[], values, positions: &[] };
        push.take(&run).unwrap();
    }
    push.finish().unwrap();
}

fn weights(shard: &Shard) -> Vec<f32> {
    let model = shard.model().unwrap();
    model.chunks().iter().flat_map(|chunk| chunk.lock().weights().to_vec()).collect()
}

/// Every push of a job that had so many.
fn after(pushes: u64) -> Vec<f32> {
    (0..ELEMENTS).map(|at| at as f32 - pushes as f32).collect()
}

/// Found by a fail point: a server told its master that it held a model, died while that was first written, and was taken for one
/// that had lost it.
#[tokio::test]
async fn regression_a_model_that_is_not_written_yet_is_not_held_for_good() {
    let waiting = Arc::new(Waiting::default());
    let shard = empty().with_journal(waiting.clone());
    let files: Files = Arc::new(SimulatedDisk::default());
    let opened = open((JOB, 7), files, (&shard, waiting), WriterSettings::default(), NOW);
    let OpenJournal { files, writing } = opened.unwrap();
    let writing = tokio::spawn(writing);
    install(&shard);
    assert!(!files.is_founded());
    files.found(&shard).await.unwrap();
    assert!(files.is_founded());
    writing.abort();
}

/// One before the shard was written whole for the last time, two in the segment after it, and two in the next.
const PUSHES: u64 = 5;

/// The folder of a server that was killed twice: a base, its values, a segment with two batches, and one with two more.
fn folder() -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let live = |pushes: std::ops::Range<u64>| {
        let files: Files = Arc::new(disk.clone());
        runtime.block_on(async {
            let waiting = Arc::new(Waiting::default());
            let shard = empty().with_journal(waiting.clone());
            let settings = WriterSettings::default();
            let opened =
                open((JOB, 7 + pushes.start), files, (&shard, waiting.clone()), settings, NOW);
            let OpenJournal { files, writing } = opened.unwrap();
            let writing = tokio::spawn(writing);
            if shard.model().is_none() {
                install(&shard);
                files.found(&shard).await.unwrap();
                push(&shard, 0);
                // What came before goes.
                files.renew(&shard).await.unwrap();
            }
            for seq in pushes {
                push(&shard, seq);
                waiting.written().await.unwrap();
            }
            writing.abort();
        });
    };
    live(1..3);
    live(3..PUSHES);
    disk
}

/// What a server makes of a folder with these files.
fn recovered(files: &[(String, Vec<u8>)]) -> Result<Vec<f32>, JournalError> {
    let disk = SimulatedDisk::default();
    files.iter().for_each(|(name, bytes)| disk.write(name, bytes).unwrap());
    let (files, shard): (Files, _) = (Arc::new(disk), empty());
    recover((&files, JOB), &shard, NOW).map(|_| weights(&shard))
}

fn files_of(disk: &SimulatedDisk) -> Vec<(String, Vec<u8>)> {
    let names = disk.list().unwrap().into_iter();
    names.map(|name| (name.clone(), disk.read(&name).unwrap())).collect()
}

/// Where the last batch of the last segment begins: there, a change is what a torn write leaves.
fn last_batch(segment: &[u8]) -> usize {
    let find = |from: usize| {
        (from..segment.len() - 4).find(|at| segment[*at..].starts_with(&segment[48..52]))
    };
    let mut last = 48;
    while let Some(next) = find(last + BATCH_HEADER_BYTES) {
        last = next;
    }
    last
}

#[test]
fn every_flipped_bit_of_a_journal_is_found_and_its_file_named() {
    let files = files_of(&folder());
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    let is_segment = |name: &str| names::parse_segment_file(name).is_some();
    assert_eq!(names.iter().filter(|name| is_segment(name)).count(), 2, "{names:?}");
    assert_eq!(names.len(), 4, "a base and its values, too: {names:?}");
    assert_eq!(recovered(&files).unwrap(), after(PUSHES));
    let last = files.iter().rposition(|(name, _)| is_segment(name)).unwrap();
    let torn_from = last_batch(&files[last].1);
    let (mut found, mut torn) = (0, 0);
    for file in 0..files.len() {
        for bit in 0..files[file].1.len() * 8 {
            let mut files = files.clone();
            files[file].1[bit / 8] ^= 1 << (bit % 8);
            let name = &files[file].0;
            let is_last = file == last && bit / 8 >= torn_from;
            match recovered(&files) {
                Err(error) => {
                    assert!(error.to_string().contains(name), "bit {bit} of {name}: {error}");
                    assert!(!is_last, "bit {bit} of {name}: {error}");
                    found += 1;
                }
                Ok(weights) => {
                    assert!(is_last, "bit {bit} of {name} was taken for whole");
                    assert_eq!(weights, after(PUSHES - 1), "bit {bit} of {name}");
                    torn += 1;
                }
            }
        }
    }
    println!("{found} flipped bits are named, {torn} are as a torn write leaves them");
    assert!(found > 10 * torn && torn > 0);
}

/// One byte less, or one more, of any file: it is named, or nothing is missing but a last batch that was cut.
#[test]
fn a_file_of_a_journal_that_is_cut_or_continued_gives_no_other_weights() {
    let files = files_of(&folder());
    let last = files.iter().rposition(|(name, _)| names::parse_segment_file(name).is_some());
    for file in 0..files.len() {
        let is_segment = names::parse_segment_file(&files[file].0).is_some();
        let changed = |change: fn(&mut Vec<u8>)| {
            let mut files = files.clone();
            change(&mut files[file].1);
            recovered(&files).map_err(|error| error.to_string())
        };
        let named = |found: Result<Vec<f32>, String>| {
            let error = found.unwrap_err();
            assert!(error.contains(&files[file].0), "{error}");
        };
        let cut = changed(|bytes| bytes.truncate(bytes.len() - 1));
        let continued = changed(|bytes| bytes.push(0));
        match (is_segment, Some(file) == last) {
            (false, _) => [cut, continued].into_iter().for_each(named),
            (true, is_last) => {
                // As the beginning of a batch that was not written any more.
                assert_eq!(continued.unwrap(), after(PUSHES));
                match is_last {
                    true => assert_eq!(cut.unwrap(), after(PUSHES - 1)),
                    false => named(cut),
                }
            }
        }
    }
    // Of what is gone a base tells, or a segment behind it; a last segment nobody misses.
    for file in 0..files.len() {
        let mut rest = files.clone();
        let (name, _) = rest.remove(file);
        if Some(file) != last && names::parse_base_file(&name).is_none() {
            let error = recovered(&rest).unwrap_err().to_string();
            assert!(error.contains(&name), "{name} is gone: {error}");
        }
    }
}

/// A server that dies over and over would else have ever more to replay.
#[test]
fn what_was_replayed_counts_when_a_shard_is_to_be_written_whole() {
    let disk = folder();
    let base = || disk.list().unwrap().iter().filter_map(|name| names::parse_base_file(name)).max();
    let before = base();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (files, waiting): (Files, _) = (Arc::new(disk.clone()), Arc::new(Waiting::default()));
        let shard = empty().with_journal(waiting.clone());
        let settings = WriterSettings { whole_every_bytes: 1, ..WriterSettings::default() };
        let opened = open((JOB, 9), files, (&shard, waiting), settings, NOW);
        let OpenJournal { files, writing } = opened.unwrap();
        tokio::select! {
            error = writing => panic!("{error}"),
            () = files.keep_short(&shard) => (),
            () = tokio::time::sleep(Duration::from_millis(300)) => (),
        }
    });
    assert!(base() > before);
}
