//! `psrun data`: what is understood of some data, without a job.

use crate::model_name;
use anyhow::Context;
use clap::Args;
use ps_core::Task;
use ps_core::schema::{Column, Schema};
use ps_data::{DataSource, Dataset, FileList, FileRole};
use ps_worker::config::DataArgs;
use ps_worker::model::Models;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Some data.
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    /// Directory or file of the training data, and of the test data unless --test says where they are.
    #[arg(value_name = "DIR")]
    pub data: PathBuf,
    /// The model that is to be trained on it: which columns of texts it looks up decides what becomes of them.
    #[arg(long, env = "PS_MODEL", default_value = "mlp", value_name = "NAME")]
    pub model: String,
    /// Everything as one JSON document on standard output, for programs.
    #[arg(long)]
    pub json: bool,
    /// Write what was understood of a table to this file, for --schema.
    #[arg(long, value_name = "FILE")]
    pub write_schema: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub read: DataArgs,
}

/// What there is to say.
pub struct Shown {
    /// For standard output.
    pub metrics: String,
    /// For people.
    pub lines: Vec<String>,
    /// Why no job would start with these data.
    pub problem: Option<String>,
}

/// Reads the data as a job would, and tells what becomes of them.
///
/// # Errors
/// Options that contradict each other, or a folder that cannot be read.
pub fn run(models: &Models, args: &ShowArgs) -> anyhow::Result<Shown> {
    args.read.check(Some(&args.data)).map_err(anyhow::Error::msg)?;
    model_name::check(models, &args.model).map_err(anyhow::Error::msg)?;
    let mut source = args.read.source(Some(&args.data));
    source.table.embedding = models.embedding(&args.model);
    let list = ps_data::files(&source)?;
    let mut shown = Shown { metrics: String::new(), lines: files(&list), problem: None };
    let loaded = match &list.problem {
        Some(problem) => Err(problem.to_string()),
        None => ps_data::load(&source).map_err(|error| error.to_string()),
    };
    let document = match loaded {
        Ok(data) => {
            let warnings = data.warnings();
            shown.lines.extend(summary(&source, &data, &warnings));
            shown.metrics = metrics(&data);
            if let Some(path) = &args.write_schema {
                write_schema(path, &data)?;
            }
            document(&list, &data, &warnings)
        }
        Err(problem) => {
            shown.problem = Some(problem.clone());
            json!({ "files": files_json(&list), "problem": problem })
        }
    };
    if args.json {
        shown.metrics = serde_json::to_string_pretty(&document)?;
    }
    Ok(shown)
}

fn write_schema(path: &Path, data: &Dataset) -> anyhow::Result<()> {
    let written = || format!("--write-schema {}", path.display());
    let Some(schema) = &data.schema else {
        anyhow::bail!("{}: the data are no table", written());
    };
    std::fs::write(path, schema.to_json()?).with_context(written)
}

fn files(list: &FileList) -> Vec<String> {
    let line =
        |(path, role, format): (String, String, &str)| format!("{role:12} {format:18} {path}");
    let files = list.files.iter().map(|file| {
        let format = file.format.map_or("", ps_data::Format::name);
        line((file.path.display().to_string(), role(&file.role), format))
    });
    files.chain(list.notes.iter().cloned()).collect()
}

fn role(role: &FileRole) -> String {
    match role {
        FileRole::Training => "training".to_owned(),
        FileRole::Test => "test".to_owned(),
        FileRole::Validation => "validation".to_owned(),
        FileRole::NotData { reason } => format!("not data ({reason})"),
        FileRole::Undecided => "undecided".to_owned(),
    }
}

fn files_json(list: &FileList) -> Vec<Value> {
    let file = |file: &ps_data::ListedFile| {
        json!({
            "path": file.path.display().to_string(),
            "role": role(&file.role),
            "format": file.format.map(ps_data::Format::name),
        })
    };
    list.files.iter().map(file).collect()
}

fn summary(source: &DataSource, data: &Dataset, warnings: &[String]) -> Vec<String> {
    let validation = match data.validation.len() {
        0 => String::new(),
        samples => format!("{samples} validation samples, "),
    };
    let sets = format!(
        "{} training samples, {validation}{} test samples, shape {:?}, {}: {}",
        data.train.len(),
        data.test.len(),
        data.train.shape(),
        data.task,
        outputs(data)
    );
    let mut lines = vec![sets];
    lines.extend(data.schema.iter().flat_map(|schema| schema.lines()));
    lines.extend(warnings.iter().map(|warning| format!("warning: {warning}")));
    if data.test.is_empty() {
        lines.push("no test samples: nothing tells how good a model is; see --test".to_owned());
    }
    if source.streamed {
        // Nothing is learnt from a share, whatever is read of it.
        let read = data.schema.as_ref().map_or(0, |schema| schema.samples).max(1);
        lines.push(format!("--stream: of the training files {read} sample(s) were read"));
    }
    lines
}

/// How many classes, numbers or labels there are, in words.
fn outputs(data: &Dataset) -> String {
    let one = match data.task {
        Task::Classification => "classes",
        Task::Regression => "number(s)",
        Task::MultiLabel => "label(s)",
    };
    format!("{} {one}", data.outputs)
}

fn metrics(data: &Dataset) -> String {
    let validation = match data.validation.len() {
        0 => String::new(),
        samples => format!(" validation_samples={samples};"),
    };
    format!(
        "train_samples={};{validation} test_samples={}; inputs={}; looked_up={}; task={}; outputs={};",
        data.train.len(),
        data.test.len(),
        data.train.features_per_sample(),
        data.ids.len(),
        data.task,
        data.outputs
    )
}

fn document(list: &FileList, data: &Dataset, warnings: &[String]) -> Value {
    json!({
        "files": files_json(list),
        "notes": list.notes,
        "training_samples": data.train.len(),
        "validation_samples": data.validation.len(),
        "test_samples": data.test.len(),
        "shape": data.train.shape(),
        "looked_up": data.ids,
        "task": data.task,
        "outputs": data.outputs,
        "schema": data.schema.as_deref().map(schema),
        "warnings": warnings,
    })
}

/// The schema, with the words that people see.
fn schema(schema: &Schema) -> Value {
    let words: Vec<String> = schema.columns.iter().map(Column::words).collect();
    json!({ "understood": schema, "words": words })
}
