//! The failure file: its first 1,024 bytes become a SageMaker job's FailureReason.

use crate::job::Ended;
use crate::name::Role;
use std::io::{self, Write};
use std::path::Path;

/// The file in the output folder.
const FAILURE_FILE: &str = "failure";

/// Bytes of it that anybody reads.
const BYTES_MAX: usize = 1024;

/// What masters say to the members of a failed job starts with this.
const TOLD: &str = "the job failed: ";

/// Why a host's part of the job failed, in a sentence; nothing if it ended well, or because it was
/// told to by a signal.
pub fn sentence(host: &str, ended: &Ended) -> Option<String> {
    let heading = match &ended.verdict {
        Ok(0 | 130 | 143) => return None,
        Ok(code) => format!("exit code {code}"),
        Err(error) => ps_cli::process::causes(error),
    };
    // What happened here first; what the master tells, which may be of another host, after it.
    let (mut here, mut told) = (Vec::new(), None);
    for (name, words) in &ended.failed {
        let Some(words) = words else { continue };
        match words.split_once(TOLD) {
            Some((_, reason)) if told.is_none() || name.role == Role::Master => {
                told = Some(format!("{name}: {TOLD}{reason}"));
            }
            Some(_) => (),
            None => here.push(format!("{name}: {words}")),
        }
    }
    let is_said = ended.verdict.is_ok() && !(here.is_empty() && told.is_none());
    let parts = (!is_said).then_some(heading).into_iter().chain(here).chain(told);
    Some(format!("{host}: {}", parts.collect::<Vec<_>>().join("; ")))
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
    file.write_all(cut(&one_line(sentence)).as_bytes())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;
    use proptest::prelude::*;

    fn ended(verdict: anyhow::Result<u8>, failed: &[(Role, u32, &str)]) -> Ended {
        let failed = failed.iter().map(|(role, index, words)| {
            (Name { role: *role, index: *index }, Some((*words).to_owned()))
        });
        Ended { verdict, failed: failed.collect() }
    }

    #[test]
    fn good_ends_have_no_sentence() {
        for code in [0, 130, 143] {
            assert_eq!(sentence("a", &ended(Ok(code), &[])), None);
        }
    }

    #[test]
    fn the_masters_words_are_enough() {
        let words = "the job failed: server shard 1 at b:2223 is lost";
        let failed = [(Role::Server, 0, "shard 0: the job failed: x"), (Role::Master, 0, words)];
        let said = sentence("algo-1", &ended(Ok(1), &failed)).unwrap();
        assert_eq!(said, format!("algo-1: master: {words}"));
    }

    #[test]
    fn a_childs_own_words_follow_what_happened_to_it() {
        let why = anyhow::anyhow!("server 1 (pid 7) was killed by signal 9");
        let failed = [(Role::Server, 1, "panicked: out of range")];
        let said = sentence("algo-2", &ended(Err(why), &failed)).unwrap();
        assert_eq!(
            said,
            "algo-2: server 1 (pid 7) was killed by signal 9; server 1: panicked: out of range"
        );
        assert_eq!(sentence("a", &ended(Ok(64), &[])).unwrap(), "a: exit code 64");
    }

    #[test]
    fn the_first_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("output");
        write(&output, "first\nreason").unwrap();
        write(&output, "second").unwrap();
        assert_eq!(std::fs::read_to_string(output.join("failure")).unwrap(), "first reason");
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
