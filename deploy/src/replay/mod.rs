//! `psrun replay`: the weights of a job from its servers' journals, and which push went wrong.
//!
//! - `args`: the command line.
//! - `folder`: the journals of a job, whether they belong together, and nobody writes them.
//! - `said`: what is told of them.

mod args;
mod folder;
mod said;

pub(crate) use args::EXAMPLES;
pub use args::{BaseChoice, ReplayArgs};

use crate::checkpoint::Said;
use anyhow::{Context, bail};
use folder::{Journals, ShardJournal};
use ps_core::model_file::header;
use ps_core::replayed::{Findings, ReplayCounts, ReplayedShard};
use ps_core::shard::{Guards, Shard};
use ps_runtime::files::{Directory, Replacement};
use ps_server::{ReadFrom, ReadJournal};
use std::path::Path;
use std::time::Duration;

/// Replays the journals of a job.
///
/// # Errors
/// They are not whole, do not belong together, or are being written; or the model cannot be written.
pub(crate) fn run(args: &ReplayArgs, said: &mut Said<'_>) -> anyhow::Result<()> {
    let from = match args.from {
        BaseChoice::Oldest => ReadFrom::Oldest,
        BaseChoice::Newest => ReadFrom::Newest,
    };
    let journals = Journals::find(&args.folder, from)?;
    let model = args.out.as_deref().map(|out| ModelPlace::new(out, args)).transpose()?;
    (said.tell)(&said::beginning(&journals));
    let mut all = Replayed::default();
    let mut file = model.as_ref().map(|model| ModelFile::begin(model, &journals)).transpose()?;
    for journal in &journals.shards {
        let shard = Shard::new(journal.shard(), None, Guards::ALL, Box::new(|| ()));
        let replayed = replay(journal, &shard).with_context(|| journal.shown())?;
        writeln!(said.out, "{}", said::shard_line(journal, &replayed))?;
        if let Some(file) = &mut file {
            file.write(&shard)?;
        }
        all.add(replayed);
    }
    let written = file.map(ModelFile::commit).transpose()?;
    writeln!(said.out, "{}", said::all_line(&journals, &all))?;
    for (line, words) in said::findings(&journals, &all.findings) {
        writeln!(said.out, "{line}")?;
        (said.tell)(&words);
    }
    (said.tell)(&said::end(&journals, &all));
    if let (Some(bytes), Some(out)) = (written, &args.out) {
        let shown = out.display();
        (said.tell)(&format!(
            "the weights as the servers held them last are in {shown}, {bytes} bytes"
        ));
    }
    Ok(())
}

/// What came of a journal, or of several.
#[derive(Clone, Copy, Debug, Default)]
struct Replayed {
    read: ReadJournal,
    counts: ReplayCounts,
    findings: Findings,
    /// Pushes of which a part is there.
    torn: u64,
}

impl Replayed {
    fn add(&mut self, other: Self) {
        self.read.bytes += other.read.bytes;
        self.read.torn_bytes += other.read.torn_bytes;
        // A push is on every shard.
        self.counts.pushes = self.counts.pushes.max(other.counts.pushes);
        self.counts.chunks += other.counts.chunks;
        self.counts.refused += other.counts.refused;
        self.findings.add(other.findings);
        self.torn += other.torn;
    }
}

/// Makes the shard what its journal says.
fn replay(journal: &ShardJournal, shard: &Shard) -> anyhow::Result<Replayed> {
    let stored = journal.stored();
    stored.recover(shard, Duration::ZERO)?;
    let mut replayed = ReplayedShard::new(shard).context("its base holds no model")?;
    let read = stored.read(&mut |record| replayed.take(record))?;
    if let Some(end) = &journal.end {
        read.check_end(end)?;
    }
    let (counts, findings) = replayed.finish();
    Ok(Replayed { read, counts, findings, torn: shard.unfinished() })
}

/// Where the model goes.
struct ModelPlace {
    folder: Directory,
    name: String,
}

impl ModelPlace {
    fn new(out: &Path, args: &ReplayArgs) -> anyhow::Result<Self> {
        let shown = out.display();
        let name = out.file_name().and_then(|name| name.to_str()).filter(|_| !out.is_dir());
        let Some(name) = name else {
            bail!("--out {shown}: this is no name of a file; say --out FILE.safetensors");
        };
        let whole = |path: &Path| path.canonicalize().ok();
        let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        if let (Some(parent), Some(journals)) = (whole(parent), whole(&args.folder))
            && parent.starts_with(&journals)
        {
            bail!(
                "--out {shown}: that is among the journals, in which nothing is changed; say another place"
            );
        }
        if !args.overwrite && out.exists() {
            bail!(
                "--out {shown}: there is a file already; replace it with --overwrite, or choose another name"
            );
        }
        let folder = Directory::open_for("--out", parent)?;
        Ok(Self { folder, name: name.to_owned() })
    }
}

/// The model's file, which appears when it is whole.
struct ModelFile<'m> {
    file: Replacement<'m, Directory>,
    place: u64,
}

impl<'m> ModelFile<'m> {
    fn begin(place: &'m ModelPlace, journals: &Journals) -> anyhow::Result<Self> {
        let header = header(&journals.spec().layout).context("making the model's file")?;
        let mut file = Replacement::new(&place.folder, &place.name)?;
        file.write_at(0, &header)?;
        Ok(Self { file, place: header.len() as u64 })
    }

    /// Writes a shard's weights behind those of the one before it.
    fn write(&mut self, shard: &Shard) -> anyhow::Result<()> {
        let model = shard.model().context("the shard holds no model")?;
        for chunk in model.chunks() {
            let weights = chunk.lock().shared_weights();
            let bytes: &[u8] = weights.as_ref();
            self.file.write_at(self.place, bytes)?;
            self.place += bytes.len() as u64;
        }
        Ok(())
    }

    /// Its bytes.
    fn commit(self) -> anyhow::Result<u64> {
        self.file.commit()?;
        Ok(self.place)
    }
}
