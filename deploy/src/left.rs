//! The folder of a durable job's journals: whether a job was cut off there with all of its processes, and goes on.

use crate::cli::LocalArgs;
use crate::output::Output;
use crate::plan::{DEFAULT_JOB, JOURNAL_FOLDER, Lead, Plan, STATE_FOLDER};
use anyhow::{Context, bail};
use ps_core::checkpoint::names::parse_shard_file;
use ps_core::journal::names::{parse_base_file, parse_segment_file};
use ps_core::master::SavedJob;
use ps_runtime::files::{Directory, FileStore, Files, whole_name};
use ps_server::config::shard_folder;
use ps_server::{ReadFrom, StoredJournal};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the job was started with: with other options nobody could go on.
const OPTIONS_FILE: &str = "options.toml";

/// What kept journals of a job that went back to a checkpoint are in, before a number.
const BEFORE: &str = "before-";

/// The journals of a job on this machine, if it has any.
pub(crate) struct Journals {
    folder: Option<PathBuf>,
    /// Whether they stay when the job is over.
    is_kept: bool,
    /// The job that was cut off there.
    pub(crate) job: Option<String>,
}

impl Journals {
    /// Looks for what a job has left.
    ///
    /// # Errors
    /// A job runs there, or there is something else under the name of its master's state.
    pub(crate) async fn find(args: &LocalArgs, output: &Output) -> anyhow::Result<Self> {
        let folder = args.job.durability.journals(|| output.folder().join(JOURNAL_FOLDER));
        if let Some(folder) = folder.as_deref().filter(|folder| state(folder).exists()) {
            // The job may go on there: when it ends its folder is gone.
            let master = Directory::open_for("--journal", &folder.join(STATE_FOLDER))?;
            match master.lock_patiently("--journal").await {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                _ => (),
            }
        }
        let job = folder.as_deref().map(cut_off).transpose()?.flatten();
        // Whoever names the job means that one.
        let named = args.job.process.job_id.as_str();
        let job = job.filter(|job| named == DEFAULT_JOB || named == job);
        Ok(Self { folder, is_kept: args.job.durability.keep_journal, job })
    }

    /// Makes sure that the job can go on, or begin, here.
    ///
    /// # Errors
    /// It was started with other options, or there are journals that nobody can go on with, and that may be all that there is of
    /// another job; the message says what to do.
    pub(crate) fn prepare(&self, plan: &Plan) -> anyhow::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let (path, options) = (folder.join(OPTIONS_FILE), plan.options_text()?);
        if let Some(job) = &self.job {
            let before = std::fs::read_to_string(&path).unwrap_or_default();
            if let Some(difference) = difference(&before, &options) {
                bail!(
                    "job {job} in {} was started with other options: {difference}; give the same command, or remove that folder \
                     to begin anew",
                    folder.display()
                );
            }
            tracing::info!(
                "job {job} was cut off: it goes on from {}; remove that folder to begin anew",
                folder.display()
            );
            return Ok(());
        }
        let has_files = |folder: &PathBuf| {
            std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
        };
        for journal in plan.journals().filter(has_files) {
            if !is_empty(&journal) {
                bail!("{}", refusal(folder, &journal));
            }
            remove_journal(&journal);
        }
        let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, options));
        written.with_context(|| format!("writing {}", path.display()))
    }

    /// The processes have ended: what nobody goes on from is removed, unless it is kept. What people may do with that.
    pub(crate) fn end(&self) -> Option<String> {
        let folder = self.folder.as_ref()?;
        if state(folder).exists() {
            return None;
        }
        if self.is_kept && folder.join(shard_folder(0)).exists() {
            let shown = folder.display();
            return Some(format!(
                "the journals are kept in {shown}\nnext: psrun replay {shown} --out replayed.safetensors"
            ));
        }
        // Where one of them stays, the next job says so.
        let _ = std::fs::remove_file(folder.join(OPTIONS_FILE));
        let _ = std::fs::remove_dir(folder);
        None
    }

    /// The job goes back to a checkpoint: what happened since is of no use to it. Removes its journals, or moves those that are
    /// kept out of its way.
    ///
    /// # Errors
    /// They cannot be removed, or moved; the message names one.
    pub(crate) fn forget(&self, plan: &Plan) -> anyhow::Result<()> {
        if let Some(folder) = self.folder.as_ref().filter(|_| self.is_kept) {
            let aside = move_aside(folder, plan.journals())?;
            tracing::info!("the journals of what is trained again are kept in {}", aside.display());
        }
        plan.forget_journals()
    }
}

