//! A trained model on data of the program's own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use clap::Parser;
use ps_core::model_config::About;
use ps_core::model_file::{MODEL_FILE, to_safetensors};
use ps_core::schema::{IdColumn, Schema};
use ps_core::{DataDescription, DataKind};
use ps_data::{Dataset, Features, Samples};
use ps_worker::compute::Compute;
use ps_worker::model::{CandleCompute, ComputeOptions, Models};
use psrun::evaluate::EvaluateArgs;
use psrun::predict::PredictArgs;
use psrun::show::ShowArgs;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(Parser)]
struct Evaluate {
    #[command(flatten)]
    args: EvaluateArgs,
}

#[derive(Parser)]
struct Predict {
    #[command(flatten)]
    args: PredictArgs,
}

#[derive(Parser)]
struct Show {
    #[command(flatten)]
    args: ShowArgs,
}

/// Four samples with a number and an id each.
fn shops() -> Dataset {
    let set = || {
        let features = Features::Floats(vec![0.0, 1.0, 2.0, 3.0].into());
        let samples = Samples::new(features, vec![1], vec![0, 1, 0, 1]).unwrap();
        samples.with_ids(vec![1, 2, 3, 0].into()).unwrap()
    };
    let ids = vec![IdColumn::new("shop".to_owned(), 4)];
    Dataset { ids, ..Dataset::new(set(), set(), 2) }
}

fn models() -> Models {
    Models::built_in().with_dataset("shops", |_| Ok(shops()))
}

/// The folder of a model that was trained on these data.
fn model(name: &str) -> PathBuf {
    let folder = folder(name);
    let data = Arc::new(shops());
    let options =
        ComputeOptions::new("linear", Default::default(), psrun::candle_core::Device::Cpu);
    let mut compute = CandleCompute::new(&models(), options, data.clone()).unwrap();
    let weights = compute.start_weights(1).unwrap();
    fs::write(folder.join(MODEL_FILE), to_safetensors(compute.layout(), &weights).unwrap())
        .unwrap();
    let about = About { model: Some("linear".to_owned()), ..About::default() };
    let description = DataDescription {
        kind: DataKind::Replicated,
        samples: 4,
        shape: vec![1],
        ids: data.ids.clone(),
        outputs: 2,
        ..DataDescription::default()
    };
    for (file, content) in about.files(compute.layout(), &description).unwrap() {
        fs::write(folder.join(file), content).unwrap();
    }
    folder
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Found by review: `--data` was wanted, for nothing.
#[test]
fn regression_data_of_the_programs_own_need_no_folder() {
    let folder = model("own-dataset");
    let folder = folder.to_str().unwrap();
    let asked = ["", "--model", folder, "--dataset", "shops"];
    let measured = psrun::evaluate::run(&models(), &Evaluate::parse_from(asked).args).unwrap();
    assert!(measured.contains("test_samples=4;"), "{measured}");
    let out = Path::new(folder).join("predictions.csv");
    let asked = [&asked[..], &["--out", out.to_str().unwrap()]].concat();
    assert_eq!(psrun::predict::run(&models(), &Predict::parse_from(asked).args).unwrap(), 4);
    for error in [
        Evaluate::try_parse_from(["", "--model", folder]).map(drop).unwrap_err(),
        Predict::try_parse_from(["", "--model", folder]).map(drop).unwrap_err(),
    ] {
        assert!(error.to_string().contains("--data"), "{error}");
    }
}

/// Found by review: `psrun data` showed what the default model looks up, whichever was to be trained.
#[test]
fn regression_what_is_shown_is_what_the_model_looks_up() {
    let table = folder("shown").join("table.csv");
    fs::write(&table, "town,size,kind\na,1,x\nb,2,y\na,3,x\nb,4,y\n").unwrap();
    let shown = |more: &[&str]| {
        let args = [&["", table.to_str().unwrap(), "--json"], more].concat();
        psrun::show::run(&models(), &Show::parse_from(args).args)
    };
    let looked_up = |model: &str| {
        let shown = shown(&["--model", model]).unwrap();
        let document: serde_json::Value = serde_json::from_str(&shown.metrics).unwrap();
        document["looked_up"].to_string()
    };
    assert_eq!(looked_up("mlp"), "[]");
    assert_eq!(looked_up("wide-deep"), r#"[{"name":"town","vocabulary":3}]"#);
    let error = shown(&["--model", "wide"]).map(drop).unwrap_err().to_string();
    assert!(error.contains("`wide`") && error.contains("wide-deep"), "{error}");
    // What is written for --schema is of that model, too.
    let schema = table.with_file_name("schema.json");
    shown(&["--model", "wide-deep", "--write-schema", schema.to_str().unwrap()]).unwrap();
    let schema = Schema::from_json(&fs::read(schema).unwrap()).unwrap();
    assert_eq!(schema.id_columns().len(), 1);
}
