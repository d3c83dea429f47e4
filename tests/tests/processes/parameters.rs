//! Parameters that are trained otherwise than the rest: frozen ones, and groups with a rate or decay of their own.

use ps_core::TensorSpec;
use ps_core::model_spec::ModelSpec;
use ps_core::parameters::UpdateRule;
use ps_proto::{PROTOCOL, v1};
use ps_tests::loopback::{JOB, Server, bytes, model_of, push};
use ps_tests::process::{Process, alone, job_id};
use std::path::Path;
use std::time::Duration;

/// Longer than any of these jobs takes on two slow cores.
const PATIENCE: Duration = Duration::from_secs(90);
/// What is wrong from the start is said at the start.
const SOON: Duration = Duration::from_secs(20);

/// `a` of 3 elements, `b` of 2, which lie in one chunk.
fn grouped(rule: UpdateRule) -> ModelSpec {
    let tensors = vec![TensorSpec::trainable("a", [3]), TensorSpec::trainable("b", [2])];
    ModelSpec { rules: vec![UpdateRule::default(), rule], ..model_of(tensors) }
}

#[tokio::test]
async fn tensors_of_one_chunk_have_rates_of_their_own() {
    for (scale, expected) in [(0.5, -0.5), (0.0, 0.0), (2.0, -2.0)] {
        let server = Server::start(0).await.unwrap();
        let rule = UpdateRule { learning_rate_scale: scale, weight_decay: None };
        server.init_model(&grouped(rule)).await.unwrap();
        server.push(vec![push(0, &[1.0; 5])]).await.unwrap();
        let weights = server.weights().await.unwrap();
        assert_eq!(weights, [-1.0, -1.0, -1.0, expected, expected]);
    }
}

#[tokio::test]
async fn tensors_of_one_chunk_have_decays_of_their_own() {
    let server = Server::start(0).await.unwrap();
    let rule = UpdateRule { learning_rate_scale: 1.0, weight_decay: Some(0.25) };
    server.init_model(&grouped(rule)).await.unwrap();
    server.push(vec![push(0, &[-4.0; 5])]).await.unwrap();
    server.push(vec![push(1, &[0.0; 5])]).await.unwrap();
    // The rate is 1: a push leaves 0.75 of what decays.
    assert_eq!(server.weights().await.unwrap(), [4.0, 4.0, 4.0, 3.0, 3.0]);
}

#[tokio::test]
async fn another_groups_settings_are_another_model() {
    let server = Server::start(0).await.unwrap();
    let rule = |scale| UpdateRule { learning_rate_scale: scale, weight_decay: None };
    server.init_model(&grouped(rule(0.5))).await.unwrap();
    server.init_model(&grouped(rule(0.5))).await.unwrap();
    let error = server.init_model(&grouped(rule(0.25))).await.unwrap_err();
    let expected = "the group of `b` is lr-scale=0.25 here and lr-scale=0.5 on the servers";
    assert!(error.message().contains(expected), "{error}");
}

/// The chunks that a pull brings, with their versions.
async fn pulled(server: &Server, has_start: bool) -> Vec<(u32, u32, u64)> {
    let request = v1::PullRequest {
        job: JOB.into(),
        protocol: PROTOCOL,
        encoding: v1::Encoding::F32.into(),
        has_start,
        ..Default::default()
    };
    let mut messages = server.data().pull(request).await.unwrap().into_inner();
    let mut chunks = Vec::new();
    while let Some(message) = messages.message().await.unwrap() {
        chunks.extend(message.chunks.iter().map(|run| (run.index, run.chunks.max(1), run.version)));
    }
    chunks
}

#[tokio::test]
async fn who_has_the_start_is_not_sent_it_again() {
    let server = Server::start(0).await.unwrap();
    let model = model_of(vec![TensorSpec::trainable("a", [64]), TensorSpec::trainable("b", [64])]);
    server.init_model(&ModelSpec { chunk_elements: 64, ..model }).await.unwrap();
    assert_eq!(pulled(&server, false).await, [(0, 2, 0)]);
    assert_eq!(pulled(&server, true).await, []);
    let values = bytes(&[1.0; 64]);
    let chunk = v1::ChunkPayload { index: 1, values, ..Default::default() };
    let mut one = push(0, &[]);
    one.header.as_mut().unwrap().chunks_total = 1;
    server.push(vec![v1::PushMessage { chunks: vec![chunk], ..one }]).await.unwrap();
    assert_eq!(pulled(&server, true).await, [(1, 1, 1)]);
    assert_eq!(pulled(&server, false).await, [(0, 1, 0), (1, 1, 1)]);
}