/// Moves those of these journals that are there into a new folder beside them; which.
fn move_aside(folder: &Path, journals: impl Iterator<Item = PathBuf>) -> anyhow::Result<PathBuf> {
    let mut number = 1;
    let aside = loop {
        let aside = folder.join(format!("{BEFORE}{number}"));
        if !aside.exists() {
            break aside;
        }
        number += 1;
    };
    for journal in journals.filter(|journal| journal.exists()) {
        let to = aside.join(journal.file_name().unwrap_or_default());
        let moved = std::fs::create_dir_all(&aside).and_then(|()| std::fs::rename(&journal, &to));
        moved.with_context(|| format!("moving {} to {}", journal.display(), to.display()))?;
    }
    Ok(aside)
}

/// Whether a journal never held a model: its job ended before it had one.
fn is_empty(journal: &Path) -> bool {
    let Ok(files) = Directory::existing(journal) else { return false };
    let files: Files = Arc::new(files);
    matches!(StoredJournal::find(&files, ReadFrom::Oldest), Ok(None))
        && files.list().is_ok_and(|names| names.iter().all(|name| is_of_journal(name)))
}

/// Why a job cannot have its journals in this folder, in which there is one already.
fn refusal(folder: &Path, journal: &Path) -> String {
    let (shown, folder) = (journal.display(), folder.display());
    let files = Directory::existing(journal).ok().map(|files| Arc::new(files) as Files);
    let stored = files.and_then(|files| StoredJournal::find(&files, ReadFrom::Oldest).ok()?);
    let Some(stored) = stored else {
        return format!(
            "{shown}: a journal of another job, which has ended or whose master left nothing to go on from; remove that folder, or \
             name another one with --journal"
        );
    };
    let job = &stored.base().job;
    match stored.end() {
        Ok(Some(_)) => format!(
            "{shown}: the journal of job {job}, which has ended and kept it (--keep-journal): `psrun replay {folder}` reads it; \
             name another folder with --journal (or --out), or remove {folder}"
        ),
        _ => format!(
            "{shown}: a journal of another job, {job}, which has ended or whose master left nothing to go on from; remove that \
             folder, or name another one with --journal; `psrun replay {folder}` says what is in it"
        ),
    }
}

impl Plan {
    /// Removes what a job that its master has led to its end leaves of that, and if it ended well of journals, too: of a
    /// server that was killed while it removed its own. Nobody goes on from there.
    pub(crate) fn forget_ended(&self, is_well: bool) {
        let Lead::Here(master) = &self.lead else { return };
        let Some(folder) = master.state() else { return };
        let path = folder.join(ps_master::STATE_FILE);
        if folder.join(ps_master::BEFORE_END_FILE).exists() {
            // It was not done, and goes on from there.
            return;
        }
        if !saved(&path).is_ok_and(|saved| saved.is_some_and(|it| it.machine.is_finished())) {
            return;
        }
        if is_well && !self.rules.keeps_journals {
            self.journals().for_each(|folder| remove_journal(&folder));
        }
        if let Ok(files) = Directory::existing(&folder) {
            // With the room that is reserved for it.
            for name in [ps_master::STATE_FILE, ps_master::BEFORE_END_FILE] {
                if let Err(error) = files.remove(name) {
                    tracing::warn!("{error}; it is of no use any more");
                }
            }
        }
        // Whatever else lies there stays.
        let folders = folder.ancestors().take(2);
        folders.take_while(|it| !it.exists() || std::fs::remove_dir(it).is_ok()).for_each(drop);
    }
}

