use super::*;
use crate::chunk::{Chunk, ChunkSnapshot};
use crate::correction::Correction;
use crate::limits::{CHUNK_ELEMENTS_MAX, COUNT_MAX};
use crate::model_spec::ModelSpec;
use crate::partition::chunk_elements;
use crate::window::Window;
use crate::{Layout, TensorKind, TensorSpec};
use proptest::prelude::*;
use ps_kernels::optimizer::Optimizer;

/// A model whose elements are cut into several chunks, with state at its end.
fn spec(sizes: &[usize], optimizer: &str, shards: u32) -> ModelSpec {
    let name = |index| format!("t{index:03}");
    let mut tensors: Vec<TensorSpec> =
        (0..).zip(sizes).map(|(index, size)| TensorSpec::trainable(name(index), [*size])).collect();
    if let Some(last) = tensors.last_mut().filter(|_| sizes.len() > 1) {
        last.kind = TensorKind::State;
    }
    let layout = Layout::new(tensors).unwrap();
    ModelSpec {
        chunk_elements: chunk_elements(layout.elements(), shards),
        layout,
        optimizer: Optimizer::parse(optimizer, None, None).unwrap(),
        correction: Correction::None,
        bound: None,
        shards,
    }
}

/// All that a file holds.
fn copied(stored: &StoredShard<'_>) -> ShardSnapshot {
    let chunk = |(index, range): (usize, std::ops::Range<usize>)| {
        let mut weights = vec![0.0; range.len()];
        stored.copy_weights(&range, &mut weights);
        let mut slots = vec![vec![0.0; range.len()]; stored.slots()];
        for (slot, values) in slots.iter_mut().enumerate() {
            stored.copy_slot(slot, &range, values);
        }
        let (version, updates) = stored.counts(index);
        ChunkSnapshot { weights, slots, version, updates }
    };
    let (shard, shards) = stored.cut();
    ShardSnapshot {
        shard,
        shards,
        start: stored.elements().start,
        slots: stored.slots(),
        epoch: stored.epoch(),
        chunks: stored.ranges().enumerate().map(chunk).collect(),
        sessions: stored.sessions().clone(),
    }
}

fn value(element: usize, slot: usize) -> f32 {
    (element as f32).mul_add(0.5, slot as f32 * 0.25)
}

/// A window with push 3 finished and push 4 begun.
fn window() -> Window {
    let mut window = Window::default();
    for (seq, chunk) in [(3, 0), (4, 0), (4, 1)] {
        window.begin(seq, 3, seq * 10 + 1, if seq == 3 { 1 } else { 3 }).unwrap();
        window.mark(seq, chunk, Ok(7));
    }
    window
}

fn snapshot(spec: &ModelSpec, shard: u32) -> ShardSnapshot {
    let partition = spec.partition();
    let chunk = |(index, range): (usize, std::ops::Range<usize>)| ChunkSnapshot {
        weights: range.clone().map(|element| value(element, 0)).collect(),
        slots: (1..=spec.optimizer.slots())
            .map(|slot| range.clone().map(|element| value(element, slot)).collect())
            .collect(),
        version: 100 * u64::from(shard) + index as u64,
        updates: 50 * u64::from(shard) + index as u64,
    };
    ShardSnapshot {
        shard,
        shards: spec.shards,
        start: partition.range(shard).start,
        slots: spec.optimizer.slots(),
        epoch: 9,
        chunks: partition.chunks(shard).into_iter().enumerate().map(chunk).collect(),
        sessions: [(0, (5, window().to_snapshot())), (2, (1, Window::default().to_snapshot()))]
            .into(),
    }
}

fn write(spec: &ModelSpec, number: u64) -> Vec<(File, Vec<u8>)> {
    let file = |shard| {
        let snapshot = snapshot(spec, shard);
        let bytes = snapshot.encode(number).unwrap();
        (snapshot.file(number, &bytes), bytes)
    };
    (0..spec.shards).map(file).collect()
}

