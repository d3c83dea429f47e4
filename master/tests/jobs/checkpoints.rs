//! Checkpoints as the master writes and finds them; the shards are fakes that share its folder.
use crate::common::{Job, settings, work_to_the_end};
use ps_core::checkpoint::{Manifest, names};
use ps_core::ids::LIFE_DISTANCE;
use ps_core::report::Report;
use ps_core::settings::TrainingSettings;
use ps_kernels::optimizer::Optimizer;
use ps_proto::v1::Role;
use ps_runtime::files::{FileStore, SimulatedDisk};
use std::time::Duration;

const FAST: Duration = Duration::from_millis(1);

/// Ends of a job: its master's, and its report.
type End = (Result<u8, String>, Report);

/// Runs a whole job with one worker; what each shard restored, and how it ended.
async fn run(
    servers: u32,
    settings: TrainingSettings,
    folder: &SimulatedDisk,
) -> (Vec<Vec<(u64, u64)>>, End) {
    let job = Job::go_on(servers, settings, folder).await;
    // Before the servers: with them there a job that cannot go on is over at once.
    let worker = job.member(Role::Worker, 101, None).await.unwrap();
    let mut shards = Vec::new();
    for shard in 0..servers {
        shards.push(job.server(shard, servers).await.0);
    }
    // A worker that asks once more after the end is told nothing.
    let _ = tokio::spawn(work_to_the_end(worker, FAST)).await;
    let ended = job.master.await.unwrap().map_err(|error| error.to_string());
    let report = serde_json::from_slice(&job.files.content("report.json").unwrap()).unwrap();
    let restored = shards.iter().map(|shard| shard.restored.lock().unwrap().clone()).collect();
    (restored, (ended, report))
}

fn manifest(folder: &SimulatedDisk, number: u64) -> Manifest {
    let name = names::manifest_file(number);
    Manifest::decode(&name, &folder.content(&name).unwrap()).unwrap()
}

fn damage(folder: &SimulatedDisk, number: u64) {
    let name = names::manifest_file(number);
    let mut bytes = folder.content(&name).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    folder.write(&name, &bytes).unwrap();
}

/// A folder with checkpoints 2 and 3 of a job of three passes.
async fn three_passes() -> SimulatedDisk {
    let folder = SimulatedDisk::default();
    folder.write("checkpoint-notes.txt", b"mine").unwrap();
    let (restored, (ended, report)) = run(2, settings(3), &folder).await;
    assert_eq!((ended, report.checkpoint), (Ok(0), Some(3)));
    assert_eq!(restored, [[], []]);
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn the_two_newest_are_kept_and_foreign_files_stay() {
    let folder = three_passes().await;
    let expected = [
        "checkpoint-000002-shard-0-of-2.safetensors",
        "checkpoint-000002-shard-1-of-2.safetensors",
        "checkpoint-000002.manifest.json",
        "checkpoint-000003-shard-0-of-2.safetensors",
        "checkpoint-000003-shard-1-of-2.safetensors",
        "checkpoint-000003.manifest.json",
        "checkpoint-notes.txt",
    ];
    assert_eq!(folder.list().unwrap(), expected);
    let newest = manifest(&folder, 3);
    assert_eq!(newest.state.passes.len(), 3);
    assert_eq!(newest.files.len(), 2);
    assert_eq!(newest.layout().unwrap(), crate::common::layout());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_on_from_the_newest_on_any_number_of_servers() {
    let folder = three_passes().await;
    let before = manifest(&folder, 3);
    let (restored, (ended, report)) = run(3, settings(5), &folder).await;
    assert_eq!(ended, Ok(0));
    // The first life began less than its distance ago.
    let epoch = before.state.highest + LIFE_DISTANCE;
    assert_eq!(restored, vec![vec![(3, epoch)]; 3]);
    assert_eq!(report.resumed.unwrap().passes, 3);
    let passes: Vec<u64> = report.passes.iter().map(|pass| pass.pass).collect();
    assert_eq!(passes, [1, 2, 3, 4, 5]);
    assert_eq!(report.workers[&0].counters.steps, 0, "of this life only");
    // A third life will be above the second, and the next checkpoint is a newer one.
    assert!(manifest(&folder, 5).state.highest >= epoch);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_life_without_a_checkpoint_still_leaves_its_epoch_behind() {
    let folder = three_passes().await;
    for life in 1..3 {
        let before = manifest(&folder, 3).state.highest;
        let (restored, (ended, _)) = run(2, settings(3), &folder).await;
        assert_eq!(ended, Ok(0), "nothing was left to train");
        assert_eq!(restored[0], [(3, before + LIFE_DISTANCE)], "life {life}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_shard_or_a_damaged_manifest_leads_to_the_older_one() {
    for missing in [true, false] {
        let folder = three_passes().await;
        if missing {
            folder.remove(&names::shard_file(3, 1, 2)).unwrap();
        } else {
            damage(&folder, 3);
        }
        let (restored, (ended, report)) = run(2, settings(3), &folder).await;
        assert_eq!((ended, report.resumed.unwrap().checkpoint), (Ok(0), 2));
        assert_eq!(restored[0][0].0, 2);
        assert_eq!(report.passes.len(), 3);
        assert_eq!(report.checkpoint, Some(4), "a number that nobody had");
        let kept = folder.list().unwrap();
        let kept = kept.iter().filter_map(|name| names::parse_manifest_file(name));
        assert_eq!(kept.collect::<Vec<_>>(), [2, 4]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_that_cannot_be_used_stop_the_job_with_the_reason() {
    let folder = three_passes().await;
    damage(&folder, 2);
    folder.remove(&names::shard_file(3, 1, 2)).unwrap();
    let (restored, (ended, _)) = run(2, settings(3), &folder).await;
    let error = ended.unwrap_err();
    for words in ["none of the 2", "checkpoint 3", "shard-1-of-2", "missing", "--checkpoints"] {
        assert!(error.contains(words), "{words} in {error}");
    }
    assert_eq!(restored, [[], []]);
    let kept = folder.list().unwrap();
    assert!(kept.contains(&names::manifest_file(3)), "nothing is thrown away: {kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_optimizer_is_refused_and_does_not_lead_to_an_older_one() {
    let folder = three_passes().await;
    let optimizer = Optimizer::parse("adam", None, None).unwrap();
    let (_, (ended, _)) = run(2, TrainingSettings { optimizer, ..settings(9) }, &folder).await;
    let error = ended.unwrap_err();
    assert!(error.contains("checkpoint 3") && error.contains("Adam"), "{error}");
}
