//! `psrun replay` on the journals of real jobs, whose servers were killed or had written their shards whole again: the weights
//! bit for bit, the push that went wrong by name, and what is damaged by file and byte.

use ps_core::safetensors_file;
use ps_tests::process::{Finished, Process, alone, job_id, metrics, psrun, signal, wait_until};
use rustix::process::Signal;
use std::path::{Path, PathBuf};
use std::time::Duration;

const START: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(300);
const SOON: Duration = Duration::from_secs(20);

/// A job that keeps its journals, and where its files are.
struct Kept(tempfile::TempDir);

impl Kept {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// A job that writes to this folder.
    fn start(&self, out: &str, options: &[&str]) -> Process {
        let out = self.text(out);
        let common = ["local", "--durability", "wal", "--keep-journal", "--out", &out];
        Process::start(&job_id("replay"), &[&common[..], options].concat())
    }

    fn run(&self, out: &str, options: &[&str]) -> Finished {
        self.start(out, options).wait(PATIENCE)
    }

    /// Replays the journals in this folder.
    fn replay(&self, journals: &str, options: &[&str]) -> Finished {
        let folder = self.text(journals);
        Process::start("", &[&["replay", &folder], options].concat()).wait(PATIENCE)
    }

    /// Replays the journals of the job that wrote to `out`, from the first and the last time that its shards were written
    /// whole: both times its model, bit for bit.
    fn expect_same_model(&self, out: &str) -> Finished {
        let journals = format!("{out}/journal");
        let [first, last] = [self.text("first.safetensors"), self.text("last.safetensors")];
        let replayed = self.replay(&journals, &["--overwrite", "--out", &first]);
        replayed.expect_code(0);
        let from_newest = ["--from", "newest", "--overwrite", "--out", &last];
        self.replay(&journals, &from_newest).expect_code(0);
        let model = tensors(&self.path(out).join("model.safetensors"));
        assert!(model.len() > 2, "{}", model.len());
        assert_eq!(tensors(Path::new(&first)), model);
        assert_eq!(tensors(Path::new(&last)), model);
        replayed
    }
}

/// Name, shape and bytes of each tensor of a model.
fn tensors(path: &Path) -> Vec<(String, Vec<usize>, Vec<u8>)> {
    let bytes = std::fs::read(path).unwrap();
    let archive = safetensors_file::open(&bytes).unwrap();
    let tensors = archive.tensors.tensors().into_iter();
    let mut all: Vec<_> = tensors
        .map(|(name, tensor)| (name, tensor.shape().to_vec(), tensor.data().to_vec()))
        .collect();
    all.sort();
    all
}

/// The files of a server's journal whose names end so, in order.
fn files(shard: &Path, end: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(shard).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with(end)).collect();
    files.sort();
    files
}

/// Copies a folder of journals.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true => copy(&path, &to),
            false => drop(std::fs::copy(&path, &to).unwrap()),
        }
    }
}

#[test]
fn a_job_whose_servers_were_killed_is_replayed_and_what_is_damaged_is_named() {
    let _alone = alone();
    let kept = Kept::new();
    let mut job = kept.start("job", &["--instances", "3", "--passes", "20"]);
    job.wait_for_stdout("pass=1;", START);
    // While a job has them, they are no files to read.
    kept.replay("job/journal", &[]).expect_code(1).expect_stderr(&["a server writes there"]);
    let server = |shard: u32| job.find(&["ps-server", &format!("--shard={shard}")]);
    for shard in 0..3 {
        signal(server(shard), Signal::KILL);
        job.wait_for_stderr(&format!("server shard {shard} was started again"), SOON);
    }
    let all = [0, 1, 2].map(server);
    all.iter().for_each(|pid| signal(*pid, Signal::KILL));
    wait_until(SOON, || job.stderr().matches("was started again at").count() >= 6);
    let end = job.wait(PATIENCE);
    end.expect_code(0).expect_stderr(&["the journals are kept in", "next: psrun replay"]);
    let replayed = kept.expect_same_model("job");
    assert!(replayed.stdout.contains("ended=true;"), "{}", replayed.stdout);
    assert!(replayed.stdout.contains("shards=3; torn=0;"), "{}", replayed.stdout);
    // Each shard has each push.
    let pushes = metrics(&replayed.stdout, "pushes");
    assert_eq!(pushes.len(), 3);
    assert!(pushes.iter().all(|found| *found == pushes[0] && *found > 500.0), "{pushes:?}");
    // The segments of six processes.
    assert!(files(&kept.path("job/journal/shard-0"), ".log").len() >= 4);
    the_next_job_is_told_whose_they_are(&kept);
    damage_is_named(&kept);
}

