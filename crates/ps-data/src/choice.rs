//! What is used of one folder: the files of a set by their names, and what is left out.

use std::path::PathBuf;

use crate::Error;
use crate::data_files::DataFiles;
use crate::file_names::{ending, names_below};
use crate::folder::listing;
use crate::role::{ByRole, Role};
use crate::set_aside::{SetAside, Why};

/// What is used of a folder. Of IDX files, each set is a file of images and one of labels.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    pub(crate) training: Vec<PathBuf>,
    pub(crate) test: Vec<PathBuf>,
    /// Measured with during training: what is chosen by looking at it must not be what is reported at the end.
    pub(crate) validation: Vec<PathBuf>,
    pub(crate) set_aside: Vec<SetAside>,
    pub(crate) notes: Vec<String>,
}

impl Choice {
    /// Sets files aside for one reason.
    pub(crate) fn leave_out(&mut self, files: Vec<PathBuf>, why: &Why) {
        let set_aside = |path| SetAside { path, why: why.clone() };
        self.set_aside.extend(files.into_iter().map(set_aside));
    }

    /// Takes the files to measure with: the test files, or else those for validation.
    fn measure_with(&mut self, test: Vec<PathBuf>, validation: Vec<PathBuf>) {
        if test.is_empty() && !validation.is_empty() {
            self.notes.push("no test files: the validation files are the test set".to_owned());
            self.test = validation;
        } else {
            self.test = test;
            self.validation = validation;
        }
    }
}

/// Both sets in one folder; `sharded`: there may be nothing to train on.
pub(crate) fn both(found: &DataFiles, sharded: bool) -> Result<Choice, Error> {
    let by_role = ByRole::new(&found.root, found.files.clone());
    let has_nothing_to_train = by_role.training.is_empty() && by_role.unnamed.is_empty();
    if has_nothing_to_train && by_role.has_measured() && !sharded {
        return Err(Error::NotFound {
            dir: found.root.clone(),
            looked_for: "train.csv or other files to train on, beside the test files".to_owned(),
            found: listing(&found.root),
            hint: "point --data at a folder with training data, and --test at these",
        });
    }
    check_not_empty(found, &by_role, Role::Training, sharded)?;
    check_not_empty(found, &by_role, Role::Test, sharded)?;
    let mut choice = Choice::default();
    if by_role.training.is_empty() {
        if by_role.has_measured() && !by_role.unnamed.is_empty() {
            let names = names_below(&found.root, &by_role.unnamed);
            choice.notes.push(format!("trained on, as no name says `train`: {names}"));
        }
        choice.training = by_role.unnamed;
    } else {
        check_unnamed(found, &by_role)?;
        choice.training = by_role.training;
    }
    choice.measure_with(by_role.test, by_role.validation);
    Ok(choice)
}

/// The training files of a folder where `--test` names another.
pub(crate) fn training(found: &DataFiles, sharded: bool) -> Result<Choice, Error> {
    let by_role = ByRole::new(&found.root, found.files.clone());
    let mut choice = Choice::default();
    let is_measured_only = by_role.training.is_empty() && by_role.unnamed.is_empty();
    if is_measured_only && by_role.has_measured() {
        let names = names_below(&found.root, &found.files);
        choice.notes.push(format!("trained on, as --data names nothing else: {names}"));
        choice.training = found.files.clone();
        return Ok(choice);
    }
    check_not_empty(found, &by_role, Role::Training, sharded)?;
    choice.training = match by_role.training.is_empty() {
        true => by_role.unnamed,
        false => check_unnamed(found, &by_role).map(|()| by_role.training)?,
    };
    choice.validation = by_role.validation;
    choice.leave_out(by_role.test, &Why::OfOtherSet("--data"));
    Ok(choice)
}

/// The test files of the folder that `--test` names.
pub(crate) fn test(found: &DataFiles, sharded: bool) -> Result<Choice, Error> {
    let by_role = ByRole::new(&found.root, found.files.clone());
    check_not_empty(found, &by_role, Role::Test, sharded)?;
    let mut choice = Choice::default();
    if by_role.any_named().is_none() {
        choice.test = by_role.unnamed;
        return Ok(choice);
    }
    check_unnamed(found, &by_role)?;
    if by_role.has_measured() {
        choice.measure_with(by_role.test, by_role.validation);
        choice.leave_out(by_role.training, &Why::OfOtherSet("--test"));
    } else {
        let names = names_below(&found.root, &by_role.training);
        choice.notes.push(format!("measured with, as --test names nothing else: {names}"));
        choice.test = by_role.training;
    }
    Ok(choice)
}

/// The validation files of the folder that `--validation` names.
pub(crate) fn validation(found: &DataFiles, sharded: bool) -> Result<Choice, Error> {
    let by_role = ByRole::new(&found.root, found.files.clone());
    check_not_empty(found, &by_role, Role::Validation, sharded)?;
    let mut choice = Choice::default();
    if by_role.any_named().is_none() {
        choice.validation = by_role.unnamed;
        return Ok(choice);
    }
    check_unnamed(found, &by_role)?;
    // What its name says is the best word; a folder of one kind only is named for what it holds.
    let mut sets = [by_role.validation, by_role.test, by_role.training].into_iter();
    choice.validation = sets.find(|set| !set.is_empty()).unwrap_or_default();
    sets.for_each(|set| choice.leave_out(set, &Why::OfOtherSet("--validation")));
    Ok(choice)
}

/// Refuses files of no set by their names beside such as are of one: nobody knows whether they are
/// more of it or something else.
fn check_unnamed(found: &DataFiles, by_role: &ByRole) -> Result<(), Error> {
    match by_role.any_named() {
        Some(named) if !by_role.unnamed.is_empty() => Err(no_set(found, &by_role.unnamed, named)),
        _ => Ok(()),
    }
}

/// Files of which nobody can say the set, beside one of which the name does.
pub(crate) fn no_set(found: &DataFiles, files: &[PathBuf], named: &PathBuf) -> Error {
    let root = &found.root;
    Error::Unclear {
        dir: root.clone(),
        problem: format!(
            "{} {} file(s) are of no set by their names, beside others that are of one ({}): {}",
            files.len(),
            found.format.name(),
            names_below(root, &[named]),
            names_below(root, files)
        ),
        hint: "rename them (`train`, `test` or `validation` as a word of the name), move them \
               elsewhere, or leave them out with --ignore-files PATTERN",
    }
}

/// Refuses a set of which every file is empty: it is not one that nobody wanted. A host's share of
/// it may be so.
fn check_not_empty(
    found: &DataFiles,
    by_role: &ByRole,
    wanted: Role,
    sharded: bool,
) -> Result<(), Error> {
    let is_there = match wanted {
        Role::Training => !by_role.training.is_empty(),
        Role::Test | Role::Validation => by_role.has_measured(),
    };
    let is_of_set = |path: &PathBuf| {
        let role = Role::of_file(&found.root, path);
        let is_wanted =
            role.is_some_and(|role| (role == Role::Training) == (wanted == Role::Training));
        is_wanted && found.files.iter().any(|file| ending(file) == ending(path))
    };
    let empty = found.set_aside.iter().filter(|one| one.why == Why::Empty).map(|one| &one.path);
    match { empty }.find(|path| is_of_set(path)) {
        Some(path) if !is_there && !sharded => Err(Error::File {
            path: path.clone(),
            problem: "the file is empty, and so is every other of its set; expected at least one \
                      sample: was it written and copied in full? If it is not needed, leave it out \
                      with --ignore-files PATTERN"
                .to_owned(),
        }),
        _ => Ok(()),
    }
}
