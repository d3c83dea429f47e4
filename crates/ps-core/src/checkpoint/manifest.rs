//! The manifest: one checkpoint as a whole. Its file exists only when every shard's file does.
//!
//! It is JSON for people and programs. The first member is the CRC-32 of everything after its line,
//! so that a manifest that was cut short or changed is never taken for a whole one.

use super::cursor::Cursor;
use super::{File, check_files, names};
use crate::data_description::DataKind;
use crate::ids::Life;
use crate::keeping::Keeping;
use crate::layout::{Layout, TensorSpec};
use crate::learning::LearningMonitor;
use crate::limits::{CHUNK_ELEMENTS_MAX, MODEL_ELEMENTS_MAX, SHARDS_MAX, TENSORS_MAX};
use crate::model_config::{ModelDescription, NamedShape};
use crate::model_spec::ModelSpec;
use crate::partition::chunk_elements;
use crate::program_samples::ProgramSamples;
use crate::report::{PassReport, WentBack};
use crate::settings::TrainingSettings;
use serde::{Deserialize, Serialize};

/// The format that this program writes, and the only one that it reads. It is another one, too, where what follows from a
/// [`Cursor`] changes: which samples a place of a pass stands for (docs/adr/0034).
pub const MANIFEST_FORMAT: u32 = 4;

/// How the file begins; eight hexadecimal digits and [`AFTER_CRC`] follow.
const BEFORE_CRC: &str = "{\n  \"crc32\": \"";
const AFTER_CRC: &str = "\",\n";

/// What the master knows of the job when a checkpoint is taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobState {
    /// The highest epoch or incarnation that any shard was told of: later lives start above it.
    pub highest: Life,
    /// How the job trains.
    pub settings: TrainingSettings,
    /// Which samples are done; their pushes are in the weights.
    pub cursor: Cursor,
    /// Samples done, over all passes.
    pub samples_done: u64,
    /// The passes that are over.
    pub passes: Vec<PassReport>,
    /// What the losses said so far.
    pub learning: LearningMonitor,
    /// Seconds of training so far, in all lives of the job.
    pub seconds: f64,
    /// The life in which the job began; 0 where nobody wrote it down.
    #[serde(default)]
    pub began: Life,
    /// What its evaluations found.
    #[serde(default)]
    pub keeping: Keeping,
    /// What is learnt, as members say it; empty where nobody wrote it down.
    #[serde(default)]
    pub objective: String,
    /// Servers that went back to a checkpoint alone: what they lost is missing in the weights from then on.
    #[serde(default)]
    pub servers_went_back: Vec<WentBack>,
    /// How far programs are in the samples that they take from the master.
    #[serde(default)]
    pub programs: ProgramSamples,
}

/// One checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// How it is written: see [`MANIFEST_FORMAT`].
    pub format: u32,
    /// Which checkpoint of its folder; a higher one is newer.
    pub number: u64,
    /// The job that wrote it, for people: each start may have another id.
    pub job: String,
    /// At which moment all shards were as their files have them: epoch, number and attempt; `None`: they were copied one
    /// after another.
    pub cut: Option<String>,
    /// The model's tensors in layout order.
    pub tensors: Vec<TensorSpec>,
    /// Elements of a chunk of the model, chosen when it was initialised.
    pub chunk_elements: u32,
    /// One file per shard, in the order of the shards.
    pub files: Vec<File>,
    /// What the master knew.
    pub state: JobState,
    /// What the weights are a model of, so that they can be used without the job; `None` where nobody wrote it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelDescription>,
}

/// Why a manifest cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ManifestError {
    /// It does not begin as a manifest does.
    #[error("{name} is not a manifest, or its beginning is damaged")]
    NotAManifest { name: String },
    /// It was changed or cut short.
    #[error("{name} is damaged or cut short: its CRC-32 is {found:08x}, expected {expected:08x}")]
    Damaged { name: String, found: u32, expected: u32 },
    /// Another program's.
    #[error(
        "{name} has format {found}, which {} reads; this program reads format {MANIFEST_FORMAT}: go on with that one, or \
         start anew with another --checkpoints (from the weights of a model: --initial-model)", reader(*found)
    )]
    Format { name: String, found: u32 },
    /// It is whole and says something impossible.
    #[error("{name}: {what}")]
    Content { name: String, what: String },
}

/// The version that reads a format.
fn reader(format: u32) -> &'static str {
    match format {
        1 => "psrun 0.1",
        2 => "a psrun 0.2 that was built before 0.2.0",
        3 => {
            "a psrun whose passes had another order of samples, so that some would be trained on twice and others not at all,"
        }
        _ => "a later version",
    }
}