/// Removes what is left of a server's journal; whatever else lies there stays.
fn remove_journal(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_str().is_some_and(is_of_journal)) {
        remove(&entry.path());
    }
    let _ = std::fs::remove_dir(folder);
}

fn is_of_journal(name: &str) -> bool {
    let name = whole_name(name);
    parse_segment_file(name).is_some()
        || parse_base_file(name).is_some()
        || parse_shard_file(name).is_some()
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!("removing {}, which is of no use any more: {error}", path.display());
    }
}

fn state(folder: &Path) -> PathBuf {
    folder.join(STATE_FOLDER).join(ps_master::STATE_FILE)
}

/// The job whose master has left its state, and has not led it to its end.
fn cut_off(folder: &Path) -> anyhow::Result<Option<String>> {
    if folder.is_file() {
        bail!("--journal {}: expected a folder, found a file", folder.display());
    }
    let before_end = folder.join(STATE_FOLDER).join(ps_master::BEFORE_END_FILE);
    let found = match before_end.exists() {
        true => saved(&before_end),
        false => saved(&state(folder)),
    };
    let found = found
        .with_context(|| format!("nobody can go on; remove {} to begin anew", folder.display()))?;
    Ok(found.filter(|saved| !saved.machine.is_finished()).map(|saved| saved.job))
}

/// What a master wrote down in this file, if it is there.
fn saved(path: &Path) -> anyhow::Result<Option<SavedJob>> {
    let named = || path.display().to_string();
    match std::fs::read(path) {
        Ok(bytes) => SavedJob::decode(&bytes).map(Some).with_context(named),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(named),
    }
}

/// The first line that only one of them has.
fn difference(before: &str, now: &str) -> Option<String> {
    let only = |one: &str, other: &str| {
        let mut options = one.lines().filter(|line| !line.starts_with('#'));
        options.find(|line| !other.lines().any(|it| it == *line)).map(str::to_owned)
    };
    let (was, is) = (only(before, now), only(now, before));
    match (was, is) {
        (None, None) => None,
        (was, is) => {
            let said = |line: Option<String>| line.unwrap_or_else(|| "nothing".to_owned());
            Some(format!("it had {}, now {}", said(was), said(is)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A job may go back more than once, and a server may never have held anything.
    #[test]
    fn journals_that_are_kept_are_moved_and_not_mixed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let journals = || (0..3).map(|shard| folder.join(format!("shard-{shard}")));
        for life in ["1", "2"] {
            for journal in journals().take(2) {
                std::fs::create_dir(&journal).unwrap();
                std::fs::write(journal.join("base"), life).unwrap();
            }
            let aside = move_aside(folder, journals()).unwrap();
            assert_eq!(aside, folder.join(format!("before-{life}")));
            assert!(!journals().any(|journal| journal.exists()));
        }
        let read = |path: &str| std::fs::read_to_string(folder.join(path)).unwrap();
        assert_eq!(
            (read("before-1/shard-1/base"), read("before-2/shard-0/base")),
            ("1".into(), "2".into())
        );
        assert!(!folder.join("before-1/shard-2").exists());
    }

    #[test]
    fn what_is_different_is_told() {
        let options = "[ps-master]\nservers = \"3\"\nlr = \"0.1\"\n";
        assert_eq!(difference(options, options), None);
        let other = options.replace("0.1", "0.2");
        let expected = "it had lr = \"0.1\", now lr = \"0.2\"";
        assert_eq!(difference(options, &other).as_deref(), Some(expected));
        let less = "[ps-master]\nservers = \"3\"\n";
        let expected = "it had lr = \"0.1\", now nothing";
        assert_eq!(difference(options, less).as_deref(), Some(expected));
    }
}
