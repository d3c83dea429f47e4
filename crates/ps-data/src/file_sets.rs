//! Which files are for training, which for testing, and which are not used.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::choice::{self, Choice};
use crate::data_files::DataFiles;
use crate::file_names::names_below;
use crate::folder::listing;
use crate::idx::{self, Split};
use crate::ignored::Ignored;
use crate::set_aside::{self, SetAside, Why};
use crate::{DataSource, Error, Format};

/// The files that a source names, by what becomes of them.
#[derive(Debug)]
pub(crate) struct FileSets {
    pub(crate) format: Format,
    /// Of IDX files, each set is a file of images and one of labels.
    pub(crate) training: Vec<PathBuf>,
    pub(crate) test: Vec<PathBuf>,
    /// Files to measure with during training.
    pub(crate) validation: Vec<PathBuf>,
    /// By the folder, or file, that the user named.
    pub(crate) set_aside: Vec<(PathBuf, Vec<SetAside>)>,
    /// For people, without those about what is set aside.
    pub(crate) notes: Vec<String>,
}

impl FileSets {
    /// Finds the files of a source.
    pub(crate) fn find(source: &DataSource) -> Result<Self, Error> {
        let ignored = Ignored::new(&source.ignore_files)?;
        let found = |path: &Option<PathBuf>, option| {
            path.as_ref().map(|path| find(path, source, &ignored, option)).transpose()
        };
        let train = found(&source.train, "--data")?;
        let test = found(&source.test, "--test")?;
        let validation = found(&source.validation, "--validation")?;
        // A host's share may be without a file that others have.
        if !source.sharded {
            ignored.check_all_matched()?;
        }
        let format = common_format([&train, &test, &validation])?;
        let mut sets = Self::none(format.unwrap_or(source.format));
        let wanted = if source.test.is_some() { Wanted::Training } else { Wanted::Both };
        let named = validation.is_some();
        let found = [(train, wanted), (test, Wanted::Test), (validation, Wanted::Validation)];
        for (found, wanted) in found {
            if let Some(found) = found {
                let mut choice = choose(&found, wanted, source.sharded)?;
                if named && !matches!(wanted, Wanted::Validation) {
                    let others = std::mem::take(&mut choice.validation);
                    choice.leave_out(others, &Why::OfOtherSet("--validation"));
                }
                sets.add(found, choice);
            }
        }
        sets.leave_out_measured();
        sets.measure_at_the_end();
        Ok(sets)
    }

    /// No file of this format.
    fn none(format: Format) -> Self {
        let (training, test, validation) = (Vec::new(), Vec::new(), Vec::new());
        let (set_aside, notes) = (Vec::new(), Vec::new());
        Self { format, training, test, validation, set_aside, notes }
    }

    /// Adds what was chosen of a folder.
    fn add(&mut self, found: DataFiles, choice: Choice) {
        let root = found.root;
        let mut notes = [found.notes, choice.notes].concat();
        if !choice.validation.is_empty() {
            let names = names_below(&root, &choice.validation);
            notes.push(format!("validation files, measured with during training: {names}"));
        }
        self.notes.extend(notes.iter().map(|note| format!("{}: {note}", root.display())));
        self.training.extend(choice.training);
        self.test.extend(choice.test);
        self.validation.extend(choice.validation);
        let set_aside = found.set_aside.into_iter().chain(choice.set_aside).collect();
        self.set_aside.push((root, set_aside));
    }

    /// Takes the files that are measured with out of those that are trained on, where the folder of these
    /// holds both.
    fn leave_out_measured(&mut self) {
        self.leave_out(self.test.clone(), &Why::Tested);
        self.leave_out(self.validation.clone(), &Why::Validated);
    }

    fn leave_out(&mut self, measured: Vec<PathBuf>, why: &Why) {
        let real = |path: &PathBuf| path.canonicalize().unwrap_or_else(|_| path.clone());
        let measured: BTreeSet<PathBuf> = measured.iter().map(real).collect();
        let is_measured = |path: &PathBuf| measured.contains(&real(path));
        let (out, training): (Vec<_>, Vec<_>) =
            self.training.iter().cloned().partition(is_measured);
        match (out.is_empty(), training.is_empty()) {
            (true, _) => (),
            // Whoever names the same files twice wants that, or sees this line.
            (false, true) => {
                self.notes.push("trained on and measured with: the same files".to_owned());
            }
            (false, false) => {
                self.training = training;
                let set_aside = out.into_iter().map(|path| SetAside { path, why: why.clone() });
                if let Some((_, all)) = self.set_aside.first_mut() {
                    all.extend(set_aside);
                }
            }
        }
    }

