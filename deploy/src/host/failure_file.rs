//! The failure file: its first 1,024 bytes become a SageMaker job's FailureReason.

use ps_core::cut::cut;
use std::io::{self, Write};
use std::path::Path;

/// The file in the output folder.
const FAILURE_FILE: &str = "failure";

/// Bytes of it that anybody reads.
const BYTES_MAX: usize = 1024;

/// Removes what an earlier start of this host has left on a volume that was kept: it would be taken for
/// this one's.
///
/// # Errors
/// It is there and cannot be removed.
pub fn clear(output: &Path) -> io::Result<()> {
    match std::fs::remove_file(output.join(FAILURE_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes the file unless there is one already: the first to fail knows best. One line, cut to what
/// is read.
///
/// # Errors
/// It cannot be written; that there is one already is no error.
pub fn write(output: &Path, sentence: &str) -> io::Result<()> {
    std::fs::create_dir_all(output)?;
    let path = output.join(FAILURE_FILE);
    let mut file = match std::fs::File::create_new(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        file => file?,
    };
    file.write_all(cut(&one_line(sentence), BYTES_MAX).as_bytes())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_first_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("output");
        write(&output, "first\nreason").unwrap();
        write(&output, "second").unwrap();
        assert_eq!(std::fs::read_to_string(output.join("failure")).unwrap(), "first reason");
    }

    #[test]
    fn what_an_earlier_start_left_is_not_this_ones() {
        let folder = tempfile::tempdir().unwrap();
        clear(folder.path()).unwrap();
        clear(&folder.path().join("missing")).unwrap();
        write(folder.path(), "yesterday").unwrap();
        clear(folder.path()).unwrap();
        write(folder.path(), "today").unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("failure")).unwrap(), "today");
    }

    proptest! {
        #[test]
        fn it_is_one_short_line_of_text(text in "\\PC{0,2000}") {
            let folder = tempfile::tempdir().unwrap();
            write(folder.path(), &text).unwrap();
            let written = std::fs::read(folder.path().join("failure")).unwrap();
            prop_assert!(written.len() <= BYTES_MAX);
            let written = String::from_utf8(written).unwrap();
            prop_assert!(one_line(&text).starts_with(&written) && !written.contains('\n'));
        }
    }
}