fn read(files: &[(File, Vec<u8>)], number: u64, spec: &ModelSpec, shard: u32) -> RestoredShard {
    let list: Vec<File> = files.iter().map(|(file, _)| file.clone()).collect();
    let mut assembly = Assembly::new(spec, shard);
    for file in needed(&list, number, spec, shard).unwrap() {
        let bytes = &files[file.shard as usize].1;
        assembly.add(&StoredShard::open(file, bytes).unwrap()).unwrap();
    }
    assembly.finish().unwrap()
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        prop::collection::vec(1_usize..9, 1..5),
        prop::collection::vec(1_usize..100_000, 1..4),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However many servers wrote and however many read, the model is the same.
    #[test]
    fn any_number_of_servers_reads_what_any_number_wrote(
        sizes in sizes(),
        optimizer in prop::sample::select(vec!["sgd", "momentum", "adam"]),
        writers in 1_u32..=5,
        readers in 1_u32..=5,
    ) {
        let files = write(&spec(&sizes, optimizer, writers), 7);
        let spec = spec(&sizes, optimizer, readers);
        for shard in 0..readers {
            let restored = read(&files, 7, &spec, shard);
            let ranges = spec.partition().chunks(shard);
            prop_assert_eq!(restored.chunks.len(), ranges.len());
            for (index, (chunk, range)) in restored.chunks.iter().zip(ranges).enumerate() {
                let expect = |slot| range.clone().map(|e| value(e, slot)).collect::<Vec<_>>();
                prop_assert_eq!(chunk.weights(), expect(0));
                for slot in 0..spec.optimizer.slots() {
                    prop_assert_eq!(&chunk.slots()[slot], &expect(slot + 1));
                }
                if writers == readers {
                    prop_assert_eq!(chunk.version(), 100 * u64::from(shard) + index as u64);
                    prop_assert_eq!(chunk.updates(), 50 * u64::from(shard) + index as u64);
                }
                let newest = (0..writers)
                    .flat_map(|writer| snapshot(&super_spec(&spec, writers), writer).counts())
                    .filter(|(other, ..)| other.start < range.end && range.start < other.end)
                    .map(|(_, version, _)| version)
                    .max();
                prop_assert_eq!(Some(chunk.version()), newest);
            }
            if writers == readers {
                prop_assert_eq!(restored.sessions[&0].0, 5);
                prop_assert_eq!(restored.sessions[&0].1.to_snapshot(), window().to_snapshot());
            }
        }
    }

    #[test]
    fn a_file_is_read_as_written(sizes in sizes(), shards in 1_u32..4, pick: u32) {
        let spec = spec(&sizes, "momentum", shards);
        let snapshot = snapshot(&spec, pick % shards);
        let bytes = snapshot.encode(3).unwrap();
        prop_assert_eq!(&bytes, &snapshot.encode(3).unwrap());
        let file = snapshot.file(3, &bytes);
        prop_assert_eq!(copied(&StoredShard::open(&file, &bytes).unwrap()), snapshot);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// A listed file that was changed or cut anywhere is refused; an unlisted one never panics.
    #[test]
    fn damaged_files_are_refused(at in 0_usize..4000, bit in 0_u32..8, header: bool) {
        let (file, bytes) = write(&spec(&[40, 20], "adam", 2), 1).remove(0);
        let at = if header { at % 1200 } else { at } % bytes.len();
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << bit;
        let error = StoredShard::open(&file, &flipped).unwrap_err();
        prop_assert!(error.to_string().contains(&file.name));
        if let Ok(stored) = StoredShard::decode(&file.name, &flipped) {
            let snapshot = copied(&stored);
            let chunks: Vec<_> = snapshot.chunks.into_iter().map(Chunk::from_snapshot).collect();
            prop_assert!(chunks.len() <= bytes.len());
        }
        prop_assert!(StoredShard::open(&file, &bytes[..at]).is_err());
        prop_assert!(StoredShard::decode(&file.name, &bytes[..at]).is_err());
    }

    #[test]
    fn what_is_no_file_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(StoredShard::decode("x", &bytes).is_err());
    }
}

impl ShardSnapshot {
    fn counts(&self) -> Vec<(std::ops::Range<usize>, u64, u64)> {
        let mut start = self.start;
        let count = |chunk: &ChunkSnapshot| {
            let range = start..start + chunk.weights.len();
            start = range.end;
            (range, chunk.version, chunk.updates)
        };
        self.chunks.iter().map(count).collect()
    }
}

fn super_spec(spec: &ModelSpec, shards: u32) -> ModelSpec {
    ModelSpec { shards, ..spec.clone() }
}

