//! `psrun evaluate` and `psrun predict`: what they have in common.

use anyhow::bail;
use clap::Args;
use clap::builder::RangedU64ValueParser;
use ps_data::limits::CONTEXT_MAX;
use ps_data::{DataSource, FileRole, Format, ListedFile, Samples};
use ps_worker::config::DatasetArgs;
use ps_worker::device::DeviceChoice;
use ps_worker::model::{DataShape, Models};
use ps_worker::trained_model::TrainedModel;
use std::path::{Path, PathBuf};

/// A trained model, and where to compute.
#[derive(Args, Clone, Debug)]
pub struct ModelFolderArgs {
    /// Folder that a job left: model.safetensors, config.json and, of a table, schema.json.
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// How the data are written, unless the model was trained on a table.
    #[arg(long, value_parser = ps_cli::choice::<Format>(), default_value = "auto")]
    pub format: Format,
    /// Files that are no data, by patterns of their names.
    #[arg(long, value_name = "PATTERN,..", value_delimiter = ',')]
    pub ignore_files: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub dataset: DatasetArgs,
    /// Where to compute: auto, cpu or cuda:N.
    #[arg(long, default_value_t = DeviceChoice::Cpu, value_name = "DEVICE")]
    pub device: DeviceChoice,
    /// Threads to compute with [default: all cores].
    #[arg(long, value_name = "T", value_parser = RangedU64ValueParser::<usize>::new().range(1..=65_536))]
    pub threads: Option<usize>,
}

impl ModelFolderArgs {
    /// The model.
    ///
    /// # Errors
    /// It, or the device, cannot be used.
    pub fn open(&self, models: &Models) -> anyhow::Result<TrainedModel> {
        Ok(TrainedModel::open(models, &self.model, self.device.open()?)?)
    }

    /// The test set, or else the training set, of the program's own data, if they are named.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn own_samples(
        &self,
        models: &Models,
        data: Option<&Path>,
        shape: &DataShape,
    ) -> anyhow::Result<Option<Samples>> {
        self.dataset.check().map_err(anyhow::Error::msg)?;
        let Some(name) = &self.dataset.dataset else {
            return Ok(None);
        };
        let request = self.dataset.request(data.map(Path::to_owned), None);
        let found = models.dataset(name, request.map_err(anyhow::Error::msg)?);
        let found = found.map_err(anyhow::Error::msg)?;
        if found.train.shape() != shape.features || found.ids != shape.ids {
            bail!(
                "dataset `{name}`: samples of shape {:?} and ids {:?}, but the model was trained on shape {:?} and ids {:?}",
                found.train.shape(),
                found.ids,
                shape.features,
                shape.ids
            );
        }
        Ok(Some(if found.test.is_empty() { found.train } else { found.test }))
    }

    /// These data, to be read without a schema, as samples of so many inputs.
    pub fn source(&self, data: &Path, inputs: usize) -> DataSource {
        DataSource {
            format: self.format,
            // Of text.
            context: inputs.clamp(1, CONTEXT_MAX),
            ignore_files: self.ignore_files.clone(),
            ..DataSource::folder(data)
        }
    }

    /// The files of a table there: of a folder with several sets, those of the test set.
    ///
    /// # Errors
    /// There are none, or nobody can say which.
    pub fn table_files(&self, data: &Path) -> anyhow::Result<Vec<PathBuf>> {
        if !data.exists() {
            bail!("--data {}: there is no such file or folder", data.display());
        }
        let format =
            if self.format == Format::Auto && data.is_file() { Format::Csv } else { self.format };
        let list = ps_data::files(&DataSource { format, ..self.source(data, 1) })?;
        let of = |role: &FileRole| {
            let files = list.files.iter().filter(|file| file.role == *role);
            files.map(|file: &ListedFile| file.path.clone()).collect::<Vec<PathBuf>>()
        };
        let roles = [FileRole::Test, FileRole::Training];
        let found = roles.iter().map(of).find(|files| !files.is_empty()).unwrap_or_default();
        match list.problem {
            Some(problem) if found.is_empty() => Err(problem.into()),
            _ if found.is_empty() => bail!("no table in {}", data.display()),
            _ => Ok(found),
        }
    }
}

/// The samples of a model that was not trained on a table: the test set there, or else all.
///
/// # Errors
/// They cannot be read, or are a table: what training made of its columns, nobody knows.
pub fn samples(
    models: &Models,
    args: &ModelFolderArgs,
    data: Option<&Path>,
    shape: &DataShape,
) -> anyhow::Result<Samples> {
    if let Some(found) = args.own_samples(models, data, shape)? {
        return Ok(found);
    }
    let Some(data) = data else {
        bail!("no data: give --data DIR, or data of the program's own with --dataset NAME");
    };
    let inputs = shape.inputs();
    let found = ps_data::load(&args.source(data, inputs))?;
    if found.schema.is_some() {
        bail!(
            "{} is a table, but there is no schema.json in {} that says what training made of its columns",
            data.display(),
            args.model.display()
        );
    }
    Ok(if found.test.is_empty() { found.train } else { found.test })
}
