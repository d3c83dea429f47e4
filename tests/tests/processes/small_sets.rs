//! A few rows are a few steps a pass: whatever their losses do, chance ends no job.

use ps_tests::process::{Process, alone, job_id};
use std::path::Path;
use std::time::Duration;

/// Longer than any of these jobs takes on two slow cores.
const PATIENCE: Duration = Duration::from_secs(60);

/// So many rows of three columns that say, with some noise, which of three classes a row is of.
fn rows(count: u64, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % 1000) as f64 / 1000.0
    };
    let mut text = "width,height,weight,kind\n".to_owned();
    for row in 0..count {
        let kind = row % 3;
        let center = kind as f64;
        let (a, b, c) = (center + noise(), 20.0 - 2.0 * center + 3.0 * noise(), 100.0 * noise());
        text.push_str(&format!("{a:.2},{b:.2},{c:.1},{kind}\n"));
    }
    text
}

fn train(folder: &Path, seed: u64) -> ps_tests::process::Finished {
    let (data, out, seed) = (folder.join("data"), folder.join("out"), seed.to_string());
    let (data, out) = (data.to_str().unwrap(), out.to_str().unwrap());
    let args = ["local", "--instances", "3", "--data", data, "--seed", &seed, "--out", out];
    let mut psrun = Process::start(&job_id("small"), &args);
    psrun.wait(PATIENCE)
}

/// Modelled on keras-team/keras#508.
#[test]
fn a_few_rows_are_trained_on_whatever_the_seed() {
    let _alone = alone();
    for count in [20, 150] {
        for seed in 1..=4 {
            let folder = tempfile::tempdir().unwrap();
            let data = folder.path().join("data");
            std::fs::create_dir(&data).unwrap();
            std::fs::write(data.join("train.csv"), rows(count, 1)).unwrap();
            std::fs::write(data.join("test.csv"), rows(60, 2)).unwrap();
            let end = train(folder.path(), seed);
            end.expect_code(0);
            let accuracy = end.metric("final_test_accuracy").unwrap();
            assert!(count < 150 || accuracy > 0.8, "seed {seed}: {accuracy}");
        }
    }
}