/// What a file says is believed only where the file holds it.
#[test]
fn huge_counts_are_refused() {
    let whole = snapshot(&spec(&[40], "momentum", 1), 0);
    let bytes = whole.encode(1).unwrap();
    let replaced = |from: &str, to: &str| {
        // The file is not text: replace within the header only.
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
        assert!(header.contains(from), "{header}");
        let header = header.replace(from, to);
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend(&bytes[8 + length..]);
        file
    };
    let max = u64::MAX.to_string();
    let cases = [
        (r#"\"slots\":1"#, format!(r#"\"slots\":{max}"#), "slots"),
        (r#"\"format\":2"#, r#"\"format\":3"#.into(), "format"),
        (r#"\"end\":40"#, format!(r#"\"end\":{max}"#), "elements"),
        (r#"\"end\":40"#, r#"\"end\":41"#.into(), "end of the last chunk"),
        (r#"\"shards\":1"#, format!(r#"\"shards\":{}"#, u32::MAX), "shard"),
        (r#"\"floor\":3"#, format!(r#"\"floor\":{max}"#), "dedup window"),
        (r#"\"incarnation\":5"#, format!(r#"\"incarnation\":{max}"#), "incarnation"),
        (r#"\"epoch\":9"#, format!(r#"\"epoch\":{max}"#), "epoch"),
        (r#"\"2\":"#, r#"\"70000\":"#.into(), "worker"),
        (r#""slot.0""#, r#""slot.1""#.into(), "tensors"),
    ];
    for (from, to, what) in cases {
        let error = StoredShard::decode("x", &replaced(from, &to)).unwrap_err();
        assert_eq!(error.problem.what, what, "{error}");
    }
    let count = ShardSnapshot {
        chunks: vec![ChunkSnapshot { version: COUNT_MAX + 1, ..whole.chunks[0].clone() }],
        ..whole.clone()
    };
    assert_eq!(
        StoredShard::decode("x", &count.encode(1).unwrap()).unwrap_err().problem.what,
        "versions"
    );
    let chunk = vec![0.0; CHUNK_ELEMENTS_MAX + 1];
    let large =
        ChunkSnapshot { weights: chunk.clone(), slots: vec![chunk], version: 0, updates: 0 };
    let large = ShardSnapshot { chunks: vec![large], ..whole };
    assert_eq!(
        StoredShard::decode("x", &large.encode(1).unwrap()).unwrap_err().problem.what,
        "chunk_ends"
    );
}

#[test]
fn a_value_that_is_not_finite_is_refused() {
    let spec = spec(&[4], "sgd", 1);
    let mut snapshot = snapshot(&spec, 0);
    snapshot.chunks[0].weights[2] = f32::NAN;
    let bytes = snapshot.encode(1).unwrap();
    let mut assembly = Assembly::new(&spec, 0);
    assembly.add(&StoredShard::open(&snapshot.file(1, &bytes), &bytes).unwrap()).unwrap();
    assert!(matches!(assembly.finish(), Err(AssemblyError::Chunk { .. })));
}

#[test]
fn files_that_do_not_fit_together_are_named() {
    let three = spec(&[384], "sgd", 3);
    let list: Vec<File> = write(&three, 7).into_iter().map(|(file, _)| file).collect();
    assert_eq!(needed(&list, 7, &three, 1).unwrap(), [&list[1]]);
    let two = super_spec(&three, 2);
    assert_eq!(needed(&list, 7, &two, 0).unwrap(), [&list[0], &list[1]]);
    let what =
        |files: &[File], number, spec| needed(files, number, spec, 0).unwrap_err().problem.what;
    assert_eq!(what(&list, 8, &two), "name");
    assert_eq!(what(&list[..2], 7, &two), "name");
    let twice = [list[0].clone(), list[1].clone(), list[1].clone()];
    assert_eq!(what(&twice, 7, &two), "name");
    let mut gap = list.clone();
    gap[1].elements.end -= 1;
    assert_eq!(what(&gap, 7, &two), "first element");
    assert_eq!(what(&list, 7, &spec(&[385], "sgd", 3)), "end of the model");
    let missing = Assembly::new(&three, 0).finish().unwrap_err();
    assert!(missing.to_string().contains("128 elements"), "{missing}");
}

#[test]
fn another_optimizer_is_refused() {
    let files = write(&spec(&[40], "adam", 1), 7);
    let mut assembly = Assembly::new(&spec(&[40], "sgd", 1), 0);
    let stored = StoredShard::open(&files[0].0, &files[0].1).unwrap();
    let error = assembly.add(&stored).unwrap_err().to_string();
    assert!(error.contains("found 2, expected 0 for sgd"), "{error}");
}

/// After another cut nothing that was begun is applied again, and what comes later is.
#[test]
fn windows_of_another_cut_are_closed() {
    let files = write(&spec(&[40], "sgd", 2), 7);
    let mut restored = read(&files, 7, &spec(&[40], "sgd", 1), 0);
    let (incarnation, window) = restored.sessions.get_mut(&0).unwrap();
    assert_eq!(*incarnation, 5);
    assert!(window.begin(3, 3, 31, 1).is_err());
    assert!(window.begin(4, 4, 41, 3).is_err());
    assert!(window.begin(5, 5, 51, 1).is_ok());
    assert_eq!(window.clock(), 41);
}
