mod damage;

use super::*;
use crate::chunk::ChunkSnapshot;
use crate::correction::Correction;
use crate::ids::ChunkId;
use crate::limits::COUNT_MAX;
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
        chunk_elements: chunk_elements(layout.elements(), 4),
        layout,
        optimizer: Optimizer::parse(optimizer, None, None).unwrap(),
        rules: Vec::new(),
        correction: Correction::None,
        bound: None,
        shards,
    }
}

fn value(element: usize, slot: usize) -> f32 {
    (element as f32).mul_add(0.5, slot as f32 * 0.25)
}

/// What a chunk is, whoever holds it.
fn chunk(spec: &ModelSpec, id: ChunkId) -> ChunkSnapshot {
    let range = spec.partition().elements(id);
    let values = |slot| range.clone().map(|element| value(element, slot)).collect();
    ChunkSnapshot {
        weights: values(0),
        slots: (1..=spec.optimizer.slots()).map(values).collect(),
        version: 100 + u64::from(id),
        updates: 50 + u64::from(id),
    }
}

/// A window with push 3 finished and push 4 begun.
fn window(chunks: u32) -> Window {
    let mut window = Window::default();
    window.begin(3, 3, 31, 1).unwrap();
    window.mark(3, 0, Ok(7));
    window.begin(4, 3, 41, chunks).unwrap();
    (1..chunks).for_each(|index| window.mark(4, index, Ok(7)));
    window
}

fn remembered(spec: &ModelSpec, shard: u32) -> Remembered {
    let run = spec.partition().run(shard);
    let mut sessions = Sessions::from([(2, (1, Window::default().to_snapshot(run.start)))]);
    if run.len() > 1 {
        sessions.insert(0, (5, window(run.len() as u32).to_snapshot(run.start)));
    }
    Remembered { sessions, torn: 3 }
}

/// A file and its bytes.
type Bytes = (File, Vec<u8>);

fn write_shard(
    spec: &ModelSpec,
    shard: u32,
    remembered: &Remembered,
    chunk: impl Fn(ChunkId) -> ChunkSnapshot,
) -> Bytes {
    let mut written = WrittenShard::new(spec, shard, 7, 9);
    let mut bytes = Vec::new();
    let mut put = |place: u64, part: &[u8]| {
        let (start, end) = (place as usize, place as usize + part.len());
        bytes.resize(bytes.len().max(end), 0);
        bytes[start..end].copy_from_slice(part);
    };
    for id in spec.partition().run(shard) {
        written.chunk(id, &chunk(id)).for_each(|(place, part)| put(place, part));
    }
    let ends = written.finish(remembered).unwrap();
    put(ends.tail_place, &ends.tail);
    put(0, &ends.header);
    assert_eq!(bytes.len() as u64, ends.file.bytes);
    (ends.file, bytes)
}

fn write(spec: &ModelSpec) -> Vec<Bytes> {
    let shard = |shard| write_shard(spec, shard, &remembered(spec, shard), |id| chunk(spec, id));
    (0..spec.shards).map(shard).collect()
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
    #[error("beyond the end")]
    End,
}

fn reader(bytes: &[u8]) -> impl Fn(u64, &mut [u8]) -> Result<(), ReadError> + Copy + '_ {
    |place, into| {
        let found = bytes.get(place as usize..place as usize + into.len());
        into.copy_from_slice(found.ok_or(ReadError::End)?);
        Ok(())
    }
}

