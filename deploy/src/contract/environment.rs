//! The whole of what SageMaker says: its three files, with `SM_*` variables over them, so that we
//! also work as the program that the sagemaker-training toolkit starts.

use super::Error;
use super::channels::{self, Channel};
use super::hyperparameters::{Hyperparameters, PARAMETER_SERVER_SWITCH};
use super::resources::Resources;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Where SageMaker puts everything, unless [`BASE_VARIABLE`] says otherwise.
const BASE: &str = "/opt/ml";

/// Moves everything elsewhere, as in the toolkit.
pub const BASE_VARIABLE: &str = "SAGEMAKER_BASE_DIR";

/// Variables of the process, by name.
pub type Variables = BTreeMap<String, String>;

/// What a SageMaker container is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// The hosts.
    pub resources: Resources,
    /// The hyperparameters, the frameworks' own among them.
    pub hyperparameters: Hyperparameters,
    /// The data.
    pub channels: Vec<Channel>,
    /// Where the model goes.
    pub model: PathBuf,
    /// Where checkpoints go.
    pub checkpoints: PathBuf,
    /// The job's name, if it has one.
    pub job: Option<String>,
}

/// The folder with the configuration and the rest.
pub fn base(variables: &Variables) -> PathBuf {
    let moved = variables.get(BASE_VARIABLE).filter(|base| !base.is_empty());
    moved.map_or_else(|| PathBuf::from(BASE), PathBuf::from)
}

/// Whether this is a SageMaker container, by its configuration folder.
pub fn has_configuration(variables: &Variables) -> bool {
    base(variables).join("input/config").is_dir()
}

/// Whether a launcher has left its variables.
fn has_variables(variables: &Variables) -> bool {
    ["SM_RESOURCE_CONFIG", "SM_HOSTS", "SM_CURRENT_HOST"]
        .iter()
        .any(|name| variables.contains_key(*name))
}

/// The folder of the failure file, which is needed even where nothing else can be read.
pub fn output_folder(variables: &Variables) -> PathBuf {
    folder(variables, "SM_OUTPUT_DIR", &base(variables).join("output"))
}

fn folder(variables: &Variables, variable: &str, default: &Path) -> PathBuf {
    let named = variables.get(variable).filter(|path| !path.is_empty());
    named.map_or_else(|| default.to_owned(), PathBuf::from)
}

/// Reads what there is; nothing where neither files nor variables are.
///
/// # Errors
/// A file or a variable cannot be read; the message names it.
pub fn read(variables: &Variables) -> Result<Option<Contract>, Error> {
    if !has_configuration(variables) && !has_variables(variables) {
        return Ok(None);
    }
    let base = base(variables);
    let hyperparameters = hyperparameters(variables, &base)?;
    let job = variables.get("TRAINING_JOB_NAME").map(String::as_str);
    let job = job.or_else(|| hyperparameters.get("sagemaker_job_name"));
    let job = job.or_else(|| variables.get("SAGEMAKER_JOB_NAME").map(String::as_str));
    Ok(Some(Contract {
        resources: resources(variables, &base)?,
        channels: channels(variables, &base)?,
        model: folder(variables, "SM_MODEL_DIR", &base.join("model")),
        checkpoints: base.join("checkpoints"),
        job: job.filter(|job| !job.is_empty()).map(str::to_owned),
        hyperparameters,
    }))
}

impl Contract {
    /// Whether the job was launched with parameter servers.
    pub fn has_parameter_servers(&self) -> bool {
        self.hyperparameters.is_true(PARAMETER_SERVER_SWITCH)
    }
}

/// A file of the configuration, if it is there.
fn file(base: &Path, name: &str) -> Result<Option<String>, Error> {
    let path = base.join("input/config").join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::new(format!("reading {}: {error}", path.display()))),
    }
}

/// What a file of the configuration says, where it is there and is JSON.
pub(super) fn configured(base: &Path, name: &str) -> Option<serde_json::Value> {
    serde_json::from_str(&file(base, name).ok()??).ok()
}

fn hyperparameters(variables: &Variables, base: &Path) -> Result<Hyperparameters, Error> {
    let mut all = match file(base, "hyperparameters.json")? {
        Some(text) => Hyperparameters::from_file(&text)?,
        None => Hyperparameters::default(),
    };
    for name in ["SM_HPS", "SM_FRAMEWORK_PARAMS"] {
        if let Some(text) = variables.get(name).filter(|text| !text.is_empty()) {
            all = all.with(Hyperparameters::from_variable(name, text)?);
        }
    }
    Ok(all)
}

fn resources(variables: &Variables, base: &Path) -> Result<Resources, Error> {
    let resources = match variables.get("SM_RESOURCE_CONFIG").filter(|text| !text.is_empty()) {
        Some(text) => Resources::read("SM_RESOURCE_CONFIG", text)?,
        None => match file(base, "resourceconfig.json")? {
            Some(text) => Resources::read("resourceconfig.json", &text)?,
            None => Resources::default(),
        },
    };
    let variable = |name: &str| variables.get(name).map(String::as_str);
    resources.with(variable("SM_HOSTS"), variable("SM_CURRENT_HOST"))
}

