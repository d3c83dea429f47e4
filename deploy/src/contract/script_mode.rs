//! What the sagemaker-training toolkit tells a program by variables, told to ours: a script that was written for SageMaker's
//! script mode reads `SM_CHANNEL_TRAINING` and its like, and runs as it is.
//!
//! The names and their spellings are the toolkit's (`sagemaker_training/environment.py` and `params.py`, 5.1.4); they are held against
//! what it wrote itself (`tests/fixtures/toolkit_env.txt`).

use super::environment::{self, Contract, Variables};
use serde_json::{Map, Value, json};
use std::path::Path;

/// Hyperparameters of the SDKs that the toolkit uses up; the other ones of the frameworks are told.
const USED_UP: [&str; 5] = [
    "sagemaker_program",
    "sagemaker_submit_directory",
    "sagemaker_container_log_level",
    "sagemaker_job_name",
    "sagemaker_region",
];

/// Log level INFO, as Python numbers it.
const LOG_LEVEL: &str = "20";

/// The program that is told.
pub(super) struct Told<'a> {
    /// Its file, as its arguments are named by it.
    pub entry_point: &'a str,
    /// Where it runs.
    pub folder: &'a Path,
    /// Its arguments.
    pub arguments: &'a [String],
    /// GPUs that it can use.
    pub gpus: u32,
}

/// The variables by name. What a launcher has set already is left as it is.
pub(super) fn variables(contract: &Contract, given: &Variables, told: &Told<'_>) -> Variables {
    let base = environment::base(given);
    let mut all = folders(contract, given, told);
    let (hosts, hosts_env) = hosts(contract, environment::configured(&base, "resourceconfig.json"));
    let settings = settings(contract, &base, told);
    let mut summary = Map::new();
    for (name, value) in hosts_env.into_iter().chain(settings) {
        all.insert(format!("SM_{}", name.to_uppercase()), text(&value));
        summary.insert(name, value);
    }
    all.insert("SM_RESOURCE_CONFIG".into(), hosts.to_string());
    all.insert(
        "SM_TRAINING_ENV".into(),
        Value::Object(training_env(contract, summary, &all)).to_string(),
    );
    for (name, value) in hyperparameters(contract, |name| !name.starts_with("sagemaker_")) {
        let name = name.to_uppercase();
        // No shell knows a variable with a dash in its name, and some hand none on.
        all.insert(format!("SM_HP_{}", name.replace('-', "_")), text(&value));
        all.insert(format!("SM_HP_{name}"), text(&value));
    }
    all.retain(|name, _| !given.contains_key(name));
    all
}

/// Where everything is.
fn folders(contract: &Contract, given: &Variables, told: &Told<'_>) -> Variables {
    let (base, output) = (environment::base(given), environment::output_folder(given));
    let input = base.join("input");
    let named = [
        ("SM_MODEL_DIR", contract.model.clone()),
        ("SM_INPUT_CONFIG_DIR", input.join("config")),
        ("SM_INPUT_DIR", input),
        ("SM_OUTPUT_DATA_DIR", output.join("data")),
        ("SM_OUTPUT_INTERMEDIATE_DIR", output.join("intermediate")),
        ("SM_OUTPUT_DIR", output),
        ("SM_MODULE_DIR", told.folder.to_owned()),
    ];
    let named = named.map(|(name, path)| (name.to_owned(), path.display().to_string()));
    let channels = contract.channels.iter().map(|channel| {
        (format!("SM_CHANNEL_{}", channel.name.to_uppercase()), channel.path.display().to_string())
    });
    named.into_iter().chain(channels).collect()
}

