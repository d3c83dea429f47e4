//! A job that was cut off with all of its processes, and goes on where its journals end.

use crate::cli::LocalArgs;
use crate::output::Output;
use crate::plan::{DEFAULT_JOB, JOURNAL_FOLDER, STATE_FOLDER};
use anyhow::Context;
use ps_core::master::SavedJob;
use std::io::ErrorKind;

/// The id of the job whose master has left its state where this one's journals are to be.
///
/// # Errors
/// There is something else under that name.
pub(crate) fn find(args: &LocalArgs, output: &Output) -> anyhow::Result<Option<String>> {
    let journals = args.job.durability.journals(|| output.folder().join(JOURNAL_FOLDER));
    // Whoever names the job means that one.
    let is_named = args.job.process.job_id != DEFAULT_JOB;
    let Some(journals) = journals.filter(|_| !is_named) else { return Ok(None) };
    let path = journals.join(STATE_FOLDER).join(ps_master::STATE_FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    let saved = SavedJob::decode(&bytes).with_context(|| {
        format!("{}: remove {} to begin anew", path.display(), journals.display())
    })?;
    tracing::info!(
        "job {} was cut off: it goes on from {}; remove that folder to begin anew",
        saved.job,
        journals.display()
    );
    Ok(Some(saved.job))
}
