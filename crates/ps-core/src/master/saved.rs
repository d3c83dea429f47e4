//! A master's state as bytes, for a process that goes on where another one died.
//!
//! Eight bytes say what it is, then a format and a CRC-32 of the state as little-endian `u32`, and how many bytes that has as a
//! `u64`: the state in MessagePack, with the names of its fields, so that what another version wrote is told apart and not misread.
//! Nothing but zeros may follow, of a longer one that was in the same file before.

use super::{Config, Machine};
use crate::settings::TrainingSettings;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the bytes begin with.
const MAGIC: &[u8; 8] = b"psmaster";

/// Raised when the state means something else under the same names.
const FORMAT: u32 = 2;

/// Magic, format, checksum and length.
const HEAD_BYTES: usize = 24;

/// Why nobody can go on from bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum SavedError {
    #[error("{found} bytes that do not begin as a master's state does; expected `psmaster`")]
    NotState { found: usize },
    #[error(
        "a master's state of format {found}, expected {FORMAT}: another version of this program wrote it"
    )]
    Format { found: u32 },
    #[error(
        "a master's state with checksum {found:#010x}, expected {expected:#010x}: the file was changed or cut off"
    )]
    Damaged { found: u32, expected: u32 },
    #[error(
        "a master's state that cannot be read ({reason}): another version of this program wrote it"
    )]
    Unreadable { reason: String },
    #[error("the state of job `{found}`, and this is job `{expected}`")]
    OtherJob { found: String, expected: String },
    #[error("the job was started with other options: {0}")]
    OtherOptions(String),
    #[error("the state cannot be written down: {reason}")]
    Unwritable { reason: String },
}

/// A job at the moment at which it was written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedJob<M = Machine> {
    /// The job's id.
    pub job: String,
    /// What the master was told at its start.
    pub given: Config,
    /// The master's time of that moment, which goes on from there.
    pub now: Duration,
    /// Milliseconds since 1970 at that moment, for people.
    pub unix_ms: u64,
    /// Everything else.
    pub machine: M,
}

impl SavedJob<&Machine> {
    /// The bytes.
    ///
    /// # Errors
    /// The state has something that cannot be written down, which is a mistake of the program.
    pub fn encode(&self) -> Result<Vec<u8>, SavedError> {
        let unwritable = |reason: String| SavedError::Unwritable { reason };
        let mut bytes = vec![0; HEAD_BYTES];
        let mut serializer = rmp_serde::Serializer::new(&mut bytes).with_struct_map();
        self.serialize(&mut serializer).map_err(|error| unwritable(error.to_string()))?;
        let checksum = crc32fast::hash(&bytes[HEAD_BYTES..]);
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        let length = (bytes.len() - HEAD_BYTES) as u64;
        bytes[16..24].copy_from_slice(&length.to_le_bytes());
        Ok(bytes)
    }
}

impl SavedJob {
    /// What the bytes say.
    ///
    /// # Errors
    /// They are no state, damaged, or of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, SavedError> {
        let number = |at: usize| {
            let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
            four.map(u32::from_le_bytes)
        };
        let (Some(format), Some(expected), true) =
            (number(8), number(12), bytes.starts_with(MAGIC))
        else {
            return Err(SavedError::NotState { found: bytes.len() });
        };
        if format != FORMAT {
            return Err(SavedError::Format { found: format });
        }
        let length = bytes.get(16..HEAD_BYTES).and_then(|eight| eight.try_into().ok());
        let length = usize::try_from(length.map_or(0, u64::from_le_bytes)).unwrap_or(usize::MAX);
        let (state, rest) = bytes
            .get(HEAD_BYTES..)
            .and_then(|all| all.split_at_checked(length))
            .unwrap_or((bytes, &[]));
        let found = crc32fast::hash(state);
        if found != expected || rest.iter().any(|byte| *byte != 0) {
            return Err(SavedError::Damaged { found, expected });
        }
        rmp_serde::from_slice(state)
            .map_err(|error| SavedError::Unreadable { reason: error.to_string() })
    }

    /// Whether a process that was told this at its start may go on with it.
    ///
    /// # Errors
    /// It leads another job, or this one otherwise: members were told already how it is led.
    pub fn check(&self, job: &str, given: &Config) -> Result<(), SavedError> {
        if self.job != job {
            let (found, expected) = (self.job.clone(), job.to_owned());
            return Err(SavedError::OtherJob { found, expected });
        }
        match self.given.difference(given) {
            Some(difference) => Err(SavedError::OtherOptions(difference)),
            None => Ok(()),
        }
    }
}

/// The first setting that is another one, by its name.
fn different_setting(was: &TrainingSettings, is: &TrainingSettings) -> String {
    let fields = |settings| match serde_json::to_value(settings) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (was, is) = (fields(was), fields(is));
    let mut different = was.iter().filter(|(name, value)| is.get(*name) != Some(*value));
    match different.next() {
        Some((name, was)) => {
            let is = is.get(name).unwrap_or(&serde_json::Value::Null);
            format!("`{name}` was {was}, now it is {is}")
        }
        None => "a setting that it did not have".to_owned(),
    }
}

impl Config {
    /// What is different about another one, for people.
    fn difference(&self, other: &Self) -> Option<String> {
        let counts =
            |config: &Self| format!("{} servers, {} workers", config.servers, config.workers);
        let (was, is) = (counts(self), counts(other));
        if was != is {
            return Some(format!("it had {was}, now {is}"));
        }
        if self.settings != other.settings {
            return Some(different_setting(&self.settings, &other.settings));
        }
        if self.checkpoint_every != other.checkpoint_every {
            return Some("it wrote checkpoints at other times (--checkpoint-every-..)".to_owned());
        }
        let has = |config: &Self| if config.checkpoints { "with" } else { "without" };
        let (was, is) = (has(self), has(other));
        (was != is).then(|| format!("it was {was} --checkpoints, now {is}"))
    }
}
