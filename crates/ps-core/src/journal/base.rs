//! The shard as it was written whole: its values in a file as checkpoints have, and what that does not say.

use super::{checked, names};
use crate::checkpoint::File;
use crate::correction::Correction;
use crate::fence::Fenced;
use crate::ids::{Epoch, Incarnation, Life, ShardId, WorkerId};
use crate::model_spec::{ModelSpec, Origin};
use crate::parameters::UpdateRule;
use crate::{Layout, TensorSpec};
use ps_kernels::optimizer::Optimizer;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format that is written, and the only one that is read.
pub const BASE_FORMAT: u32 = 1;

/// What is written when a shard is written whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// How it is written: see [`BASE_FORMAT`].
    pub format: u32,
    /// Which of the journal; the segments from this number on follow it.
    pub number: u64,
    /// The job that it belongs to.
    pub job: String,
    /// Whose it is.
    pub shard: ShardId,
    /// The job's life.
    pub life: Life,
    /// The shard's epoch.
    pub epoch: Epoch,
    /// Of each worker the incarnation of which earlier ones are over.
    pub incarnations: BTreeMap<WorkerId, Incarnation>,
    /// The checkpoint that the model was restored from; `None`: a worker started it.
    pub checkpoint: Option<u64>,
    /// The CRC-32 of the start weights, where a worker started it.
    pub start_digest: u32,
    /// The file with the values.
    pub file: File,
    /// The model's tensors in layout order.
    tensors: Vec<TensorSpec>,
    optimizer: Optimizer,
    rules: Vec<UpdateRule>,
    correction: Correction,
    bound: Option<u64>,
    chunk_elements: u32,
    shards: u32,
}

/// Why a base, or what a kept journal says of its end, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {what}")]
pub struct BaseError {
    /// The file.
    pub name: String,
    /// What does not fit.
    pub what: String,
}

/// What a file begins with, before its checksum.
const BEFORE_CRC: &str = "psrun journal base, CRC-32 ";

impl Base {
    /// What is to be written of a shard whose values are in this file.
    pub fn new(
        job: &str,
        spec: &ModelSpec,
        origin: Origin,
        fenced: Fenced,
        (number, file): (u64, File),
    ) -> Self {
        let Fenced { life, epoch, incarnations } = fenced;
        let (checkpoint, start_digest) = match origin {
            Origin::Start(digest) => (None, digest),
            Origin::Checkpoint(number) => (Some(number), 0),
        };
        Self {
            format: BASE_FORMAT,
            number,
            job: job.to_owned(),
            shard: file.shard,
            life,
            epoch,
            incarnations,
            checkpoint,
            start_digest,
            file,
            tensors: spec.layout.tensors().to_vec(),
            optimizer: spec.optimizer,
            rules: spec.rules.clone(),
            correction: spec.correction,
            bound: spec.bound,
            chunk_elements: spec.chunk_elements,
            shards: spec.shards,
        }
    }

    /// Its name.
    pub fn name(&self) -> String {
        names::base_file(self.number)
    }

    /// Where the shard's part of the model came from.
    pub fn origin(&self) -> Origin {
        self.checkpoint.map_or(Origin::Start(self.start_digest), Origin::Checkpoint)
    }

    /// Who is shut out.
    pub fn fenced(&self) -> Fenced {
        let (life, epoch) = (self.life, self.epoch);
        Fenced { life, epoch, incarnations: self.incarnations.clone() }
    }

    /// The model.
    ///
    /// # Errors
    /// The tensors are none, or the file is no part of it.
    pub fn spec(&self) -> Result<ModelSpec, BaseError> {
        let failed = |what: String| BaseError { name: self.name(), what };
        let layout =
            Layout::new(self.tensors.clone()).map_err(|error| failed(error.to_string()))?;
        Ok(ModelSpec {
            layout,
            optimizer: self.optimizer,
            rules: self.rules.clone(),
            correction: self.correction,
            bound: self.bound,
            chunk_elements: self.chunk_elements,
            shards: self.shards,
        })
    }

    /// The file's content.
    ///
    /// # Errors
    /// A number cannot be written.
    pub fn encode(&self) -> Result<String, BaseError> {
        let failed = |what: String| BaseError { name: self.name(), what };
        let json = serde_json::to_string_pretty(self).map_err(|error| failed(error.to_string()))?;
        Ok(checked::seal(BEFORE_CRC, &json))
    }

    /// Reads a file's content.
    ///
    /// # Errors
    /// It was changed, is of another format, or says something impossible; the message names the file.
    pub fn decode(name: &str, bytes: &[u8]) -> Result<Self, BaseError> {
        let failed = |what: String| BaseError { name: name.to_owned(), what };
        let json = checked::open(BEFORE_CRC, "no base", bytes).map_err(failed)?;
        let value: serde_json::Value =
            serde_json::from_str(json).map_err(|error| failed(error.to_string()))?;
        let format = &value["format"];
        if *format != BASE_FORMAT {
            return Err(failed(format!(
                "format {format}, expected {BASE_FORMAT}: use the version of the program that wrote it"
            )));
        }
        let base: Self =
            serde_json::from_value(value).map_err(|error| failed(error.to_string()))?;
        if base.name() != name {
            return Err(failed(format!("it is base {}", base.number)));
        }
        base.check()?;
        Ok(base)
    }

    fn check(&self) -> Result<(), BaseError> {
        let failed = |what: String| BaseError { name: self.name(), what };
        let spec = self.spec()?;
        let run = (self.shard < spec.shards).then(|| spec.partition().run(self.shard));
        let fits = self.file.check().is_ok()
            && self.file.shard == self.shard
            && run.is_some_and(|run| run == self.file.chunks);
        if fits { Ok(()) } else { Err(failed("its file holds another part of the model".into())) }
    }
}
