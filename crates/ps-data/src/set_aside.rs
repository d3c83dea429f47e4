//! Files that are there and are not used, and why.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::Format;
use crate::file_names::names_below;

/// A file, or a folder with all that is in it, that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetAside {
    pub(crate) path: PathBuf,
    pub(crate) why: Why,
}

/// Why a file is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// By its name it is a mark, a log or a checksum of another program.
    Hidden,
    /// The user says so.
    Ignored,
    /// Nothing is in it, or in its gzip.
    Empty,
    /// A socket, a FIFO, a device.
    NoFile,
    /// The set is of another format than it.
    NotOfFormat(Format),
    /// A table by its content beside tables by their names, and of no set by its own.
    NotNamedAsTable,
    /// The same IDX file is there in a form that is read faster.
    Copy,
    /// A file of one set where only the other one was asked for.
    OfOtherSet(&'static str),
    /// It is among the files of `--test`.
    Tested,
    /// It is among the files of `--validation`.
    Validated,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hidden => f.write_str("names that begin with `_` or `.` are no data"),
            Self::Ignored => f.write_str("ignored, as --ignore-files says"),
            Self::Empty => f.write_str("empty"),
            Self::NoFile => f.write_str("neither a file nor a folder"),
            Self::NotOfFormat(format) => {
                write!(f, "not of the format {} of this set", format.name())
            }
            Self::NotNamedAsTable => f.write_str(
                "looks like CSV, but beside files that are named .csv and without a word for a set",
            ),
            Self::Copy => f.write_str("a copy of an IDX file that is read in another form"),
            Self::OfOtherSet(option) => {
                write!(f, "of the set that {option} does not name: left out")
            }
            Self::Tested => f.write_str("among the files of --test, so that it is not trained on"),
            Self::Validated => {
                f.write_str("among the files of --validation, so that it is not trained on")
            }
        }
    }
}

/// One line for each reason, however many files there are.
pub(crate) fn lines(root: &Path, all: &[SetAside]) -> Vec<String> {
    let mut reasons: Vec<&Why> = Vec::new();
    for one in all {
        if !reasons.contains(&&one.why) {
            reasons.push(&one.why);
        }
    }
    let line = |why: &Why| {
        let of_reason = all.iter().filter(|one| one.why == *why);
        let paths: Vec<&PathBuf> = of_reason.map(|one| &one.path).collect();
        format!("{} skipped ({}): {why}", paths.len(), names_below(root, &paths))
    };
    reasons.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_line_for_each_reason() {
        let one = |name: String, why| SetAside { path: Path::new("/data").join(name), why };
        let mut all = vec![one("_SUCCESS".to_owned(), Why::Hidden)];
        all.extend((0..9).map(|part| one(format!("{part}.md"), Why::NotOfFormat(Format::Csv))));
        all.push(one(".x".to_owned(), Why::Hidden));
        assert_eq!(
            lines(Path::new("/data"), &all),
            [
                "2 skipped (_SUCCESS, .x): names that begin with `_` or `.` are no data",
                "9 skipped (0.md, 1.md, 2.md, 3.md, 4.md, 5.md, 6.md, 7.md and 1 more): not of the \
             format csv of this set",
            ]
        );
    }
}
