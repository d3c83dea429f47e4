//! Which set a file belongs to by its name.

use std::path::{Path, PathBuf};

use crate::file_names::has_ending;

/// A set that a name can mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Training,
    Test,
    Validation,
}

impl Role {
    /// Of a word of a name.
    fn of_word(word: &str) -> Option<Self> {
        match word.trim_end_matches(|last: char| last.is_ascii_digit()) {
            "train" | "training" => Some(Self::Training),
            "test" => Some(Self::Test),
            "val" | "valid" | "validation" | "dev" | "eval" => Some(Self::Validation),
            _ => None,
        }
    }

    /// Of the name of a file or folder; none where it says two different ones.
    fn of_name(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let mut roles = name.split(|c: char| !c.is_alphanumeric()).filter_map(Self::of_word);
        let first = roles.next()?;
        roles.all(|role| role == first).then_some(first)
    }

    /// Of a file by its path below the data folder: the outermost name that says one.
    pub(crate) fn of_file(root: &Path, file: &Path) -> Option<Self> {
        let inner = file.strip_prefix(root).unwrap_or(file);
        inner.iter().find_map(|name| Self::of_name(&name.to_string_lossy()))
    }

    /// Whether an ending as in `adult.train` is a word for a set.
    pub(crate) fn is_ending(ending: &str) -> bool {
        Self::of_word(ending).is_some()
    }
}

/// Files by the set that they are of.
#[derive(Debug, Default)]
pub(crate) struct ByRole {
    pub(crate) training: Vec<PathBuf>,
    pub(crate) test: Vec<PathBuf>,
    pub(crate) validation: Vec<PathBuf>,
    /// No name says it.
    pub(crate) unnamed: Vec<PathBuf>,
}

impl ByRole {
    /// Sorts files, each list in their order.
    pub(crate) fn new(root: &Path, files: Vec<PathBuf>) -> Self {
        // UCI's habit: `adult.data` is what is trained on where there is an `adult.test`.
        let has_test_ending = files.iter().any(|file| has_ending(file, &[".test"]));
        let mut by_role = Self::default();
        for file in files {
            let is_data_beside_test = has_test_ending && has_ending(&file, &[".data"]);
            let role = Role::of_file(root, &file);
            let list = match role.or(is_data_beside_test.then_some(Role::Training)) {
                Some(Role::Training) => &mut by_role.training,
                Some(Role::Test) => &mut by_role.test,
                Some(Role::Validation) => &mut by_role.validation,
                None => &mut by_role.unnamed,
            };
            list.push(file);
        }
        by_role
    }

    /// Whether a name says of any file that it is for measuring.
    pub(crate) fn has_measured(&self) -> bool {
        !self.test.is_empty() || !self.validation.is_empty()
    }

    /// A file of which a name says the set.
    pub(crate) fn any_named(&self) -> Option<&PathBuf> {
        [&self.training, &self.test, &self.validation].into_iter().flatten().next()
    }
}

#[cfg(test)]
mod tests;