/// The file's format, before anything else is believed.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Manifest {
    /// The file's content.
    ///
    /// # Errors
    /// It could not be read again: a value is not finite.
    pub fn encode(&self) -> Result<String, ManifestError> {
        let name = names::manifest_file(self.number);
        let failed = |what: String| ManifestError::Content { name: name.clone(), what };
        let json = serde_json::to_string_pretty(self).map_err(|error| failed(error.to_string()))?;
        let rest = json.strip_prefix("{\n").unwrap_or_default();
        let crc = crc32fast::hash(rest.as_bytes());
        let text = format!("{BEFORE_CRC}{crc:08x}{AFTER_CRC}{rest}");
        Self::decode(&name, text.as_bytes())?;
        Ok(text)
    }

    /// Reads a file's content.
    ///
    /// # Errors
    /// It is damaged, another program's, or says something impossible; the message names the file.
    pub fn decode(name: &str, bytes: &[u8]) -> Result<Self, ManifestError> {
        let rest = check_crc(name, bytes)?;
        let failed = |what: String| ManifestError::Content { name: name.to_owned(), what };
        let json = format!("{{{rest}");
        let parsed = |error: serde_json::Error| failed(format!("not as written: {error}"));
        let Format { format } = serde_json::from_str(&json).map_err(parsed)?;
        if format != MANIFEST_FORMAT {
            return Err(ManifestError::Format { name: name.to_owned(), found: format });
        }
        let manifest: Self = serde_json::from_str(&json).map_err(parsed)?;
        if names::manifest_file(manifest.number) != name {
            return Err(failed(format!("it is the manifest of checkpoint {}", manifest.number)));
        }
        manifest.check().map_err(failed)?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        let shards = self.files.len();
        if shards == 0 || shards > SHARDS_MAX as usize || self.tensors.len() > TENSORS_MAX {
            return Err(format!("{shards} files of shards, {} tensors", self.tensors.len()));
        }
        let elements = self.layout()?.elements() as u64;
        if elements > MODEL_ELEMENTS_MAX {
            return Err(format!("{elements} elements, expected at most {MODEL_ELEMENTS_MAX}"));
        }
        let smallest = chunk_elements(elements as usize, SHARDS_MAX);
        if !(smallest..=CHUNK_ELEMENTS_MAX as u32).contains(&self.chunk_elements) {
            let found = self.chunk_elements;
            return Err(format!("chunks of {found} elements, expected at least {smallest}"));
        }
        check_files(&self.files, self.number, &self.own_spec()?).map_err(|it| it.to_string())?;
        let layout = self.layout()?;
        if self.model.as_ref().is_some_and(|it| it.config.tensors != NamedShape::of_layout(&layout))
        {
            return Err("the model that it describes has other tensors".to_owned());
        }
        self.state.settings.validate().map_err(|error| error.to_string())
    }

    /// The model as the servers held it that wrote the files.
    ///
    /// # Errors
    /// The tensors are not a model.
    pub fn own_spec(&self) -> Result<ModelSpec, String> {
        let spec = self.state.settings.model_spec(&self.layout()?, self.files.len() as u32);
        Ok(spec.on_grid(Some(self.chunk_elements)))
    }

    /// The model's layout.
    ///
    /// # Errors
    /// The tensors are not a model.
    pub fn layout(&self) -> Result<Layout, String> {
        Layout::new(self.tensors.clone()).map_err(|error| error.to_string())
    }

    /// The model as servers hold it that train with these settings.
    ///
    /// # Errors
    /// What was saved does not fit the settings; the message says what to do.
    pub fn spec(&self, settings: &TrainingSettings, shards: u32) -> Result<ModelSpec, String> {
        let kind = |settings: &TrainingSettings| std::mem::discriminant(&settings.optimizer.kind);
        let (then, mut settings) = (&self.state.settings, settings.clone());
        if self.state.cursor.kind == DataKind::Program {
            // What it trains with is not the job's: it is as the servers had it, and they say so if the program has another one.
            settings.optimizer = then.optimizer;
            settings.parameter_groups.clone_from(&then.parameter_groups);
        }
        let now = &settings;
        let advice = "give it the same, or start anew with another --checkpoints";
        if kind(then) != kind(now) {
            let (then, now) = (then.optimizer.kind, now.optimizer.kind);
            return Err(format!("it was made with {then:?}, this job has {now:?}: {advice}"));
        }
        if then.seed != now.seed {
            let (then, now) = (then.seed, now.seed);
            return Err(format!("it was made with --seed {then}, this job has {now}: {advice}"));
        }
        Ok(settings.model_spec(&self.layout()?, shards).on_grid(Some(self.chunk_elements)))
    }
}

/// What follows the checksum, when it is right.
fn check_crc<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, ManifestError> {
    let unknown = || ManifestError::NotAManifest { name: name.to_owned() };
    let text = std::str::from_utf8(bytes).map_err(|_| unknown())?;
    let after = text.strip_prefix(BEFORE_CRC).ok_or_else(unknown)?;
    let (digits, rest) = after.split_once(AFTER_CRC).ok_or_else(unknown)?;
    let expected = u32::from_str_radix(digits, 16).map_err(|_| unknown())?;
    if format!("{expected:08x}") != digits {
        return Err(unknown());
    }
    let found = crc32fast::hash(rest.as_bytes());
    if found == expected {
        return Ok(rest);
    }
    Err(ManifestError::Damaged { name: name.to_owned(), found, expected })
}

#[cfg(test)]
mod tests;
