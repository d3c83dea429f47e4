//! What training data a member has, as it says when it registers.

use crate::schema::IdColumn;
use crate::task::Task;
use serde::{Deserialize, Serialize};

/// Whose the training samples are; all workers of a job have the same kind.
#[derive(Clone, Copy, Debug, Default, strum::Display, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataKind {
    /// Every worker has all samples.
    #[default]
    #[strum(to_string = "all samples (replicated)")]
    Replicated,
    /// Every worker has samples of its own, and the evaluator may have some, too.
    #[strum(to_string = "a share of its own (sharded)")]
    Sharded,
    /// Every worker reads a stream of its own, which cannot be wound back.
    #[strum(to_string = "a stream (streamed)")]
    Streamed,
    /// A program of the user reads what it likes.
    #[strum(to_string = "a program of the user's")]
    Program,
}

impl DataKind {
    /// Whether one lease is a whole pass: nobody can point into the middle.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Streamed | Self::Program)
    }
}

/// What training data a member has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataDescription {
    /// Whose the samples are.
    pub kind: DataKind,
    /// Training samples that the member has; 0 where nobody knows.
    pub samples: u64,
    /// Shape of one sample's features; empty without samples, or where nobody knows.
    pub shape: Vec<u64>,
    /// The columns that a model looks up, beside the features.
    pub ids: Vec<IdColumn>,
    /// What a model is to tell of the samples; means nothing where nobody knows the outputs.
    pub task: Task,
    /// Outputs of a model that tells it: one for each class, number or label; 0 without samples, or where nobody knows.
    pub outputs: u32,
    /// What it is to be learnt, in words that are the same for the same options: task, label columns, loss, weights; empty where
    /// nobody knows.
    pub objective: String,
    /// Where the member serves its samples to workers.
    pub served_at: Option<String>,
}

impl DataDescription {
    /// All samples, for a job whose workers all have them.
    pub fn replicated(samples: u64) -> Self {
        Self { samples, ..Self::default() }
    }
}