fn channels(variables: &Variables, base: &Path) -> Result<Vec<Channel>, Error> {
    let data = folder(variables, "SM_INPUT_DIR", &base.join("input")).join("data");
    let mut all = match variables.get("SM_INPUT_DATA_CONFIG").filter(|text| !text.is_empty()) {
        Some(text) => channels::read("SM_INPUT_DATA_CONFIG", text, &data)?,
        None => match file(base, "inputdataconfig.json")? {
            Some(text) => channels::read("inputdataconfig.json", &text, &data)?,
            // Somebody who starts the image by hand mounts folders and writes no JSON.
            None => folders(&data),
        },
    };
    for (variable, path) in variables {
        let Some(name) = variable.strip_prefix("SM_CHANNEL_").filter(|_| !path.is_empty()) else {
            continue;
        };
        match all.iter_mut().find(|channel| channel.name.to_uppercase() == name) {
            Some(channel) => channel.path = path.into(),
            None => all.push(Channel::folder(&name.to_lowercase(), Path::new(path))),
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// The folders in the data folder as channels.
fn folders(data: &Path) -> Vec<Channel> {
    let entries = std::fs::read_dir(data).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.path().is_dir());
    let channels = folders
        .filter_map(|entry| Some(Channel::folder(entry.file_name().to_str()?, &entry.path())));
    channels.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(base: &Path, more: &[(&str, &str)]) -> Variables {
        let base = (BASE_VARIABLE.to_owned(), base.display().to_string());
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        std::iter::once(base).chain(more).collect()
    }

    fn write(base: &Path, name: &str, text: &str) {
        let folder = base.join("input/config");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), text).unwrap();
    }

    #[test]
    fn without_any_sign_of_sagemaker_there_is_no_contract() {
        let base = tempfile::tempdir().unwrap();
        assert_eq!(read(&variables(base.path(), &[])).unwrap(), None);
        assert!(!has_configuration(&variables(base.path(), &[])));
    }

    #[test]
    fn absent_files_are_one_host_with_defaults() {
        let base = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(base.path().join("input/config")).unwrap();
        std::fs::create_dir_all(base.path().join("input/data/train")).unwrap();
        let contract = read(&variables(base.path(), &[])).unwrap().unwrap();
        assert_eq!(contract.resources, Resources::default());
        assert_eq!(contract.model, base.path().join("model"));
        assert_eq!(contract.channels[0].path, base.path().join("input/data/train"));
        assert_eq!(contract.job, None);
        assert!(!contract.has_parameter_servers());
    }

    #[test]
    fn variables_win_over_files() {
        let base = tempfile::tempdir().unwrap();
        write(base.path(), "hyperparameters.json", r#"{"lr":"0.1","passes":"3"}"#);
        write(base.path(), "resourceconfig.json", r#"{"current_host":"x","hosts":["x"]}"#);
        write(base.path(), "inputdataconfig.json", r#"{"training":{"TrainingInputMode":"File"}}"#);
        let more = [
            ("SM_HPS", r#"{"lr":0.5}"#),
            ("SM_FRAMEWORK_PARAMS", r#"{"sagemaker_parameter_server_enabled":true}"#),
            ("SM_HOSTS", r#"["algo-2","algo-1"]"#),
            ("SM_CURRENT_HOST", "algo-2"),
            ("SM_CHANNEL_TRAINING", "/elsewhere"),
            ("SM_MODEL_DIR", "/models"),
            ("SM_OUTPUT_DIR", "/outputs"),
            ("SAGEMAKER_JOB_NAME", "job-1"),
        ];
        let contract = read(&variables(base.path(), &more)).unwrap().unwrap();
        let ours: Vec<_> = contract.hyperparameters.ours().collect();
        assert_eq!(ours, [("lr", "0.5"), ("passes", "3")]);
        assert!(contract.has_parameter_servers());
        assert_eq!(contract.resources.hosts, ["algo-1", "algo-2"]);
        assert_eq!(contract.channels.len(), 1);
        assert_eq!(contract.channels[0].path, Path::new("/elsewhere"));
        assert_eq!(contract.model, Path::new("/models"));
        let output = output_folder(&variables(base.path(), &more));
        assert_eq!(output, Path::new("/outputs"));
        assert_eq!(contract.job.as_deref(), Some("job-1"));
    }

    #[test]
    fn the_jobs_name_has_three_places() {
        let base = tempfile::tempdir().unwrap();
        write(base.path(), "hyperparameters.json", r#"{"sagemaker_job_name":"\"second\""}"#);
        let job = |more: &[(&str, &str)]| read(&variables(base.path(), more)).unwrap().unwrap().job;
        let third = ("SAGEMAKER_JOB_NAME", "third");
        assert_eq!(job(&[third]).as_deref(), Some("second"));
        assert_eq!(job(&[third, ("TRAINING_JOB_NAME", "first")]).as_deref(), Some("first"));
    }

    #[test]
    fn a_damaged_file_is_named() {
        let base = tempfile::tempdir().unwrap();
        write(base.path(), "resourceconfig.json", "{");
        let error = read(&variables(base.path(), &[])).unwrap_err().to_string();
        assert!(error.contains("resourceconfig.json"), "{error}");
    }
}
