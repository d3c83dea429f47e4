//! What stands between the values of a table.

use std::path::Path;

use super::errors::file_error;
use super::rows::Rows;
use crate::byte_stream::open_text;
use crate::file_names::has_ending;
use crate::table_options::{Mark, TableOptions};
use crate::{Error, Wrapper};

/// What may stand between values.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Lines that are looked at.
const LINES_MAX: usize = 100;

/// The delimiter of this file: what the user says, a tab in `.tsv`, else a comma.
///
/// # Errors
/// Nobody says it, and the first lines look as if it were another one.
pub(super) fn delimiter(
    path: &Path,
    wrapper: Wrapper,
    options: &TableOptions,
) -> Result<u8, Error> {
    if let Some(delimiter) = known(path, options) {
        return Ok(delimiter);
    }
    let mut rows = Rows::new(path, open_text(path, wrapper)?, b',');
    match doubt(rows.beginning()?) {
        Some(problem) => Err(file_error(path, problem)),
        None => Ok(b','),
    }
}

/// The delimiter that the user or the file's name says.
pub(super) fn known(path: &Path, options: &TableOptions) -> Option<u8> {
    let of_name = has_ending(path, &[".tsv"]).then_some(b'\t');
    options.delimiter.map(|Mark(delimiter)| delimiter).or(of_name)
}

/// Why these lines may have another delimiter than a comma.
pub(super) fn doubt(beginning: &[u8]) -> Option<String> {
    let lines = lines(beginning);
    let in_all = |delimiter: u8| {
        let mut counts = lines.iter().map(|line| count(line, delimiter));
        let first = counts.next()?;
        (first > 0 && counts.all(|count| count == first)).then_some(first)
    };
    if lines.len() < 2 {
        return None;
    }
    let (other, found) = DELIMITERS[1..].iter().find_map(|it| Some((*it, in_all(*it)?)))?;
    let commas = match in_all(b',') {
        Some(commas) => format!("{commas} of `,`"),
        None => "not one number of commas".to_owned(),
    };
    let number = ", and --decimal , if numbers are written so";
    Some(format!(
        "each of the first {} lines has {found} of `{}` and {commas}: what separates the values? say --delimiter '{}'{}, or \
         --delimiter ,",
        lines.len(),
        Mark(other),
        Mark(other),
        if commas.ends_with("`,`") || count(lines[0], b',') > 0 { number } else { "" },
    ))
}

/// The first complete lines, without the empty ones.
fn lines(beginning: &[u8]) -> Vec<&[u8]> {
    let (mut lines, mut start, mut is_quoted) = (Vec::new(), 0, false);
    for (at, byte) in beginning.iter().enumerate() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' | b'\r' if !is_quoted => {
                if start < at {
                    lines.push(&beginning[start..at]);
                }
                start = at + 1;
            }
            _ => (),
        }
        if lines.len() == LINES_MAX {
            break;
        }
    }
    lines
}

/// How often this stands outside of quotes.
fn count(line: &[u8], delimiter: u8) -> usize {
    let mut is_quoted = false;
    let outside = line.iter().filter(|byte| {
        is_quoted ^= **byte == b'"';
        !is_quoted && **byte == delimiter
    });
    outside.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_delimiters_are_asked_about() {
        for (text, parts) in [
            (
                "6,7;19,1;1\n7,8;14,1;2\n",
                ["2 of `;` and 2 of `,`", "--delimiter ';'", "--decimal ,"],
            ),
            ("6;19;1\n7;14;2\n", ["2 of `;`", "--delimiter ';'", "not one number of commas"]),
            ("6\t19,5\n7\t14\n", ["1 of `tab`", "--delimiter 'tab'", "--decimal ,"]),
            ("a|b\r\r1|2\r", ["1 of `|`", "--delimiter '|'", "or --delimiter ,"]),
        ] {
            let problem = doubt(text.as_bytes()).unwrap();
            parts.iter().for_each(|part| assert!(problem.contains(part), "{part}: {problem}"));
        }
    }

    #[test]
    fn commas_are_what_they_seem() {
        for text in ["1,2\n3,4\n", "a;b,2\nc,4\n", "\"a;b\",1\n\"c;d\",2\n", "", "1;2", "a\nb\n"] {
            assert_eq!(doubt(text.as_bytes()), None, "{text:?}");
        }
    }
}
