use super::*;
use ps_core::checkpoint::names;
use std::io::ErrorKind;

fn stores(directory: &std::path::Path) -> [Files; 2] {
    [Arc::new(Directory::open(directory).unwrap()), Arc::new(SimulatedDisk::default())]
}

#[test]
fn a_file_is_replaced_whole() {
    let directory = tempfile::tempdir().unwrap();
    for files in stores(&directory.path().join("a/b")) {
        files.write("x", b"three").unwrap();
        files.write("x", b"two").unwrap();
        assert_eq!(files.read("x").unwrap(), b"two");
        assert_eq!(files.list().unwrap(), ["x"]);
    }
}

#[test]
fn a_file_that_is_not_committed_leaves_what_was_there() {
    let directory = tempfile::tempdir().unwrap();
    for files in stores(directory.path()) {
        files.write("x", b"one").unwrap();
        let mut replacement = Replacement::new(&*files, "x").unwrap();
        replacement.write_at(2, b"two").unwrap();
        assert_eq!(files.list().unwrap(), ["x", "x.partial"]);
        drop(replacement);
        assert_eq!(files.list().unwrap(), ["x"]);
        assert_eq!(files.read("x").unwrap(), b"one");
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let error = Directory::open_for("--checkpoints", &file.join("out")).unwrap_err().to_string();
    assert!(error.contains("file/out") && error.contains("--checkpoints"), "{error}");
}

#[test]
fn files_are_listed_read_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("folder")).unwrap();
    for files in stores(directory.path()) {
        files.write("b", b"two").unwrap();
        files.write("a", b"one").unwrap();
        assert_eq!(files.list().unwrap(), ["a", "b"]);
        let file = files.open("b").unwrap();
        let mut part = [0; 2];
        file.read_at(1, &mut part).unwrap();
        assert_eq!((file.bytes(), &part), (3, b"wo"));
        let short = file.read_at(2, &mut part).unwrap_err();
        assert_eq!(short.kind(), ErrorKind::UnexpectedEof);
        assert!(short.to_string().contains('b'), "{short}");
        files.remove("b").unwrap();
        files.remove("b").unwrap();
        assert_eq!(files.list().unwrap(), ["a"]);
        let error = files.read("b").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains('b'), "{error}");
    }
}

/// What a killed process left half written is removed with the checkpoint that it was to be.
#[test]
fn older_checkpoints_go_also_where_they_were_never_finished() {
    let files = SimulatedDisk::default();
    for name in ["old", "new", "old.partial", "new.partial"] {
        files.create(name).unwrap();
    }
    remove_checkpoints(&files, &files.list().unwrap(), |name| name == "old");
    assert_eq!(files.list().unwrap(), ["new", "new.partial"]);
}

#[test]
fn a_directory_is_locked_by_one_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let [first, second] = [(); 2].map(|()| Directory::open(directory.path()).unwrap());
    let lock = first.lock().unwrap();
    assert!(lock.is_some() && second.lock().unwrap().is_none());
    drop(lock);
    assert!(second.lock().unwrap().is_some());
    assert!(first.list().unwrap().is_empty(), "nothing lies there for it");
}

/// What checkpoints that failed had left stayed for ever, and filled the disk.
#[test]
fn regression_what_was_never_finished_goes_and_what_is_whole_stays() {
    let files = SimulatedDisk::default();
    let shard = |number| names::shard_file(number, 0, 2);
    let partial = |name: String| format!("{name}.partial");
    let stay = [names::manifest_file(2), shard(2), shard(1), "notes.partial".to_owned()];
    let go = [shard(3), partial(shard(2)), partial(shard(4)), partial(names::manifest_file(3))];
    for name in stay.iter().chain(&go) {
        files.create(name).unwrap();
    }
    remove_unfinished(&files);
    let mut stay = stay.to_vec();
    stay.sort();
    assert_eq!(files.list().unwrap(), stay);
}

