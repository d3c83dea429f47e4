//! Which IDX files of a folder are used.

use super::pairs::{IdxFiles, IdxPair, Split};
use crate::Error;
use crate::choice::{Choice, no_set};
use crate::data_files::DataFiles;
use crate::set_aside::Why;

/// Both sets in one folder; `sharded`: there may be nothing to train on.
pub(crate) fn both(found: &DataFiles, sharded: bool) -> Result<Choice, Error> {
    let mut choice = Choice::default();
    let idx = IdxFiles::new(&found.root, found.files.clone())?;
    if !idx.has(Split::Train) && !idx.has(Split::Test) {
        choice.training = files(idx.pair(Split::Unnamed)?);
        return Ok(with_copies(choice, idx));
    }
    if !sharded || idx.has(Split::Train) {
        choice.training = files(idx.pair(Split::Train)?);
    }
    if idx.has(Split::Test) {
        choice.test = files(idx.pair(Split::Test)?);
    }
    check_unnamed(found, &idx)?;
    Ok(with_copies(choice, idx))
}

/// The one set in a folder: the first of these splits that is there.
pub(crate) fn one(
    found: &DataFiles,
    splits: [Split; 3],
    option: &'static str,
) -> Result<Choice, Error> {
    let mut choice = Choice::default();
    let idx = IdxFiles::new(&found.root, found.files.clone())?;
    let Some(split) = splits.into_iter().find(|&split| idx.has(split)) else {
        return Ok(choice);
    };
    // To whom it belongs is for the caller to say.
    choice.training = files(idx.pair(split)?);
    if split != Split::Unnamed {
        check_unnamed(found, &idx)?;
    }
    for other in splits.into_iter().filter(|&other| other != split) {
        choice.leave_out(idx.of(other), &Why::OfOtherSet(option));
    }
    Ok(with_copies(choice, idx))
}

/// Refuses files of no pair: nobody knows whether they are more of a set or something else.
fn check_unnamed(found: &DataFiles, idx: &IdxFiles) -> Result<(), Error> {
    let unnamed = idx.of(Split::Unnamed);
    let named = idx.of(Split::Train).into_iter().chain(idx.of(Split::Test)).next();
    match named {
        Some(named) if !unnamed.is_empty() => Err(no_set(found, &unnamed, &named)),
        _ => Ok(()),
    }
}

fn files(pair: IdxPair) -> Vec<std::path::PathBuf> {
    vec![pair.images, pair.labels]
}

fn with_copies(mut choice: Choice, idx: IdxFiles) -> Choice {
    choice.leave_out(idx.copies, &Why::Copy);
    choice
}