/// A job on the bundled digits: its tensors, and the bytes that each step of its workers pushed and pulled.
struct Run {
    tensors: Vec<(String, Vec<u8>)>,
    pushed: f64,
    pulled: f64,
}

fn run(options: &[&str]) -> Run {
    let out = tempfile::tempdir().unwrap();
    let args =
        [&["local", "--passes", "2", "--out", out.path().to_str().unwrap()], options].concat();
    let mut psrun = Process::start(&job_id("parameters"), &args);
    psrun.wait(PATIENCE).expect_code(0);
    psrun.expect_nobody_left(Duration::ZERO);
    let report = std::fs::read_to_string(out.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let workers = report["workers"].as_object().unwrap().values();
    let sum = |name: &str| {
        workers.clone().map(|worker| worker["counters"][name].as_f64().unwrap()).sum::<f64>()
    };
    let each = |name: &str| sum(name) / sum("steps");
    Run { tensors: tensors(out.path()), pushed: each("bytes_pushed"), pulled: each("bytes_pulled") }
}

fn tensors(out: &Path) -> Vec<(String, Vec<u8>)> {
    let bytes = std::fs::read(out.join("model.safetensors")).unwrap();
    let model = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<_> =
        model.iter().map(|(name, tensor)| (name.to_owned(), tensor.data().to_vec())).collect();
    tensors.sort();
    tensors
}

#[test]
fn frozen_parameters_stay_what_they_are_and_do_not_travel() {
    let _alone = alone();
    let all = run(&["--instances", "3"]);
    let frozen = run(&["--instances", "3", "--freeze", "layer2.*"]);
    // A rate of zero leaves the start, too, but for what travels.
    let still = run(&["--instances", "3", "--parameter-groups", "layer2.*:lr-scale=0"]);
    let mut seen = 0;
    for (((name, trained), (_, kept)), (_, start)) in
        all.tensors.iter().zip(&frozen.tensors).zip(&still.tensors)
    {
        let is_frozen = name.starts_with("layer2.");
        assert_eq!(kept == start, is_frozen, "{name}");
        assert_ne!(trained, kept, "{name}");
        seen += usize::from(is_frozen);
    }
    assert_eq!(seen, 2);
    // The second layer is most of the model.
    assert!(frozen.pushed < 0.5 * all.pushed, "{} of {}", frozen.pushed, all.pushed);
    assert!(frozen.pulled < 0.5 * all.pulled, "{} of {}", frozen.pulled, all.pulled);
    assert!(still.pushed > 0.9 * all.pushed, "{} of {}", still.pushed, all.pushed);
}

#[test]
fn patterns_that_cannot_be_meant_end_the_job_with_the_reason() {
    let _alone = alone();
    for (options, expected) in [
        (["--freeze", "layer9.*"], "no parameter's name matches `layer9.*`"),
        (["--freeze", "*"], "every parameter of the model is frozen"),
        (["--freeze", "**"], "every parameter of the model is frozen"),
        (["--parameter-groups", "bias:lr-scale=2"], "no parameter's name matches `bias`"),
    ] {
        let out = tempfile::tempdir().unwrap();
        let folder = out.path().join("run");
        // Nobody is waited for until its lease is over.
        let args = ["local", "--lease-ms", "60000", "--out", folder.to_str().unwrap()];
        let mut psrun = Process::start(&job_id("patterns"), &[&args[..], &options].concat());
        let end = psrun.wait(SOON);
        end.expect_code(1);
        psrun.expect_nobody_left(Duration::ZERO);
        let last = end.stderr.lines().last().unwrap();
        assert!(last.contains("cannot build the model") && last.contains(expected), "{last}");
        assert!(!folder.join("model.safetensors").exists(), "a model that was not trained");
    }
}
