//! Data of a program's own, by name.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use ps_data::Dataset;

use super::ModelOptions;

/// What the options say of data that a program makes or reads itself.
#[derive(Clone, Debug, Default)]
pub struct DataRequest {
    /// `--data`, which may be whatever the program understands.
    pub data: Option<PathBuf>,
    /// `--test`.
    pub test: Option<PathBuf>,
    /// `--dataset-option`: whoever takes none that is there has its name in an error.
    pub options: ModelOptions,
}

type Read = dyn Fn(&mut DataRequest) -> Result<Dataset, Box<dyn Error + Send + Sync>> + Send + Sync;

/// The data sets that a program has of its own.
#[derive(Clone, Default)]
pub(super) struct OwnData(BTreeMap<String, Arc<Read>>);

impl OwnData {
    /// Adds one; one of the same name is replaced.
    pub(super) fn insert(
        &mut self,
        name: String,
        read: impl Fn(&mut DataRequest) -> Result<Dataset, Box<dyn Error + Send + Sync>>
        + Send
        + Sync
        + 'static,
    ) {
        self.0.insert(name, Arc::new(read));
    }

    /// Reads the one of this name.
    ///
    /// # Errors
    /// There is none, it has no such option, or what reading it says.
    pub(super) fn read(&self, name: &str, mut request: DataRequest) -> Result<Dataset, String> {
        let Some(read) = self.0.get(name) else {
            let known: Vec<&str> = self.0.keys().map(String::as_str).collect();
            let known = match known.as_slice() {
                [] => "this program has none of its own".to_owned(),
                known => format!("known: {}", known.join(", ")),
            };
            return Err(format!("--dataset: no dataset is named `{name}`; {known}"));
        };
        let data = read(&mut request).map_err(|error| format!("dataset `{name}`: {error}"))?;
        match request.options.left_over() {
            Some(problem) => Err(format!("dataset `{name}`: {problem}")),
            None => Ok(data),
        }
    }
}
