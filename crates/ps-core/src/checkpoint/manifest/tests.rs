use super::*;
use crate::checkpoint::cursor::{Positions, SourceCursor};
use crate::checkpoint::names::manifest_file;
use crate::correction::Correction;
use crate::data_description::{DataDescription, DataKind};
use crate::keeping::{Keeping, Kept};
use crate::learning::Losses;
use crate::model_config::About;
use crate::parameters::UpdateRule;
use crate::program_samples::ProgramSamples;
use crate::schedule::LearningRate;
use proptest::prelude::*;
use ps_kernels::optimizer::Optimizer;
use std::collections::BTreeMap;

fn keeping() -> Keeping {
    let mut keeping = Keeping::default();
    // A number whose last bit is lost when it is read carelessly.
    keeping.observe(Some(Kept { measure: "loss".into(), value: 0.1 + 0.2, ..Kept::default() }));
    keeping
}

fn settings(optimizer: &str) -> TrainingSettings {
    TrainingSettings {
        optimizer: Optimizer::parse(optimizer, None, None).unwrap(),
        learning_rate: LearningRate::constant(0.5),
        staleness_correction: Correction::Auto,
        staleness_bound: Some(4),
        clip_norm: None,
        passes: 20,
        steps_min: 0,
        batch_size: 32,
        seed: 3,
        wire: crate::settings::Wire::default(),
        pipeline_depth: 0,
        divergence: crate::learning::DivergenceAction::default(),
        freeze: Vec::new(),
        parameter_groups: Vec::new(),
        evaluation: crate::keeping::EvaluationSettings::default(),
    }
}

/// A manifest of so many shards that a job could have written.
fn manifest(shards: u64, number: u64, losses: u32) -> Manifest {
    let tensors = vec![TensorSpec::trainable("b", [7]), TensorSpec::trainable("w", [5, 3])];
    let layout = Layout::new(tensors.clone()).unwrap();
    let about = About { model: Some("mlp".into()), ..About::default() };
    let model = Some(about.description(&layout, &DataDescription::replicated(100)));
    let partition = crate::partition::Partition::new(&layout, 64, shards as u32);
    let file = |shard: u64| File {
        name: names::shard_file(number, shard as u32, shards as u32),
        shard: shard as u32,
        bytes: 1000 + shard,
        crc: 0xdead_beef,
        chunks: partition.run(shard as u32),
    };
    let mut watch = LearningMonitor::new(10);
    assert_eq!(watch.observe(&Losses::of_step(f64::from(losses) / 8.0, 32)), None);
    let source = SourceCursor {
        samples: Some(100),
        next_pass: 3,
        next_position: 40,
        unfinished: vec![Positions { pass: 2, start: 60, end: 100 }],
        samples_done: 300,
        samples_skipped: 0,
    };
    Manifest {
        format: MANIFEST_FORMAT,
        number,
        job: "a \"job\" of ours \u{e9}".into(),
        cut: None,
        tensors,
        chunk_elements: 64,
        files: (0..shards).map(file).collect(),
        state: JobState {
            objective: "regression of label y".into(),
            highest: 4,
            settings: settings("adam"),
            cursor: Cursor {
                sources: BTreeMap::from([(0, source)]),
                passes_over: 2,
                kind: DataKind::Replicated,
                losses: BTreeMap::from([(2, Losses::of_step(0.25, 60))]),
            },
            samples_done: 290,
            passes: vec![PassReport { pass: 1, train_loss: Some(1.5), ..PassReport::default() }],
            learning: watch,
            seconds: 12.5,
            began: 1_753_000_000_000,
            keeping: keeping(),
            servers_went_back: vec![WentBack { shard: 1, ..WentBack::default() }],
            programs: ProgramSamples::default(),
        },
        model,
    }
}

#[test]
fn an_unknown_format_is_refused_before_its_content() {
    let text = manifest(2, 7, 3).encode().unwrap();
    let (_, rest) = text.split_once(AFTER_CRC).unwrap();
    let rest = rest.replace("\"format\": 4", "\"format\": 5").replace("\"files\"", "\"shards\"");
    let crc = crc32fast::hash(rest.as_bytes());
    let text = format!("{BEFORE_CRC}{crc:08x}{AFTER_CRC}{rest}");
    let error = Manifest::decode(&manifest_file(7), text.as_bytes()).unwrap_err();
    assert_eq!(error, ManifestError::Format { name: manifest_file(7), found: 5 });
}

/// The sentence says which version reads an older one.
#[test]
fn an_older_format_is_refused_with_the_version_that_reads_it() {
    let versions = [
        (1, "psrun 0.1"),
        (2, "before 0.2.0"),
        (3, "another order of samples"),
        (5, "a later version"),
    ];
    for (found, reader) in versions {
        let error = ManifestError::Format { name: manifest_file(7), found }.to_string();
        assert!(error.contains(reader) && error.contains("--checkpoints"), "{error}");
    }
}

/// Checkpoints of before manifests described the model have none.
#[test]
fn a_manifest_that_describes_no_model_is_read() {
    let manifest = Manifest { model: None, ..manifest(2, 7, 3) };
    let text = manifest.encode().unwrap();
    assert!(!text.contains("\"model\""), "{text}");
    assert_eq!(Manifest::decode(&manifest_file(7), text.as_bytes()), Ok(manifest));
}

/// Checkpoints of before there were pipelines say nothing of them.
#[test]
fn settings_without_a_pipeline_are_read() {
    let text = serde_json::to_string(&TrainingSettings { pipeline_depth: 2, ..settings("sgd") });
    let before = text.unwrap().replace(",\"pipeline_depth\":2", "");
    assert!(!before.contains("pipeline"), "{before}");
    let read: TrainingSettings = serde_json::from_str(&before).unwrap();
    assert_eq!(read, settings("sgd"));
}

