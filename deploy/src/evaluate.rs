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
    /// File or folder of samples with their labels; of a folder with several sets, the test set. With --dataset, what that
    /// takes it for, if anything.
    #[arg(long, value_name = "DIR", required_unless_present = "dataset")]
    pub data: Option<PathBuf>,
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
    let data = args.data.as_deref();
    match (model.schema(), data) {
        (Some(schema), Some(data)) if args.model.dataset.dataset.is_none() => {
            Ok(ps_data::load_with_schema(&args.model.table_files(data)?, schema)?)
        }
        _ => samples(models, &args.model, data, model.shape()),
    }
}
