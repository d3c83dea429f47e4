//! Patterns of files that the user leaves out.

use std::cell::Cell;
use std::path::Path;

use glob::Pattern;

use crate::Error;

/// The patterns of `--ignore-files`, and which of them have matched.
#[derive(Debug, Default)]
pub(crate) struct Ignored(Vec<(Pattern, Cell<bool>)>);

impl Ignored {
    /// Reads the patterns.
    pub(crate) fn new(patterns: &[String]) -> Result<Self, Error> {
        let pattern = |text: &String| match Pattern::new(text) {
            Ok(pattern) if !text.is_empty() => Ok((pattern, Cell::new(false))),
            Ok(_) => {
                Err(Error::Options("--ignore-files: a pattern without a character".to_owned()))
            }
            Err(error) => Err(Error::Options(format!(
                "--ignore-files {text}: no pattern: {error}; `*` stands for any characters, `?` \
                 for one, `[ab]` for one of these"
            ))),
        };
        Ok(Self(patterns.iter().map(pattern).collect::<Result<_, _>>()?))
    }

    /// Whether a file, by its name or its path below the data folder, is left out.
    pub(crate) fn matches(&self, root: &Path, path: &Path) -> bool {
        let inner = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // All of them, so that each is known to match something.
        self.0.iter().fold(false, |any, (pattern, has_matched)| {
            let is_match = pattern.matches(&name) || pattern.matches(&inner);
            has_matched.set(has_matched.get() || is_match);
            any || is_match
        })
    }

    /// Refuses a pattern that nothing matched: it is mistyped, and what it should leave out is used.
    pub(crate) fn check_all_matched(&self) -> Result<(), Error> {
        match self.0.iter().find(|(_, has_matched)| !has_matched.get()) {
            None => Ok(()),
            Some((pattern, _)) => Err(Error::Options(format!(
                "--ignore-files {pattern}: no file below --data or --test has such a name or path; \
                 `*` stands for any characters, and a folder's files are `FOLDER/*`"
            ))),
        }
    }
}
