//! Where a master keeps its files.

use ps_runtime::files::Files;

/// Where a master keeps its files: a [`ps_runtime::files::Directory`] has proven that it can be written.
#[derive(Clone)]
pub struct MasterFiles {
    /// Model and report.
    pub results: Files,
    /// Manifests of checkpoints, if they are to be written.
    pub checkpoints: Option<Files>,
    /// Its state, if another process is to go on when this one dies.
    pub state: Option<Files>,
}
