//! How a journal ends that was kept when its job was over: what lies on the disk may be held against it.

use super::{BaseError, checked, names};
use crate::ids::ShardId;
use serde::{Deserialize, Serialize};

/// Where a journal ends to which nothing will be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalEnd {
    /// The job that has ended.
    pub job: String,
    /// Whose journal it is.
    pub shard: ShardId,
    /// The number of the last segment.
    pub segment: u64,
    /// How much of it counts, in bytes.
    pub bytes: u64,
}

/// What the file begins with, before its checksum.
const BEFORE_CRC: &str = "psrun journal end, CRC-32 ";

impl JournalEnd {
    /// The file's content.
    ///
    /// # Errors
    /// It cannot be written as text.
    pub fn encode(&self) -> Result<String, BaseError> {
        let json = serde_json::to_string_pretty(self).map_err(|error| failed(error.to_string()))?;
        Ok(checked::seal(BEFORE_CRC, &json))
    }

    /// Reads the file's content.
    ///
    /// # Errors
    /// It was changed, or is something else; the message names the file.
    pub fn decode(bytes: &[u8]) -> Result<Self, BaseError> {
        let json = checked::open(BEFORE_CRC, "no end of a journal", bytes).map_err(failed)?;
        serde_json::from_str(json).map_err(|error| failed(error.to_string()))
    }
}

fn failed(what: String) -> BaseError {
    BaseError { name: names::END_FILE.to_owned(), what }
}
