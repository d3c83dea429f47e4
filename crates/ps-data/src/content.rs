//! What a file is by what is in it, where its name does not say it.

use std::path::Path;

use crate::Error;
use crate::byte_stream::Beginning;
use crate::file_names::has_ending;
use crate::table_text::complete_lines;

/// Bytes of a file that are looked at.
pub(crate) const LOOKED_AT_BYTES: usize = 64 << 10;

/// Refuses what is data in a format that is not read, by its name or content, before it is taken
/// for something else.
pub(crate) fn refuse_unread(path: &Path, beginning: &Beginning) -> Result<(), Error> {
    if is_parquet(path, beginning) {
        return Err(not_read(path, "is Parquet", "convert it to CSV"));
    }
    if is_libsvm(beginning) {
        return Err(not_read(path, "looks like libsvm", "convert it to CSV"));
    }
    Ok(())
}

/// Whether a file is Parquet by its name or its first bytes.
pub(crate) fn is_parquet(path: &Path, beginning: &Beginning) -> bool {
    beginning.bytes.starts_with(b"PAR1") || has_ending(path, &[".parquet"])
}

/// Refuses JSON; of a file that somebody pointed at, as other files are just no data.
pub(crate) fn refuse_json(path: &Path, beginning: &Beginning) -> Result<(), Error> {
    if has_ending(path, &[".json", ".jsonl", ".ndjson"]) || is_json(&beginning.bytes) {
        return Err(not_read(path, "looks like JSON", "convert it to CSV"));
    }
    Ok(())
}

fn not_read(path: &Path, what: &str, next: &str) -> Error {
    let problem = format!(
        "{what}, which is not read yet; {next}, or leave it out with --ignore-files PATTERN"
    );
    Error::File { path: path.to_owned(), problem }
}

/// An object or array, and not a text that begins with a bracket.
fn is_json(bytes: &[u8]) -> bool {
    let after =
        |open: u8| bytes.trim_ascii_start().strip_prefix(&[open]).map(<[u8]>::trim_ascii_start);
    let literals: [&[u8]; 3] = [b"true", b"false", b"null"];
    let is_value = |rest: &[u8]| {
        rest.first().is_some_and(|first| b"{[]\"-0123456789".contains(first))
            || literals.iter().any(|literal| rest.starts_with(literal))
    };
    after(b'[').is_some_and(is_value)
        || after(b'{').is_some_and(|rest| matches!(rest.first(), Some(b'"' | b'}')))
}

/// Whether each line is a label and `index:value` pairs, as in files of libsvm and svmlight.
fn is_libsvm(beginning: &Beginning) -> bool {
    let mut lines = complete_lines(beginning);
    if lines.is_empty() {
        // One line that is longer than what is looked at: all but what may be cut off.
        let bytes = beginning.bytes.as_slice();
        lines = &bytes[..bytes.iter().rposition(|&byte| byte == b' ').unwrap_or(0)];
    }
    let Ok(text) = std::str::from_utf8(lines) else {
        return false;
    };
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let mut pairs = 0;
    for line in lines.filter(|line| !line.is_empty()) {
        let mut words = line.split_ascii_whitespace();
        let label = words.next().unwrap_or_default();
        if !label.split(',').all(is_number) {
            return false;
        }
        for word in words {
            if !is_pair(word) {
                return false;
            }
            pairs += 1;
        }
    }
    pairs > 0
}

fn is_pair(word: &str) -> bool {
    word.split_once(':').is_some_and(|(index, value)| {
        (index == "qid" || index.parse::<u64>().is_ok()) && is_number(value)
    })
}

fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests;
