//! Checkpoints of any number of servers on a disk in memory: what the commands say of them, and what they do.

use super::folder::Folder;
use super::prune::prune;
use super::{ExportArgs, PruneArgs, Said, export, ls, verify};
use ps_core::checkpoint::cursor::Cursor;
use ps_core::checkpoint::{
    JobState, MANIFEST_FORMAT, Manifest, Remembered, Sessions, WrittenShard, names,
};
use ps_core::chunk::ChunkSnapshot;
use ps_core::ids::ChunkId;
use ps_core::keeping::Keeping;
use ps_core::learning::LearningMonitor;
use ps_core::model_config::{About, CONFIG_FILE};
use ps_core::model_file::{MODEL_FILE, to_safetensors};
use ps_core::model_spec::ModelSpec;
use ps_core::program_samples::ProgramSamples;
use ps_core::settings::TrainingSettings;
use ps_core::{DataDescription, Layout, TensorSpec};
use ps_runtime::files::{Directory, FileStore, SimulatedDisk};
use std::path::Path;
use std::time::SystemTime;

/// What a command said to machines, to people, and at its end.
struct Heard {
    out: String,
    told: String,
    end: Result<(), String>,
}

fn hear(work: impl FnOnce(&mut Said<'_>) -> anyhow::Result<()>) -> Heard {
    let (mut out, mut told) = (Vec::new(), String::new());
    let mut tell = |line: &str| told += &format!("{line}\n");
    let end = work(&mut Said { out: &mut out, tell: &mut tell });
    let end = end.map_err(|error| ps_cli::process::causes(&error));
    Heard { out: String::from_utf8(out).unwrap(), told, end }
}

fn value(number: u64, element: usize) -> f32 {
    (element as f32).mul_add(0.5, number as f32)
}

fn chunk(spec: &ModelSpec, number: u64, id: ChunkId) -> ChunkSnapshot {
    let range = spec.partition().elements(id);
    let weights: Vec<f32> = range.map(|element| value(number, element)).collect();
    let slots = vec![weights.clone(); spec.optimizer.slots()];
    ChunkSnapshot { weights, slots, version: 7, updates: 7 }
}

fn layout() -> Layout {
    Layout::new(vec![TensorSpec::trainable("b", [20]), TensorSpec::trainable("w", [30, 5])])
        .unwrap()
}

/// Writes a checkpoint as so many servers and a master do.
fn write(disk: &SimulatedDisk, number: u64, shards: u32) -> Manifest {
    let (settings, layout) = (TrainingSettings::default(), layout());
    let spec = settings.model_spec(&layout, shards);
    let mut files = Vec::new();
    for shard in 0..shards {
        let mut written = WrittenShard::new(&spec, shard, number, 3);
        let mut file = disk.create(written.name()).unwrap();
        for id in spec.partition().run(shard) {
            for (place, bytes) in written.chunk(id, &chunk(&spec, number, id)) {
                file.write_at(place, bytes).unwrap();
            }
        }
        let torn = Remembered { sessions: Sessions::new(), torn: 1 };
        let ends = written.finish(&torn).unwrap();
        file.write_at(ends.tail_place, &ends.tail).unwrap();
        file.write_at(0, &ends.header).unwrap();
        files.push(ends.file);
    }
    let state = JobState {
        highest: 4,
        settings,
        cursor: Cursor::default(),
        samples_done: 100 * number,
        passes: Vec::new(),
        learning: LearningMonitor::new(10),
        seconds: 12.5,
        began: 1,
        keeping: Keeping::default(),
        objective: String::new(),
        servers_went_back: Vec::new(),
        programs: ProgramSamples::default(),
    };
    let about = About { model: Some("mlp".into()), ..About::default() };
    let manifest = Manifest {
        format: MANIFEST_FORMAT,
        number,
        job: "job".into(),
        cut: None,
        tensors: layout.tensors().to_vec(),
        chunk_elements: spec.chunk_elements,
        files,
        state,
        model: Some(about.description(&layout, &DataDescription::replicated(100))),
    };
    write_manifest(disk, &manifest);
    manifest
}

fn write_manifest(disk: &SimulatedDisk, manifest: &Manifest) {
    let text = manifest.encode().unwrap();
    disk.write(&names::manifest_file(manifest.number), text.as_bytes()).unwrap();
}

fn verified(disk: &SimulatedDisk, number: Option<u64>) -> Heard {
    hear(|said| verify::run(&Folder::open(disk)?, number, said))
}

fn flip(disk: &SimulatedDisk, name: &str, at: usize, bit: usize) {
    let mut bytes = disk.content(name).unwrap();
    bytes[at] ^= 1 << bit;
    disk.write(name, &bytes).unwrap();
}

#[test]
fn ls_shows_what_there_is_the_newest_last() {
    let disk = SimulatedDisk::default();
    let manifest = write(&disk, 2, 3);
    write(&disk, 11, 1);
    disk.write(&names::shard_file(12, 0, 3), b"half").unwrap();
    disk.write("notes.txt", b"mine").unwrap();
    let listed = || {
        let epoch = |_: &str| Some(SystemTime::UNIX_EPOCH);
        hear(|said| ls::run(&Folder::open(&disk)?, epoch, said))
    };
    let heard = listed();
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    let expected = format!(
        "checkpoint=2; complete=true; passes=0; samples_done=200; train_seconds=12.5; shards=3; tensors=2; chunks=3; \
         elements=170; bytes={bytes}; optimizer=adamw; model=mlp; torn=3; written=1970-01-01T00:00:00Z;"
    );
    let lines: Vec<&str> = heard.out.lines().collect();
    assert_eq!(lines[0], expected);
    assert!(lines[1].starts_with("checkpoint=11; complete=true;"), "{}", heard.out);
    assert!(heard.told.contains("unfinished: checkpoint 12, no manifest"), "{}", heard.told);
    assert!(!heard.told.contains("notes"), "{}", heard.told);
    assert_eq!((heard.end, lines.len()), (Ok(()), 2));
    disk.remove(&names::shard_file(2, 1, 3)).unwrap();
    flip(&disk, &names::manifest_file(11), 50, 1);
    let heard = listed();
    assert!(heard.out.contains("checkpoint=2; complete=false; passes=0;"), "{}", heard.out);
    assert!(heard.out.contains("checkpoint=11; complete=false; written"), "{}", heard.out);
    let missing =
        format!("checkpoint 2 cannot be used: checkpoint file `{}`", names::shard_file(2, 1, 3));
    assert!(heard.told.contains(&missing), "{}", heard.told);
}

#[test]
fn whatever_number_of_servers_wrote_it_is_whole() {
    let disk = SimulatedDisk::default();
    for shards in [1_u32, 2, 3, 5, 8] {
        write(&disk, u64::from(shards), shards);
    }
    let heard = verified(&disk, None);
    assert_eq!(heard.end, Ok(()), "{}", heard.told);
    assert_eq!(heard.out.matches("; ok=true; files=").count(), 5);
    assert!(heard.out.contains("checkpoint=8; ok=true; files=8; chunks=3;"), "{}", heard.out);
    assert_eq!(verified(&disk, Some(3)).out.lines().count(), 1);
    let error = verified(&disk, Some(4)).end.unwrap_err();
    assert!(error.contains("no checkpoint 4") && error.contains("1, 2, 3, 5, 8"), "{error}");
}

/// Every byte of every file; `ps_core` does the same with every bit.
#[test]
fn one_changed_bit_anywhere_is_found_and_named() {
    let disk = SimulatedDisk::default();
    write(&disk, 1, 2);
    write(&disk, 2, 2);
    for name in [names::shard_file(2, 0, 2), names::shard_file(2, 1, 2), names::manifest_file(2)] {
        for at in 0..disk.content(&name).unwrap().len() {
            flip(&disk, &name, at, at % 8);
            let heard = verified(&disk, Some(2));
            assert!(heard.told.contains(&name), "{name}, byte {at}: {}", heard.told);
            assert!(heard.end.is_err_and(|error| error.contains(&name)), "{name}, byte {at}");
            flip(&disk, &name, at, at % 8);
        }
    }
    assert_eq!(verified(&disk, None).end, Ok(()));
}

#[test]
fn what_is_missing_or_cut_short_is_named_with_what_to_do() {
    let disk = SimulatedDisk::default();
    (1..=3).for_each(|number| drop(write(&disk, number, 2)));
    disk.remove(&names::shard_file(3, 1, 2)).unwrap();
    let cut = names::shard_file(1, 0, 2);
    let bytes = disk.content(&cut).unwrap();
    disk.write(&cut, &bytes[..bytes.len() - 1]).unwrap();
    let heard = verified(&disk, None);
    assert!(heard.out.contains("checkpoint=3; ok=false; problems=1;"), "{}", heard.out);
    assert!(heard.out.contains("checkpoint=2; ok=true;"), "{}", heard.out);
    let found = format!("found {}, expected {}", bytes.len() - 1, bytes.len());
    assert!(heard.told.contains(&found), "{}", heard.told);
    assert!(heard.told.contains("found none, expected one of"), "{}", heard.told);
    let error = heard.end.unwrap_err();
    for words in ["checkpoint 1, 3", "newest whole one is 2", "--checkpoints memory", "--keep 1"] {
        assert!(error.contains(words), "{words}: {error}");
    }
    disk.remove(&names::manifest_file(2)).unwrap();
    assert!(verified(&disk, None).end.unwrap_err().contains("none is whole"));
}

fn exported(disk: &SimulatedDisk, out: &Path, number: Option<u64>, overwrite: bool) -> Heard {
    let args = ExportArgs { folder: "memory".into(), number, out: out.to_owned(), overwrite };
    hear(|said| export::run(&Folder::open(disk)?, &args, said))
}

#[test]
fn an_exported_model_has_the_same_bits_whoever_held_it() {
    let (disk, out) = (SimulatedDisk::default(), tempfile::tempdir().unwrap());
    for (number, shards) in [(1, 1), (2, 2), (3, 5)] {
        let description = write(&disk, number, shards).model.unwrap();
        let heard = exported(&disk, out.path(), None, true);
        assert_eq!(heard.end, Ok(()));
        assert!(
            heard.out.contains(&format!("checkpoint={number}; elements=170;")),
            "{}",
            heard.out
        );
        assert!(heard.told.contains("psrun evaluate --model"), "{}", heard.told);
        let weights: Vec<f32> = (0..170).map(|element| value(number, element)).collect();
        let expected = to_safetensors(&layout(), &weights).unwrap();
        assert_eq!(std::fs::read(out.path().join(MODEL_FILE)).unwrap(), expected);
        let config = std::fs::read(out.path().join(CONFIG_FILE)).unwrap();
        assert_eq!(config, description.files().unwrap()[0].1);
    }
    let error = exported(&disk, out.path(), Some(1), false).end.unwrap_err();
    assert!(error.contains("--overwrite"), "{error}");
}

#[test]
fn a_damaged_checkpoint_never_becomes_a_model() {
    let (disk, out) = (SimulatedDisk::default(), tempfile::tempdir().unwrap());
    write(&disk, 1, 2);
    let name = names::shard_file(1, 1, 2);
    flip(&disk, &name, 4100, 3);
    let error = exported(&disk, out.path(), None, false).end.unwrap_err();
    assert!(error.contains(&name) && error.contains("--number"), "{error}");
    assert!(error.contains("of chunk"), "{error}");
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
}

#[test]
fn weights_alone_are_exported_with_a_warning() {
    let (disk, out) = (SimulatedDisk::default(), tempfile::tempdir().unwrap());
    let mut manifest = write(&disk, 1, 2);
    manifest.model = None;
    write_manifest(&disk, &manifest);
    let heard = exported(&disk, out.path(), None, false);
    assert!(heard.told.contains("warning: weights alone"), "{}", heard.told);
    assert!(heard.out.contains("described=false;"), "{}", heard.out);
    assert!(out.path().join(MODEL_FILE).exists() && !out.path().join(CONFIG_FILE).exists());
}

fn pruned(disk: &SimulatedDisk, keep: usize) -> Heard {
    hear(|said| prune(disk, keep, said))
}

#[test]
fn prune_keeps_the_newest_whole_ones_and_what_is_not_ours() {
    let disk = SimulatedDisk::default();
    (1..=5).for_each(|number| drop(write(&disk, number, 2)));
    flip(&disk, &names::shard_file(5, 0, 2), 4100, 0);
    let unfinished = format!("{}.partial", names::shard_file(6, 0, 2));
    for name in [&unfinished, "best.safetensors", "checkpoint-notes.txt"] {
        disk.write(name, b"x").unwrap();
    }
    let heard = pruned(&disk, 2);
    assert_eq!(heard.end, Ok(()));
    let removed = |number| format!("checkpoint={number}; removed_files=3; removed_bytes=");
    for number in [1, 2, 5] {
        assert!(heard.out.contains(&removed(number)), "{}", heard.out);
    }
    assert!(heard.out.contains("checkpoint=6; removed_files=1; removed_bytes=1;"), "{}", heard.out);
    assert!(heard.told.contains("checkpoint 5 is damaged"), "{}", heard.told);
    assert!(heard.told.contains("kept: checkpoints 3, 4"), "{}", heard.told);
    let mut expected = vec!["best.safetensors".to_owned(), "checkpoint-notes.txt".to_owned()];
    for number in [3, 4] {
        expected.extend((0..2).map(|shard| names::shard_file(number, shard, 2)));
        expected.push(names::manifest_file(number));
    }
    expected.sort();
    assert_eq!(disk.list().unwrap(), expected);
    assert_eq!(verified(&disk, None).end, Ok(()));
    let again = pruned(&disk, 3);
    assert_eq!((again.end, again.out.as_str()), (Ok(()), ""));
    assert_eq!(disk.list().unwrap(), expected);
}

#[test]
fn without_a_whole_checkpoint_nothing_is_removed() {
    let disk = SimulatedDisk::default();
    (1..=2).for_each(|number| drop(write(&disk, number, 2)));
    (1..=2).for_each(|number| disk.remove(&names::shard_file(number, 0, 2)).unwrap());
    let names = disk.list().unwrap();
    let error = pruned(&disk, 1).end.unwrap_err();
    assert!(error.contains("nothing was removed"), "{error}");
    assert_eq!(disk.list().unwrap(), names);
}

/// Wherever the power fails, no manifest is left whose files are gone.
#[test]
fn a_crash_while_it_prunes_leaves_whole_checkpoints() {
    let mut last = Err(String::new());
    for operations in 0..150 {
        let disk = SimulatedDisk::default();
        (1..=3).for_each(|number| drop(write(&disk, number, 2)));
        for name in disk.list().unwrap() {
            // So that a crash loses nothing of it.
            disk.write(&name, &disk.content(&name).unwrap()).unwrap();
        }
        disk.fail_after(operations);
        let end = pruned(&disk, 1).end;
        disk.crash(operations);
        assert_eq!(verified(&disk, None).end, Ok(()), "after {operations}: {end:?}");
        last = end;
    }
    assert_eq!(last, Ok(()), "more operations than were tried");
}

#[test]
fn a_folder_that_a_job_has_is_not_pruned() {
    let folder = tempfile::tempdir().unwrap();
    let directory = Directory::existing(folder.path()).unwrap();
    std::fs::write(folder.path().join(names::shard_file(1, 0, 2)), b"x").unwrap();
    let _lock = directory.lock().unwrap().unwrap();
    let args = PruneArgs { folder: folder.path().to_owned(), keep: 1 };
    let error = hear(|said| super::prune::run(&args, said)).end.unwrap_err();
    assert!(error.contains("a job keeps its checkpoints there"), "{error}");
    assert_eq!(directory.list().unwrap().len(), 1);
    let nowhere = PruneArgs { folder: folder.path().join("nowhere"), keep: 1 };
    let error = hear(|said| super::prune::run(&nowhere, said)).end.unwrap_err();
    assert!(error.contains("nowhere"), "{error}");
    assert!(!nowhere.folder.exists());
}