fn the_next_job_is_told_whose_they_are(kept: &Kept) {
    let refused = kept.run("job", &["--passes", "1"]);
    refused.expect_code(1).expect_stderr(&[
        "the journal of job test-replay",
        "which has ended and kept it",
        "psrun replay",
    ]);
    kept.run("another", &["--passes", "1"]).expect_code(0);
    let server = ["ps-server", "--shard=0", "--durability=wal", "--listen", "127.0.0.1:0"];
    let journal = kept.text("another/journal");
    let (_, name) = kept.job_of("another");
    let mut server = Process::start(&name, &[&server[..], &["--journal", &journal]].concat());
    server.wait(SOON).expect_code(1).expect_stderr(&["has ended and kept it", "psrun replay"]);
}

impl Kept {
    /// The first base of a job's journals, and the job that it names.
    fn job_of(&self, out: &str) -> (PathBuf, String) {
        let base = files(&self.path(out).join("journal/shard-0"), ".json").remove(0);
        let text = std::fs::read_to_string(&base).unwrap();
        let name = text.split("\"job\": \"").nth(1).unwrap().split('"').next().unwrap();
        (base, name.to_owned())
    }
}

fn damage_is_named(kept: &Kept) {
    let whole = kept.path("job/journal");
    let expect = |break_it: &dyn Fn(&Path), words: &[&str]| {
        let _ = std::fs::remove_dir_all(kept.path("broken"));
        copy(&whole, &kept.path("broken"));
        break_it(&kept.path("broken"));
        kept.replay("broken", &["--out", &kept.text("broken.safetensors")])
            .expect_code(1)
            .expect_stderr(words);
        assert!(!kept.path("broken.safetensors").exists(), "{words:?}");
    };
    let log = |folder: &Path, place: usize| files(&folder.join("shard-1"), ".log").remove(place);
    let flip = |path: &Path, at: usize| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[at] ^= 4;
        std::fs::write(path, &bytes).unwrap();
    };
    // The first segment that follows the base: what is before it does not count.
    expect(&|it| flip(&log(it, 1), 2000), &["shard-1", "journal-000002.log, byte"]);
    let last = |it: &Path| files(&it.join("shard-1"), ".log").pop().unwrap();
    // A crash may tear a last batch: of a job that was over, it was changed.
    let in_last_batch = |it: &Path| {
        let path = last(it);
        flip(&path, std::fs::metadata(&path).unwrap().len() as usize - 9);
    };
    expect(&in_last_batch, &["shard-1", "bytes that count at the end", ".log, byte"]);
    expect(
        &|it| std::fs::remove_file(last(it)).unwrap(),
        &["is missing", "the journal ends with it"],
    );
    expect(&|it| std::fs::remove_file(log(it, 2)).unwrap(), &["journal-000003.log is missing"]);
    expect(
        &|it| std::fs::remove_dir_all(it.join("shard-1")).unwrap(),
        &["3 servers", "shard-1 is missing"],
    );
    let base = |it: &Path| files(&it.join("shard-2"), ".json").remove(0);
    expect(&|it| flip(&base(it), 300), &["shard-2", "base-", "damaged or cut short"]);
    let values = |it: &Path| files(&it.join("shard-2"), ".safetensors").remove(0);
    expect(&|it| flip(&values(it), 5000), &["shard-2", ".safetensors"]);
    let of_another = |it: &Path| {
        std::fs::remove_dir_all(it.join("shard-2")).unwrap();
        copy(&kept.path("another/journal/shard-2"), &it.join("shard-2"));
    };
    expect(&of_another, &["shard-2: it is of job", "belong in one folder"]);
    let renamed = |it: &Path| {
        std::fs::rename(it.join("shard-2"), it.join("2")).unwrap();
        std::fs::rename(it.join("shard-1"), it.join("shard-2")).unwrap();
        std::fs::rename(it.join("2"), it.join("shard-1")).unwrap();
    };
    expect(&renamed, &["expected that of shard 1"]);
    kept.replay("job", &[])
        .expect_code(1)
        .expect_stderr(&["no journals are in it", "job/journal meant?"]);
    kept.replay("job/journal/shard-0", &[]).expect_code(1).expect_stderr(&["of one server"]);
    kept.replay("nowhere", &[]).expect_code(1).expect_stderr(&["nowhere"]);
}