/// A full disk that holds a checkpoint is one to go on from.
#[test]
fn regression_a_full_disk_that_holds_a_checkpoint_is_no_reason_to_refuse_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let full = |kind: ErrorKind| {
        Directory::open_probed("--checkpoints", directory.path(), |_| Err(kind.into()))
    };
    let error = full(ErrorKind::StorageFull).unwrap_err().to_string();
    assert!(error.contains("--checkpoints"), "{error}");
    std::fs::write(directory.path().join("notes"), b"").unwrap();
    assert!(full(ErrorKind::StorageFull).is_err(), "nothing to go on from");
    std::fs::write(directory.path().join(names::shard_file(1, 0, 2)), b"").unwrap();
    assert!(full(ErrorKind::StorageFull).is_ok());
    assert!(full(ErrorKind::QuotaExceeded).is_ok());
    assert!(full(ErrorKind::PermissionDenied).is_err());
}

/// Wherever the power fails while a file is replaced, the old or the new one is there, whole.
#[test]
fn a_crash_leaves_the_old_file_or_the_new_one() {
    let (old, new) = (vec![1; 5000], vec![2; 9000]);
    let (mut kept, mut replaced) = (0, 0);
    for seed in 0..400 {
        let files = SimulatedDisk::default();
        files.write("x", &old).unwrap();
        files.fail_after(seed % 8);
        let written = files.write("x", &new);
        files.crash(seed);
        let found = files.read("x").unwrap();
        assert!(found == old || found == new, "seed {seed}");
        assert!(written.is_err() || found == new, "seed {seed}: written and gone");
        *(if found == old { &mut kept } else { &mut replaced }) += 1;
    }
    assert!(kept > 0 && replaced > 0, "{kept} {replaced}");
}

/// The disk does lose and tear: else nothing above would say anything.
#[test]
fn what_is_not_synced_may_be_lost_or_torn() {
    let (mut lost, mut torn, mut whole) = (0, 0, 0);
    for seed in 0..100 {
        let files = SimulatedDisk::default();
        let mut file = files.create("x").unwrap();
        files.sync().unwrap();
        file.write_at(0, &[1; 100]).unwrap();
        files.crash(seed);
        match files.read("x").unwrap().len() {
            0 => lost += 1,
            100 => whole += 1,
            _ => torn += 1,
        }
    }
    assert!(lost > 0 && torn > 0 && whole > 0, "{lost} {torn} {whole}");
}

#[test]
fn a_full_disk_is_said_and_leaves_the_old_file() {
    let files = SimulatedDisk::default();
    files.write("x", &[1; 100]).unwrap();
    files.set_room(Some(150));
    let error = files.write("x", &[2; 100]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!(files.read("x").unwrap(), [1; 100]);
    assert_eq!(files.list().unwrap(), ["x"]);
    files.set_room(None);
    files.write("x", &[2; 100]).unwrap();
}

/// Found by a breaker: on a full disk a master's state was removed, and with it the job.
#[test]
fn regression_a_file_with_a_spare_one_is_written_again_without_new_room() {
    let folder = tempfile::tempdir().unwrap();
    let files = Directory::open(folder.path()).unwrap();
    files.reserve("state", 100_000).unwrap();
    for bytes in [vec![1; 5000], vec![2; 90_000], vec![3; 10]] {
        files.rewrite("state", &bytes).unwrap();
        let read = files.read("state").unwrap();
        assert!(read.starts_with(&bytes) && read[bytes.len()..].iter().all(|byte| *byte == 0));
        files.reserve("state", 100_000).unwrap();
    }
    // The content that came before lies in the spare file, with its room.
    assert_eq!(files.list().unwrap(), ["state", "state.spare"]);
    let spare = std::fs::metadata(folder.path().join("state.spare")).unwrap();
    assert!(std::os::unix::fs::MetadataExt::blocks(&spare) * 512 >= 100_000);
    files.remove("state").unwrap();
    assert_eq!(files.list().unwrap(), [""; 0]);
}
