//! `psrun evaluate`: how well a trained model does on some data.

use crate::used_model::{ModelFolderArgs, samples};
use clap::Args;
use ps_core::digits::digits;
use ps_data::Samples;
use ps_worker::model::Models;
use ps_worker::trained_model::TrainedModel;
use std::path::PathBuf;

/// A model, and data with labels.
#[derive(Args, Clone, Debug)]
pub struct EvaluateArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub model: ModelFolderArgs,
    /// File or folder of samples with their labels; of a folder with several sets, the test set.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}

/// The measures, as a line of metrics.
///
/// # Errors
/// The model cannot be used, or the data are not as those that it was trained on.
pub fn run(models: &Models, args: &EvaluateArgs) -> anyhow::Result<String> {
    let mut model = args.model.open(models)?;
    let samples = read(models, &model, args)?;
    let found = model.evaluate(samples)?;
    let accuracy =
        found.accuracy.map_or_else(String::new, |it| format!(" test_accuracy={};", digits(it)));
    let measures =
        found.measures.iter().map(|it| format!(" test_{}={};", it.name, digits(it.value)));
    let measures = measures.collect::<String>();
    let (loss, samples) = (digits(found.loss), found.samples);
    Ok(format!("test_loss={loss};{accuracy} test_samples={samples};{measures}"))
}

fn read(models: &Models, model: &TrainedModel, args: &EvaluateArgs) -> anyhow::Result<Samples> {
    match model.schema() {
        Some(schema) if args.model.dataset.dataset.is_none() => {
            Ok(ps_data::load_with_schema(&args.model.table_files(&args.data)?, schema)?)
        }
        _ => samples(models, &args.model, &args.data, model.shape()),
    }
}
