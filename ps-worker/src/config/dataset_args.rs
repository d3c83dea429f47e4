//! The options that name data of a program's own.

use std::path::PathBuf;

use crate::model::DataRequest;
use ps_cli::named_values;

/// Data of the program's own.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Model and data")]
pub struct DatasetArgs {
    /// Data that the program itself reads or makes, by name, instead of files in a known format; --data and --test are what
    /// they take them for.
    #[arg(long, env = "PS_DATASET", value_name = "NAME")]
    pub dataset: Option<String>,
    /// An option of these data; again, or after a comma, for more of them.
    #[arg(long, env = "PS_DATASET_OPTION", value_name = "NAME=VALUE")]
    pub dataset_option: Vec<String>,
}

impl DatasetArgs {
    /// What is asked of the data.
    ///
    /// # Errors
    /// An option without a name.
    pub fn request(
        &self,
        data: Option<PathBuf>,
        test: Option<PathBuf>,
    ) -> Result<DataRequest, String> {
        let options = named_values("--dataset-option", &self.dataset_option)?;
        for (at, (name, _)) in options.iter().enumerate() {
            if options[..at].iter().any(|(before, _)| before == name) {
                return Err(format!("--dataset-option {name}: it is given twice; give it once"));
            }
        }
        Ok(DataRequest { data, test, options: options.into_iter().collect() })
    }

    /// What contradicts itself, in one sentence.
    ///
    /// # Errors
    /// Options without the data that they are of.
    pub fn check(&self) -> Result<(), String> {
        match (&self.dataset, self.dataset_option.first()) {
            (None, Some(option)) => Err(format!(
                "--dataset-option {option} without --dataset: name the data that have this option"
            )),
            _ => Ok(()),
        }
    }
}
