use super::*;
use crate::contract::environment::BASE_VARIABLE;

const TOOLKIT: &str = include_str!("../../../tests/fixtures/toolkit_env.txt");

/// What the toolkit set, by name.
fn toolkits() -> Variables {
    let pairs = TOOLKIT.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The files from which the toolkit made its variables.
fn write_files(base: &Path, theirs: &Variables) {
    let config = base.join("input/config");
    std::fs::create_dir_all(&config).unwrap();
    let mut hyperparameters = Map::new();
    for name in ["SM_HPS", "SM_FRAMEWORK_PARAMS"] {
        for (name, value) in json_of(&theirs[name]).as_object().unwrap() {
            hyperparameters.insert(name.clone(), value.to_string().into());
        }
    }
    let program = json!({"sagemaker_program": "\"train.sh\"", "sagemaker_job_name": "\"job-1\""});
    hyperparameters.extend(program.as_object().unwrap().clone());
    std::fs::write(config.join("hyperparameters.json"), Value::Object(hyperparameters).to_string())
        .unwrap();
    std::fs::write(config.join("resourceconfig.json"), &theirs["SM_RESOURCE_CONFIG"]).unwrap();
    std::fs::write(config.join("inputdataconfig.json"), &theirs["SM_INPUT_DATA_CONFIG"]).unwrap();
}

fn told(given: &Variables, arguments: &[String]) -> Variables {
    let contract = environment::read(given).unwrap().unwrap();
    let folder = environment::base(given).join("code");
    variables(
        &contract,
        given,
        &Told { entry_point: "train.sh", folder: &folder, arguments, gpus: 0 },
    )
}

#[test]
fn a_program_is_told_what_the_toolkit_tells_it() {
    let (base, theirs) = (tempfile::tempdir().unwrap(), toolkits());
    write_files(base.path(), &theirs);
    let given = Variables::from([(BASE_VARIABLE.to_owned(), base.path().display().to_string())]);
    let arguments: Vec<String> = serde_json::from_str(&theirs["SM_USER_ARGS"]).unwrap();
    let ours = told(&given, &arguments);
    let mut compared = 0;
    for (name, value) in theirs.iter().filter(|(name, _)| name.starts_with("SM_")) {
        // Of its own start, and what the machine has.
        if ["SM_STUDIO_LOCAL_MODE", "SM_FRAMEWORK_MODULE", "SM_NUM_CPUS"].contains(&name.as_str()) {
            continue;
        }
        let found = ours.get(name).unwrap_or_else(|| panic!("no {name}"));
        compared += 1;
        match serde_json::from_str::<Value>(value) {
            _ if value == "HOST_PATH" => {
                assert!(found.starts_with(base.path().to_str().unwrap()), "{name}={found}")
            }
            Ok(value) if !value.is_string() => assert_eq!(json_of(found), value, "{name}"),
            _ => assert_eq!(found, value, "{name}"),
        }
    }
    assert!(compared > 35, "{compared}");
    assert_eq!(ours["SM_HP_BATCH_SIZE"], "128");
    assert_eq!(
        ours["SM_CHANNEL_TRAINING"],
        base.path().join("input/data/training").display().to_string()
    );
    let summary = json_of(&ours["SM_TRAINING_ENV"]);
    assert_eq!(summary["hyperparameters"]["lr"], 0.1);
    assert_eq!(summary["output_data_dir"], ours["SM_OUTPUT_DATA_DIR"].as_str());
}

#[test]
fn what_a_launcher_has_set_stays() {
    let base = tempfile::tempdir().unwrap();
    write_files(base.path(), &toolkits());
    let given = Variables::from([
        (BASE_VARIABLE.to_owned(), base.path().display().to_string()),
        ("SM_MODEL_DIR".to_owned(), "/elsewhere".to_owned()),
    ]);
    let ours = told(&given, &[]);
    assert!(!ours.contains_key("SM_MODEL_DIR"));
    assert_eq!(json_of(&ours["SM_TRAINING_ENV"])["model_dir"], "/elsewhere");
}

#[test]
fn a_host_without_files_is_told_too() {
    let base = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(base.path().join("input/config")).unwrap();
    let given = Variables::from([(BASE_VARIABLE.to_owned(), base.path().display().to_string())]);
    let ours = told(&given, &[]);
    assert_eq!(ours["SM_HOSTS"], r#"["localhost"]"#);
    assert_eq!((ours["SM_CHANNELS"].as_str(), ours["SM_HPS"].as_str()), ("[]", "{}"));
}