#[test]
fn a_manifest_under_another_number_is_refused() {
    let text = manifest(1, 7, 3).encode().unwrap();
    let error = Manifest::decode(&manifest_file(8), text.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("checkpoint 7"), "{error}");
}

#[test]
fn what_cannot_be_is_not_written() {
    let wrong = |change: fn(&mut Manifest)| {
        let mut manifest = manifest(3, 7, 3);
        change(&mut manifest);
        manifest.encode().unwrap_err().to_string()
    };
    assert!(wrong(|m| m.files.clear()).contains("0 files"));
    assert!(wrong(|m| drop(m.files.pop())).contains("name"));
    assert!(wrong(|m| m.files.swap(0, 1)).contains("-shard-0-of-3"));
    assert!(wrong(|m| m.files[1].chunks.end += 1).contains("chunks"));
    assert!(wrong(|m| m.files[0].name = "../../etc/x".into()).contains("etc"));
    assert!(wrong(|m| m.tensors.clear()).contains("no elements"));
    assert!(wrong(|m| m.state.settings.passes = 0).contains("--passes"));
    assert!(wrong(|m| m.model.as_mut().unwrap().config.tensors.clear()).contains("other tensors"));
    assert!(wrong(|m| m.state.seconds = f64::INFINITY).contains("not as written"));
}

#[test]
fn another_optimizer_or_order_of_samples_is_refused_in_words() {
    let manifest = manifest(3, 7, 3);
    let spec = manifest.spec(&settings("adam"), 2).unwrap();
    assert_eq!((spec.shards, spec.layout.elements()), (2, 22));
    let error = manifest.spec(&settings("sgd"), 2).unwrap_err();
    assert!(error.contains("Adam") && error.contains("Sgd"), "{error}");
    let other = TrainingSettings { seed: 4, passes: 90, ..settings("adam") };
    let error = manifest.spec(&other, 2).unwrap_err();
    assert!(error.contains("--seed 3"), "{error}");
}

/// A script's optimizer is not the one of its job's options: its checkpoints said so, and could not be used.
#[test]
fn regression_a_programs_checkpoint_has_the_optimizer_that_the_servers_have() {
    let mut manifest = manifest(3, 7, 3);
    manifest.state.cursor.kind = DataKind::Program;
    let mut held = settings("sgd").model_spec(&manifest.layout().unwrap(), 3);
    let rule = UpdateRule { learning_rate_scale: 0.5, weight_decay: None };
    held.rules = vec![UpdateRule::default(), rule];
    let known = settings("adam").as_held(&held);
    assert_eq!(known.parameter_groups.len(), 1);
    manifest.state.settings = known;
    assert_eq!(manifest.own_spec().unwrap().optimizer, held.optimizer);
    let spec = manifest.spec(&settings("adam"), 2).unwrap();
    assert_eq!((spec.optimizer, spec.rules), (held.optimizer, held.rules));
    // Of another job's options nothing is changed.
    let same = settings("adam").model_spec(&manifest.layout().unwrap(), 3);
    assert_eq!(settings("adam").as_held(&same), settings("adam"));
}

/// Checkpoints of versions that knew only f32 say nothing of encodings.
#[test]
fn settings_without_encodings_are_those_of_f32() {
    let mut settings = settings("adam");
    let mut json = serde_json::to_value(&settings).unwrap();
    json.as_object_mut().unwrap().remove("wire").unwrap();
    assert_eq!(serde_json::from_value::<TrainingSettings>(json).unwrap(), settings);
    settings.wire.push = ps_kernels::encoding::Encoding::Bf16;
    settings.wire.top_k = Some(0.5);
    let json = serde_json::to_value(&settings).unwrap();
    assert_eq!(json["wire"]["push"], "bf16");
    assert_eq!(serde_json::from_value::<TrainingSettings>(json).unwrap(), settings);
}

/// Each bit, and each length near to the right one.
#[test]
fn every_flipped_bit_is_found_and_the_file_named() {
    let name = manifest_file(7);
    let text = manifest(2, 7, 1).encode().unwrap().into_bytes();
    let expect_named = |bytes: &[u8], what: &str| {
        let error = Manifest::decode(&name, bytes).unwrap_err().to_string();
        assert!(error.contains(&name), "{what}: {error}");
    };
    for bit in 0..text.len() * 8 {
        let mut flipped = text.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        expect_named(&flipped, &format!("bit {bit}"));
    }
    expect_named(&text[..text.len() - 1], "cut");
    expect_named(&[&text[..], b"\n"].concat(), "continued");
}

proptest! {
    #[test]
    fn what_is_written_is_read(shards in 1_u64..30, number in 0_u64..2_000_000, losses in 0_u32..90) {
        let manifest = manifest(shards, number, losses);
        let text = manifest.encode().unwrap();
        let read = Manifest::decode(&manifest_file(number), text.as_bytes());
        prop_assert_eq!(read, Ok(manifest));
    }

    #[test]
    fn no_damage_goes_unnoticed(
        cut in 0_usize..4000, at in 0_usize..4000, bit in 0_u32..8, shards in 1_u64..4,
    ) {
        let name = manifest_file(7);
        let text = manifest(shards, 7, 5).encode().unwrap().into_bytes();
        let cut = cut % text.len();
        prop_assert!(Manifest::decode(&name, &text[..cut]).is_err(), "cut at {}", cut);
        let mut flipped = text.clone();
        let at = at % text.len();
        flipped[at] ^= 1 << bit;
        prop_assert!(Manifest::decode(&name, &flipped).is_err(), "flipped at {}", at);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Manifest::decode(&manifest_file(1), &bytes).is_err());
    }
}