    /// With validation files alone, these are what tells at the end how good the model is.
    fn measure_at_the_end(&mut self) {
        if self.test.is_empty() && !self.validation.is_empty() && self.format != Format::Text {
            self.test = std::mem::take(&mut self.validation);
            self.notes.push("no test files: the validation files are the test set".to_owned());
        }
    }

    /// Says what people should know of the choice.
    pub(crate) fn log(&self) {
        for note in &self.notes {
            tracing::info!("{note}");
        }
        for (root, set_aside) in &self.set_aside {
            for line in set_aside::lines(root, set_aside) {
                tracing::info!("{}: {line}", root.display());
            }
        }
    }
}

/// What a folder is looked through for.
#[derive(Clone, Copy)]
enum Wanted {
    Both,
    Training,
    Test,
    Validation,
}

/// What is used of a folder.
fn choose(found: &DataFiles, wanted: Wanted, sharded: bool) -> Result<Choice, Error> {
    const TRAIN_FIRST: [Split; 3] = [Split::Train, Split::Unnamed, Split::Test];
    const TEST_FIRST: [Split; 3] = [Split::Test, Split::Unnamed, Split::Train];
    match (found.format, wanted) {
        _ if found.files.is_empty() => Ok(Choice::default()),
        (Format::Idx, Wanted::Both) => idx::both(found, sharded),
        (Format::Idx, Wanted::Training) => idx::one(found, TRAIN_FIRST, "--data"),
        (Format::Idx, Wanted::Test) => {
            let choice = idx::one(found, TEST_FIRST, "--test")?;
            Ok(Choice { training: choice.test, test: choice.training, ..choice })
        }
        (Format::Idx, Wanted::Validation) => {
            let choice = idx::one(found, TEST_FIRST, "--validation")?;
            let (training, validation) = (Vec::new(), choice.training);
            Ok(Choice { training, validation, ..choice })
        }
        (_, Wanted::Both) => choice::both(found, sharded),
        (_, Wanted::Training) => choice::training(found, sharded),
        (_, Wanted::Test) => choice::test(found, sharded),
        (_, Wanted::Validation) => choice::validation(found, sharded),
    }
}

/// The data files there. None at all is legal only where each host has what fell to it.
fn find(
    path: &Path,
    source: &DataSource,
    ignored: &Ignored,
    option: &'static str,
) -> Result<DataFiles, Error> {
    let found = DataFiles::find(path, source.format, ignored)?;
    if !found.files.is_empty() || source.sharded {
        return Ok(found);
    }
    if !path.is_dir() && !path.is_file() {
        let path = path.to_owned();
        let is_there = path.exists();
        return Err(Error::Missing { path, option, is_there });
    }
    let hint = match option {
        "--data" => {
            "point --data at a directory with one of these sets, or leave it out to train on the \
             bundled digits"
        }
        "--validation" => {
            "point --validation at a directory with one of these sets, or leave it out"
        }
        _ => "point --test at a directory with one of these sets, or leave it out",
    };
    let lines = set_aside::lines(path, &found.set_aside);
    Err(Error::NotFound {
        dir: path.to_owned(),
        looked_for: "IDX files (train-images-idx3-ubyte, train-labels-idx1-ubyte, \
                     t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, or one pair; also \
                     `name.idx..` and .gz), CSV files (train.csv and test.csv, or any *.csv), \
                     RecordIO-protobuf files and text (*.txt; other names with --format text)"
            .to_owned(),
        found: [vec![listing(path)], lines].concat().join("; "),
        hint,
    })
}

/// The format of the sets that are there.
fn common_format(sets: [&Option<DataFiles>; 3]) -> Result<Option<Format>, Error> {
    let mut there = sets.into_iter().flatten().filter(|found| !found.files.is_empty());
    let Some(first) = there.next() else {
        return Ok(None);
    };
    there.try_for_each(|other| check_formats(first, other))?;
    Ok(Some(first.format))
}

/// Refuses two sets in different formats.
fn check_formats(train: &DataFiles, test: &DataFiles) -> Result<(), Error> {
    if train.format == test.format {
        return Ok(());
    }
    Err(Error::Mismatch {
        path: test.root.clone(),
        found: format!("files of the format {}", test.format.name()),
        other: train.root.clone(),
        expected: format!("has files of the format {}", train.format.name()),
        hint: "training and test data must have one format; --format says which",
    })
}
