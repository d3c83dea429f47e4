//! `psrun checkpoint verify`: whether every byte is as it was written.

use super::Said;
use super::folder::{Folder, Problem, bytes_of, list, spec_of};
use anyhow::bail;
use ps_core::checkpoint::{Manifest, names};

/// A checkpoint that was read to its last byte.
pub(super) struct Whole {
    pub(super) manifest: Manifest,
    pub(super) chunks: usize,
}

/// Reads every byte of a checkpoint. Each chunk is checked and forgotten before the next one is read.
///
/// That each chunk of the model is there exactly once follows from the manifest, whose files must be a run of the grid each
/// and tile it, and from each file, which must hold just that run.
///
/// # Errors
/// What is wrong: one problem for each file that has one.
pub(super) fn read(folder: &Folder<'_>, number: u64) -> Result<Whole, Vec<Problem>> {
    let manifest = folder.manifest(number).map_err(|problem| vec![problem])?;
    let spec = spec_of(&manifest).map_err(|problem| vec![problem])?;
    let (mut problems, mut chunks) = (Vec::new(), 0);
    for file in &manifest.files {
        let count = |_, _| {
            chunks += 1;
            Ok(())
        };
        problems.extend(folder.read(file, &spec, count).err());
    }
    if problems.is_empty() { Ok(Whole { manifest, chunks }) } else { Err(problems) }
}

/// Verifies the checkpoint of this number, or all.
///
/// # Errors
/// One is damaged, or there is none.
pub(super) fn run(
    folder: &Folder<'_>,
    number: Option<u64>,
    said: &mut Said<'_>,
) -> anyhow::Result<()> {
    folder.choose(number)?;
    let numbers = match number {
        Some(number) => [number].into(),
        None => folder.contents.finished(),
    };
    let (mut whole, mut wrong) = (Vec::new(), Vec::new());
    for number in numbers {
        match read(folder, number) {
            Ok(Whole { manifest, chunks }) => {
                let (files, bytes) = (manifest.files.len(), bytes_of(&manifest));
                writeln!(
                    said.out,
                    "checkpoint={number}; ok=true; files={files}; chunks={chunks}; bytes={bytes};"
                )?;
                whole.push(number);
            }
            Err(_) if folder.is_gone(number) => {
                (said.tell)(&format!(
                    "checkpoint {number} was removed while it was read: a job is running that has newer ones"
                ));
            }
            Err(problems) => {
                writeln!(said.out, "checkpoint={number}; ok=false; problems={};", problems.len())?;
                for problem in &problems {
                    (said.tell)(&format!("checkpoint {number}: {problem}"));
                }
                wrong.push((number, problems));
            }
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => bail!(what_to_do(folder, number, &whole, &wrong)),
    }
}

/// What is wrong, and what to do about it.
fn what_to_do(
    folder: &Folder<'_>,
    only: Option<u64>,
    whole: &[u64],
    wrong: &[(u64, Vec<Problem>)],
) -> String {
    let location = folder.files.location();
    let numbers = list(wrong.iter().map(|(number, _)| *number));
    let first = wrong.iter().flat_map(|(_, problems)| problems).next();
    let first = first.map(ToString::to_string).unwrap_or_default();
    let what = format!("checkpoint {numbers} in {location} cannot be used: {first}");
    if wrong.iter().flat_map(|(_, problems)| problems).all(Problem::is_foreign) {
        // Which says what to do.
        return what;
    }
    match (whole.last(), only) {
        (Some(newest), _) => format!(
            "{what}; the newest whole one is {newest}: a job started with --checkpoints {location} goes on from it by \
             itself. To remove what is damaged: psrun checkpoint prune {location} --keep {}",
            whole.len()
        ),
        (None, Some(number)) => format!(
            "{what}; `psrun checkpoint verify {location}` says which others are whole. To remove this one: rm \
             {location}/{} and then its shards' files",
            names::manifest_file(number)
        ),
        (None, None) => format!(
            "{what}; none is whole: bring the files back from where they were copied to, or start anew with another \
             --checkpoints (from the weights of a model: --initial-model)"
        ),
    }
}
