//! The journals of a job in a folder: whether they belong together, and nobody writes them.

use anyhow::{Context, bail};
use ps_core::ids::ShardId;
use ps_core::journal::{Base, JournalEnd, names};
use ps_core::model_spec::{ModelSpec, Origin};
use ps_runtime::files::{Directory, DirectoryLock, Files};
use ps_server::config::shard_folder;
use ps_server::{ReadFrom, StoredJournal};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The journals of a job.
pub(super) struct Journals {
    pub(super) folder: PathBuf,
    /// One or more, in order.
    pub(super) shards: Vec<ShardJournal>,
    spec: ModelSpec,
}

/// The journal of one of its servers.
pub(super) struct ShardJournal {
    location: PathBuf,
    stored: StoredJournal,
    /// Where it ends, if its job was over and kept it.
    pub(super) end: Option<JournalEnd>,
    /// No server writes there as long as this is held.
    _lock: DirectoryLock,
}

impl Journals {
    /// Opens the journals of a job, all of them.
    ///
    /// # Errors
    /// There are none, one is missing, or is written just now, or they are of different jobs; the message says what to do.
    pub(super) fn find(folder: &Path, from: ReadFrom) -> anyhow::Result<Self> {
        Directory::existing(folder)?;
        let Some(first) = lowest(folder)? else { bail!("{}", no_journals(folder)) };
        let first = ShardJournal::open(folder, first, from)?;
        let spec = first.stored.spec().clone();
        let mut shards = Vec::new();
        let mut first = Some(first);
        for shard in 0..spec.shards {
            let opened = match first.take_if(|first| first.shard() == shard) {
                Some(first) => first,
                None => {
                    let location = folder.join(shard_folder(shard));
                    if !location.is_dir() {
                        bail!(
                            "{} is missing: the job has {} servers, and each has a part of the model; bring the journals of all of \
                             them together",
                            location.display(),
                            spec.shards
                        );
                    }
                    ShardJournal::open(folder, shard, from)?
                }
            };
            shards.push(opened);
        }
        let journals = Self { folder: folder.to_owned(), shards, spec };
        journals.check_together()?;
        Ok(journals)
    }

    /// The model.
    pub(super) fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// What the journals stand on, by shard.
    pub(super) fn bases(&self) -> impl Iterator<Item = &Base> {
        self.shards.iter().map(|journal| journal.stored.base())
    }

    /// Whether the job was over, and all that its journals then had is to be there.
    pub(super) fn are_ended(&self) -> bool {
        self.shards.iter().all(|journal| journal.end.is_some())
    }

    fn check_together(&self) -> anyhow::Result<()> {
        let mut bases = self.bases();
        let Some(first) = bases.next() else { return Ok(()) };
        for (journal, base) in self.shards[1..].iter().zip(bases) {
            let differs = |what: String| {
                anyhow::anyhow!(
                    "{}: {what}; the journals of one job belong in one folder",
                    journal.shown()
                )
            };
            let (here, there) = (&base.job, &first.job);
            if here != there {
                return Err(differs(format!(
                    "it is of job `{here}`, that of shard 0 of `{there}`"
                )));
            }
            if let Some(difference) = journal.stored.spec().difference(&self.spec) {
                return Err(differs(format!("it has another model than shard 0: {difference}")));
            }
            let (here, there) = (base.origin(), first.origin());
            if origin(here) != origin(there) {
                let (here, there) = (origin_words(here), origin_words(there));
                return Err(differs(format!(
                    "it begins with {here}, that of shard 0 with {there}"
                )));
            }
        }
        Ok(())
    }
}

/// The checkpoint that a shard was restored from, if it was.
fn origin(origin: Origin) -> Option<u64> {
    match origin {
        Origin::Start(_) => None,
        Origin::Checkpoint(number) => Some(number),
    }
}

/// The same for people.
pub(super) fn origin_words(from: Origin) -> String {
    origin(from)
        .map_or_else(|| "the start weights".to_owned(), |number| format!("checkpoint {number}"))
}

/// The lowest shard that has a folder.
fn lowest(folder: &Path) -> anyhow::Result<Option<ShardId>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("listing directory {}", folder.display()))?;
    let mut lowest = None;
    for entry in entries {
        let entry = entry.with_context(|| format!("listing directory {}", folder.display()))?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("shard-")?.parse().ok());
        let number = number.filter(|number| shard_folder(*number).as_str() == name);
        lowest = [lowest, number].into_iter().flatten().min();
    }
    Ok(lowest)
}

/// What is wrong with a folder that holds no journals.
fn no_journals(folder: &Path) -> String {
    let shown = folder.display();
    let is_base = |name: &str| names::parse_base_file(name).is_some();
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    if names.into_iter().any(|entry| entry.file_name().to_str().is_some_and(is_base)) {
        return format!(
            "{shown}: this is the journal of one server; give the folder that it is in, with those of all servers of its job"
        );
    }
    let nested = folder.join(crate::plan::JOURNAL_FOLDER);
    if nested.is_dir() {
        return format!("{shown}: no journals are in it; is {} meant?", nested.display());
    }
    format!(
        "{shown}: no journals are in it: expected folders shard-0, shard-1, .. as a job with --durability wal writes them; they \
         are removed when the job is done, unless it has --keep-journal"
    )
}

impl ShardJournal {
    fn open(folder: &Path, shard: ShardId, from: ReadFrom) -> anyhow::Result<Self> {
        let location = folder.join(shard_folder(shard));
        let shown = location.display();
        let directory = Directory::existing(&location)?;
        let Some(lock) = directory.lock()? else {
            bail!(
                "{shown}: a server writes there; wait for the end of its job, or replay a copy of the folder"
            );
        };
        let files = Arc::new(directory) as Files;
        let stored = StoredJournal::find(&files, from).with_context(|| format!("{shown}"))?;
        let Some(stored) = stored else {
            bail!(
                "{shown}: no base is in it, so that its server never held a part of a model, or had removed it when its job was \
                 done; --keep-journal keeps it"
            );
        };
        let found = stored.base().shard;
        if found != shard {
            bail!(
                "{shown}: found the journal of shard {found}, expected that of shard {shard}; was the folder renamed?"
            );
        }
        let end = stored.end().with_context(|| format!("{shown}"))?;
        Ok(Self { location, stored, end, _lock: lock })
    }

    pub(super) fn stored(&self) -> &StoredJournal {
        &self.stored
    }

    pub(super) fn shard(&self) -> ShardId {
        self.stored.base().shard
    }

    /// What it is, for messages.
    pub(super) fn shown(&self) -> String {
        self.location.display().to_string()
    }
}