/// The hosts as resourceconfig.json has them, and what is told of them one by one.
fn hosts(contract: &Contract, configured: Option<Value>) -> (Value, Map<String, Value>) {
    let resources = &contract.resources;
    let mut config = configured.unwrap_or_else(|| json!({}));
    config["hosts"] = json!(resources.hosts);
    config["current_host"] = json!(resources.current_host);
    let listed = config["instance_groups"].as_array().cloned().unwrap_or_default();
    let group_name = |group: &Value| group["instance_group_name"].clone();
    let by_name: Map<String, Value> = listed
        .iter()
        .filter_map(|group| {
            Some((group["instance_group_name"].as_str()?.to_owned(), group.clone()))
        })
        .collect();
    let current = by_name.get(config["current_group_name"].as_str().unwrap_or_default());
    let current_hosts =
        current.map_or_else(|| json!(resources.hosts), |group| group["hosts"].clone());
    let names: Vec<Value> = listed.iter().map(group_name).collect();
    let interface = config["network_interface_name"].as_str().unwrap_or("eth0");
    let told = json!({
        "hosts": resources.hosts,
        "current_host": resources.current_host,
        "current_instance_group": config["current_group_name"].as_str().unwrap_or("homogeneousCluster"),
        "current_instance_group_hosts": current_hosts,
        "current_instance_type": config["current_instance_type"].as_str().unwrap_or("local"),
        "distribution_instance_groups": names,
        "instance_groups": names,
        "instance_groups_dict": by_name,
        "is_hetero": by_name.len() > 1,
        "network_interface_name": interface,
    });
    let Value::Object(told) = told else { return (config, Map::new()) };
    (config, told)
}

/// What the program was asked to do, and what it has to do it with.
fn settings(contract: &Contract, base: &Path, told: &Told<'_>) -> Map<String, Value> {
    let channels: Vec<&str> =
        contract.channels.iter().map(|channel| channel.name.as_str()).collect();
    let channels_configured = environment::configured(base, "inputdataconfig.json");
    let log_level = contract.hyperparameters.get("sagemaker_container_log_level");
    let is_the_frameworks = |name: &str| name.starts_with("sagemaker_") && !USED_UP.contains(&name);
    let told = json!({
        "channels": channels,
        "framework_params": hyperparameters(contract, is_the_frameworks),
        "hps": hyperparameters(contract, |name| !name.starts_with("sagemaker_")),
        "input_data_config": channels_configured.unwrap_or_else(|| json!({})),
        "log_level": log_level.unwrap_or(LOG_LEVEL).parse().unwrap_or(20),
        "module_name": told.entry_point.trim_end_matches(".py"),
        "num_cpus": std::thread::available_parallelism().map_or(1, usize::from),
        "num_gpus": told.gpus,
        "num_neurons": 0,
        "user_args": told.arguments,
        "user_entry_point": told.entry_point,
    });
    if let Value::Object(told) = told { told } else { Map::new() }
}

/// All of it in one text, under the names that the toolkit has there.
fn training_env(
    contract: &Contract,
    mut told: Map<String, Value>,
    paths: &Variables,
) -> Map<String, Value> {
    for (here, there) in
        [("hps", "hyperparameters"), ("framework_params", "additional_framework_parameters")]
    {
        let value = told.remove(here).unwrap_or_default();
        told.insert(there.to_owned(), value);
    }
    told.remove("channels");
    told.remove("user_args");
    let folders = [
        "INPUT",
        "INPUT_CONFIG",
        "MODEL",
        "MODULE",
        "OUTPUT",
        "OUTPUT_DATA",
        "OUTPUT_INTERMEDIATE",
    ];
    for folder in folders {
        let path = paths.get(&format!("SM_{folder}_DIR")).cloned().unwrap_or_default();
        told.insert(format!("{}_dir", folder.to_lowercase()), path.into());
    }
    let channels = contract.channels.iter().map(|it| (it.name.clone(), json!(it.path)));
    told.insert("channel_input_dirs".into(), Value::Object(channels.collect()));
    told.insert("job_name".into(), json!(contract.job));
    let is_master = contract.resources.hosts.first() == Some(&contract.resources.current_host);
    told.insert("master_hostname".into(), json!(contract.resources.hosts.first()));
    told.insert("is_master".into(), is_master.into());
    told
}

fn hyperparameters(contract: &Contract, is_told: impl Fn(&str) -> bool) -> Map<String, Value> {
    let all = contract.hyperparameters.decoded();
    all.filter(|(name, _)| is_told(name))
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
}

/// A value as the toolkit writes it into a variable: texts as they are, nothing as nothing, the rest as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
#[path = "script_mode/tests.rs"]
mod tests;
