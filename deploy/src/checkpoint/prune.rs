//! `psrun checkpoint prune`: removes what nobody needs.

use super::folder::{Folder, Problem, list};
use super::verify::{Whole, read};
use super::{PruneArgs, Said};
use anyhow::bail;
use ps_core::checkpoint::{File, NamedFile, Retention};
use ps_runtime::files::{Directory, FileStore};
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// Keeps everybody else out, and removes.
///
/// # Errors
/// A job has the folder, there is no whole checkpoint, or something cannot be read or removed.
pub(super) fn run(args: &PruneArgs, said: &mut Said<'_>) -> anyhow::Result<()> {
    let files = Directory::existing(&args.folder)?;
    let Some(_lock) = files.lock()? else {
        bail!(
            "{}: a job keeps its checkpoints there just now, and removes older ones by itself; nothing was removed. Wait for \
             its end, or stop it",
            files.location()
        );
    };
    prune(&files, args.keep as usize, said)
}

/// Removes all but so many of the newest whole checkpoints. Nobody else must write there.
pub(super) fn prune(files: &dyn FileStore, keep: usize, said: &mut Said<'_>) -> anyhow::Result<()> {
    let folder = Folder::open(files)?;
    let Kept { kept, spared } = choose(&folder, keep, said)?;
    if kept.is_empty() {
        bail!(
            "{}: no whole checkpoint there, so that nothing was removed; `psrun checkpoint ls` shows what there is. Where \
             servers have folders of their own, bring the files together first",
            files.location()
        );
    }
    let numbers = list(kept.keys().copied());
    remove(files, &folder.contents.unused(&kept, &spared), said)?;
    (said.tell)(&match kept.len() {
        1 => format!("kept: checkpoint {numbers}, of which every byte was read"),
        _ => format!("kept: checkpoints {numbers}, of which every byte was read"),
    });
    Ok(())
}

/// What stays.
struct Kept {
    /// With their files.
    kept: BTreeMap<u64, Vec<File>>,
    /// Of another version of psrun.
    spared: BTreeSet<u64>,
}

fn choose(folder: &Folder<'_>, keep: usize, said: &mut Said<'_>) -> anyhow::Result<Kept> {
    let (mut kept, mut spared) = (BTreeMap::new(), BTreeSet::new());
    let mut retention = Retention::newest(keep);
    for number in folder.contents.finished().into_iter().rev() {
        let is_sound = match folder.manifest(number) {
            Ok(manifest) => !manifest.state.learning.is_in_doubt(),
            Err(problem) if problem.is_foreign() => {
                (said.tell)(&format!("checkpoint {number} stays: {problem}"));
                spared.insert(number);
                continue;
            }
            Err(problem) => {
                tell_damaged(number, vec![problem], said)?;
                continue;
            }
        };
        // What is not kept need not be read.
        if !retention.wants(is_sound) {
            continue;
        }
        match read(folder, number) {
            Ok(Whole { manifest, .. }) => {
                retention.take(is_sound);
                kept.insert(number, manifest.files);
            }
            Err(problems) => tell_damaged(number, problems, said)?,
        }
    }
    Ok(Kept { kept, spared })
}

/// What is damaged does not count. A disk that cannot be read just now is no reason to remove what it holds.
fn tell_damaged(number: u64, problems: Vec<Problem>, said: &mut Said<'_>) -> anyhow::Result<()> {
    for problem in problems {
        if !problem.is_damage() {
            return Err(anyhow::Error::from(problem)
                .context(format!("reading checkpoint {number}; nothing was removed")));
        }
        (said.tell)(&format!("checkpoint {number} is damaged and does not count: {problem}"));
    }
    Ok(())
}

/// Removes these files, of which the manifests come first, and says what there was of each checkpoint.
fn remove(files: &dyn FileStore, unused: &[&NamedFile], said: &mut Said<'_>) -> anyhow::Result<()> {
    let mut removed = BTreeMap::<u64, (u64, u64)>::new();
    let mut remove_all = |is_manifest: bool| -> io::Result<()> {
        for file in unused.iter().filter(|file| file.is_manifest == is_manifest) {
            let bytes = files.open(&file.name)?.bytes();
            files.remove(&file.name)?;
            let (count, sum) = removed.entry(file.number).or_default();
            (*count, *sum) = (*count + 1, *sum + bytes);
        }
        // Also after a crash no manifest may be left whose files are gone.
        if unused.is_empty() { Ok(()) } else { files.sync() }
    };
    let done = remove_all(true).and_then(|()| remove_all(false));
    for (number, (count, bytes)) in removed {
        writeln!(said.out, "checkpoint={number}; removed_files={count}; removed_bytes={bytes};")?;
    }
    Ok(done?)
}
