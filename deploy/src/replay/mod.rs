//! `psrun replay`: the weights of a job from its servers' journals, and which push went wrong.
//!
//! - `folder`: the journals of a job, whether they belong together, and nobody writes them.
//! - `said`: what is told of them.

mod folder;
mod said;

use crate::checkpoint::Said;
use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use folder::{Journals, ShardJournal};
use ps_core::model_file::header;
use ps_core::replayed::{Findings, ReplayCounts, ReplayedShard};
use ps_core::shard::{Guards, Shard};
use ps_runtime::files::{Directory, Replacement};
use ps_server::{ReadFrom, ReadJournal};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) const EXAMPLES: &str = "Examples:
  psrun local --durability wal --keep-journal --out out/run  # a job that can be replayed from its start
  psrun replay out/run/journal                               # what happened, and which push went wrong
  psrun replay out/run/journal --out replayed.safetensors    # the weights again, bit for bit

DIR is the folder that the job had as --journal (or journal/ in its --out folder), with the folders
shard-0, shard-1, .. of all its servers; of a job on several hosts, bring them together in one. Without
--keep-journal a journal has what happened since its shard was last written whole, and is there as
long as the job is not done; with it, all that happened since the job's start, or since the checkpoint
that it went on from. Nothing in DIR is changed, and no server may be writing there.

Each shard's journal is replayed in its order, with the code that servers come back with, one shard and
one batch of records in memory. Standard output has a line for each shard, `shard=0; base=2; segments=3;
bytes=915200; torn_bytes=0; pushes=1350; chunks=72900; refused=0; torn=0;` and one for all of them,
`replayed_pushes=1350; replayed_chunks=218700; refused_chunks=0; shards=3; torn=0; ended=true;`. torn:
pushes that are in a part of a shard only, counted on each; ended: the job was over, and all that its
journals then had is there.

Two kinds of pushes are looked for, and told in a line each and in words:
  first_nonfinite_worker=1; first_nonfinite_incarnation=..; first_nonfinite_clock=..;
    first_nonfinite_staleness=..; first_nonfinite_loss=..; first_nonfinite_shard=..;
    first_nonfinite_chunk=..; first_nonfinite_tensors=..; first_nonfinite_what=gradient;
      the first push that would have made a weight NaN or infinite. Servers refuse the chunk, so that
      no weight ever is; `what` says whether the gradient itself was not finite, or its result.
  loss_jump_worker=1; .. loss_jump_loss=7.31; loss_jump_median=0.21; loss_jump_limit=1.36;
      the first push whose loss is NaN or infinite, or above a limit: the median of up to 64 losses
      before it, and 10 times their median distance from it, but at least half the median of the first
      8 losses (at least 0.05). Before there are 8, the limit is the median and 9 times as much.
Who computes on weights that went wrong has not made them so: each line has `.._after_worker`, `_clock`,
`_staleness`, `_loss` and `_change`, too, of the push that had changed most, among the newest 64 that were
in the weights that it was computed from (change: the Euclidean distance, over the chunks there).
The journals of different shards have no order among each other: of what stands out on several of
them, that is told which had the fewest pushes before it, and then that of the lowest shard.

Exit codes: 0 replayed, 1 failed (also: a journal is damaged; file and byte are named), 64 bad usage.";

/// Which journals, and where the model goes.
#[derive(Args, Clone, Debug)]
pub struct ReplayArgs {
    /// Folder of a job's journals: with shard-0, shard-1, ..
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Where each journal is read from: the oldest time that its shard was written whole, or the newest, which is faster and
    /// gives the same weights.
    #[arg(long, value_enum, default_value_t, value_name = "BASE")]
    pub from: BaseChoice,
    /// File for the weights, as safetensors [default: they are not written].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Replace the file that is there.
    #[arg(long, requires = "out")]
    pub overwrite: bool,
}

/// Where a journal is read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum BaseChoice {
    /// The oldest time that the shard was written whole.
    #[default]
    Oldest,
    /// The newest.
    Newest,
}

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
    let model = args.out.as_deref().map(|out| ModelPlace::new(out, args.overwrite)).transpose()?;
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
    fn new(out: &Path, overwrites: bool) -> anyhow::Result<Self> {
        let shown = out.display();
        let name = out.file_name().and_then(|name| name.to_str()).filter(|_| !out.is_dir());
        let Some(name) = name else {
            bail!("--out {shown}: this is no name of a file; say --out FILE.safetensors");
        };
        if !overwrites && out.exists() {
            bail!(
                "--out {shown}: there is a file already; replace it with --overwrite, or choose another name"
            );
        }
        let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = Directory::open_for("--out", parent.unwrap_or(Path::new(".")))?;
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