/// What a newer base makes superfluous is kept, too, and each base is a moment of the same course.
#[test]
fn shards_that_were_written_whole_again_are_replayed_from_their_start() {
    let _alone = alone();
    let kept = Kept::new();
    // A megabyte for each push: a shard is written whole again after 64 of them.
    let end = kept.run("job", &["--instances", "1", "--hidden", "512,512", "--passes", "8"]);
    end.expect_code(0);
    let shard = kept.path("job/journal/shard-0");
    let bases = files(&shard, ".json").len() - 1;
    assert!(bases >= 4, "{bases} bases and an end");
    assert!(files(&shard, ".log").len() > bases, "{:?}", files(&shard, ".log"));
    let replayed = kept.expect_same_model("job");
    assert!(replayed.metric("replayed_pushes").unwrap() >= 8.0 * 44.0, "{}", replayed.stdout);
}

/// One worker with a rate that no model survives: its first push makes weights of 1e28, and its second is no number.
#[test]
fn the_push_that_went_wrong_is_named() {
    let _alone = alone();
    let kept = Kept::new();
    let options = ["--instances", "1", "--lr", "1e30", "--divergence", "off", "--passes", "2"];
    kept.run("job", &options);
    let replayed = kept.replay("job/journal", &[]);
    replayed
        .expect_code(0)
        .expect_stderr(&["the first push that was not finite: worker 0, clock 1"]);
    let is = |name: &str, value: f64| {
        assert_eq!(replayed.metric(name), Some(value), "{name}: {}", replayed.stdout);
    };
    for of in ["first_nonfinite", "loss_jump"] {
        is(&format!("{of}_worker"), 0.0);
        is(&format!("{of}_clock"), 1.0);
        is(&format!("{of}_staleness"), 0.0);
        is(&format!("{of}_after_worker"), 0.0);
        is(&format!("{of}_after_clock"), 0.0);
        assert!(
            replayed.metric(&format!("{of}_after_change")).unwrap() > 1e20,
            "{}",
            replayed.stdout
        );
        let before = replayed.metric(&format!("{of}_after_loss")).unwrap();
        assert!((1.0..5.0).contains(&before), "the loss of the start: {before}");
    }
    assert!(replayed.metric("refused_chunks").unwrap() > 0.0);
    assert!(replayed.stdout.contains("first_nonfinite_tensors="), "{}", replayed.stdout);
}

/// Where training goes well nothing is named, and what went on from a checkpoint is replayed from there.
#[test]
fn a_job_that_went_on_from_a_checkpoint_is_replayed_from_it() {
    let _alone = alone();
    let kept = Kept::new();
    let checkpoints = kept.text("checkpoints");
    let with = |passes: &'static str| {
        ["--instances", "2", "--passes", passes, "--checkpoints", &checkpoints]
    };
    kept.run("first", &with("3")).expect_code(0);
    let from_start = kept.expect_same_model("first");
    from_start.expect_stderr(&["which began with the start weights"]);
    kept.run("second", &with("6")).expect_code(0);
    let replayed = kept.expect_same_model("second");
    replayed.expect_stderr(&["which began with checkpoint"]);
    for well in [&from_start, &replayed] {
        assert!(!well.stdout.contains("first_nonfinite"), "{}", well.stdout);
        assert!(!well.stdout.contains("loss_jump"), "{}", well.stdout);
    }
}

#[test]
fn what_is_kept_needs_a_journal() {
    let _alone = alone();
    for line in [&["local", "--keep-journal"][..], &["ps-server", "--shard=0", "--keep-journal"]] {
        Process::start("", line)
            .wait(SOON)
            .expect_code(64)
            .expect_stderr(&["--keep-journal", "--durability wal"]);
    }
    // What a container has in its temporary folder is gone with it.
    let base = tempfile::tempdir().unwrap();
    let variables = [
        ("SM_HOSTS", "[\"algo-1\"]"),
        ("SM_CURRENT_HOST", "algo-1"),
        ("SAGEMAKER_BASE_DIR", base.path().to_str().unwrap()),
    ];
    let train = ["train", "--dry-run", "--durability", "wal", "--keep-journal"];
    let host = |more: &[&str]| {
        let args = [&train[..], more].concat();
        Process::start_program(psrun(), "", &args, &variables).wait(SOON)
    };
    host(&[]).expect_code(64).expect_stderr(&["--keep-journal", "--journal DIR"]);
    let shown = host(&["--journal", "/kept"]);
    shown.expect_code(0);
    let server = shown.stdout.lines().find(|line| line.starts_with("server 0:")).unwrap();
    assert!(server.contains("--keep-journal") && server.contains("--journal=/kept"), "{server}");
}