fn read(files: &[Bytes], spec: &ModelSpec, shard: u32) -> Result<RestoredShard, ReadError> {
    let list: Vec<File> = files.iter().map(|(file, _)| file.clone()).collect();
    check_files(&list, 7, spec)?;
    let mut assembly = Assembly::new(spec, shard);
    for (file, bytes) in files {
        if assembly.needs(file, files.len()) {
            let read_at = reader(bytes);
            let count = files.len() as u32;
            let stored = StoredShard::open(file, count, spec, bytes.len() as u64, read_at)?;
            assembly.add(file, files.len(), &stored, read_at)?;
        }
    }
    Ok(assembly.finish()?)
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop_oneof![
        prop::collection::vec(1_usize..9, 1..5),
        prop::collection::vec(1_usize..100_000, 1..4),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However many servers wrote and however many read: every chunk is, to the bit, what it was.
    #[test]
    fn any_number_of_servers_reads_what_any_number_wrote(
        sizes in sizes(),
        optimizer in prop::sample::select(vec!["sgd", "momentum", "adam"]),
        writers in 1_u32..=8,
        readers in 1_u32..=8,
    ) {
        let files = write(&spec(&sizes, optimizer, writers));
        let spec = spec(&sizes, optimizer, readers);
        let mut torn = 0;
        for shard in 0..readers {
            let restored = read(&files, &spec, shard).unwrap();
            let run = spec.partition().run(shard);
            prop_assert_eq!(restored.chunks.len(), run.len());
            for (held, id) in restored.chunks.iter().zip(run.clone()) {
                let mut copy = ChunkSnapshot::default();
                held.copy_into(&mut copy);
                prop_assert_eq!(copy, chunk(&spec, id));
            }
            torn += restored.torn;
            if writers == readers && run.len() > 1 {
                let (incarnation, window) = &restored.sessions[&0];
                prop_assert_eq!(*incarnation, 5);
                let expected = &remembered(&spec, shard).sessions[&0].1;
                prop_assert_eq!(&window.as_ref().unwrap().to_snapshot(run.start), expected);
            }
            prop_assert!(writers == readers || restored.sessions.values().all(|s| s.1.is_none()));
        }
        // Each torn push of each file is counted once, whoever reads it.
        if writers == readers {
            prop_assert_eq!(torn, 3 * u64::from(writers));
        } else {
            let with_chunks = files.iter().filter(|(file, _)| !file.chunks.is_empty()).count();
            let unfinished = files.iter().filter(|(file, _)| file.chunks.len() > 1).count();
            prop_assert_eq!(torn, (3 * with_chunks + unfinished) as u64);
        }
    }

    #[test]
    fn the_same_shard_makes_the_same_file(sizes in sizes(), shards in 1_u32..4) {
        let spec = spec(&sizes, "momentum", shards);
        prop_assert_eq!(write(&spec), write(&spec));
    }
}

/// Whoever knows safetensors reads it, and finds the weights by their name.
#[test]
fn a_file_is_a_safetensors_file() {
    let spec = spec(&[300, 20], "adam", 2);
    let (_, bytes) = write(&spec).remove(0);
    let archive = crate::safetensors_file::open(&bytes).unwrap();
    let weights = archive.tensors.tensor("weights").unwrap();
    let range = spec.partition().range(0);
    let expected: Vec<u8> = range.flat_map(|element| value(element, 0).to_le_bytes()).collect();
    assert_eq!(weights.data(), expected);
    assert_eq!(archive.tensors.tensor("slot.1").unwrap().shape(), weights.shape());
    assert!(archive.metadata["psrun"].contains("\"format\":3"));
}

/// What a file says is believed only where it is what the model has.
#[test]
fn wrong_numbers_are_named() {
    let spec = spec(&[300], "momentum", 1);
    let (file, bytes) = write(&spec).remove(0);
    // The text has one length, so that what is added or lacking is padding.
    let replaced = |place: std::ops::Range<usize>, from: &str, to: &str| {
        let text = std::str::from_utf8(&bytes[place.clone()]).unwrap();
        assert!(text.contains(from), "{text}");
        let mut text = text.replace(from, to).into_bytes();
        text.resize(place.len(), b' ');
        let mut bytes = bytes.clone();
        bytes[place].copy_from_slice(&text);
        let crc = crc32fast::hash(&bytes[..4096]);
        (File { crc, ..file.clone() }, bytes)
    };
    let max = u64::MAX.to_string();
    let cases = [
        (r#"\"slots\":1"#, r#"\"slots\":2"#.to_owned(), "state vectors"),
        (r#"\"format\":3"#, r#"\"format\":4"#.into(), "format"),
        (r#"\"elements\":300"#, format!(r#"\"elements\":{max}"#), "elements"),
        (r#"\"chunks\":5"#, r#"\"chunks\":4"#.into(), "chunks"),
        (r#"\"shards\":1"#, format!(r#"\"shards\":{}"#, u32::MAX), "shards"),
        (r#"\"epoch\":9"#, format!(r#"\"epoch\":{max}"#), "epoch"),
        (r#""slot.0""#, r#""slot.1""#.into(), "header"),
    ];
    for (from, to, what) in cases {
        let error = read(&[replaced(8..4096, from, &to)], &spec, 0).unwrap_err().to_string();
        assert!(error.contains(what), "{to}: {error}");
    }
}

#[test]
fn impossible_counts_and_windows_are_named() {
    let spec = spec(&[300], "momentum", 1);
    let ours = remembered(&spec, 0);
    let written = |remembered: &Remembered, version| {
        let count = |id| ChunkSnapshot { version, ..chunk(&spec, id) };
        read(&[write_shard(&spec, 0, remembered, count)], &spec, 0)
    };
    assert!(written(&ours, COUNT_MAX).is_ok());
    let named = |remembered: &Remembered, what: &str| {
        let error = written(remembered, 1).unwrap_err().to_string();
        assert!(error.contains(what), "{what}: {error}");
    };
    let error = written(&ours, COUNT_MAX + 1).unwrap_err().to_string();
    assert!(error.contains("versions"), "{error}");
    let mut floor = ours.clone();
    floor.sessions.get_mut(&0).unwrap().1.floor = u64::MAX;
    named(&floor, "dedup window");
    let mut incarnation = ours.clone();
    incarnation.sessions.get_mut(&0).unwrap().0 = u64::MAX;
    named(&incarnation, "incarnation");
    let mut worker = ours.clone();
    let session = worker.sessions.remove(&0).unwrap();
    worker.sessions.insert(70_000, session);
    named(&worker, "worker");
    named(&Remembered { torn: u64::MAX, ..ours }, "torn");
}

#[test]
fn a_value_that_is_not_finite_is_refused() {
    let spec = spec(&[300], "sgd", 1);
    let broken = |id| {
        let mut chunk = chunk(&spec, id);
        chunk.weights[2] = f32::NAN;
        chunk
    };
    let file = write_shard(&spec, 0, &Remembered::default(), broken);
    let name = file.0.name.clone();
    let error = read(&[file], &spec, 0).unwrap_err().to_string();
    assert!(error.contains(&name) && error.contains("chunk 0"), "{error}");
}

#[test]
fn files_that_do_not_fit_together_are_named() {
    let three = spec(&[384], "sgd", 3);
    let list: Vec<File> = write(&three).into_iter().map(|(file, _)| file).collect();
    let two = ModelSpec { shards: 2, ..three.clone() };
    assert_eq!(check_files(&list, 7, &two), Ok(()));
    let what = |files: &[File], number| check_files(files, number, &two).unwrap_err().problem.what;
    assert_eq!(what(&list, 8), "name");
    assert_eq!(what(&list[..2], 7), "name");
    let swapped = [list[1].clone(), list[0].clone(), list[2].clone()];
    assert_eq!(what(&swapped, 7), "name");
    let mut gap = list.clone();
    gap[1].chunks.end -= 1;
    assert_eq!(what(&gap, 7), "chunks");
    let missing = Assembly::new(&three, 0).finish().unwrap_err();
    assert!(missing.to_string().contains("0 of its 2 chunks"), "{missing}");
    let none = Assembly::new(&three, 1);
    assert!(!none.needs(&list[0], 3) && none.needs(&list[1], 3));
}

#[test]
fn another_optimizer_is_refused() {
    let files = write(&spec(&[300], "momentum", 1));
    let error = read(&files, &spec(&[300], "nesterov", 1), 0);
    assert!(error.is_ok(), "both have one vector: the manifest says which optimizer it was");
    let error = read(&files, &spec(&[300], "sgd", 1), 0).unwrap_err().to_string();
    assert!(error.contains("state vectors") && error.contains("same optimizer"), "{error}");
}
