//! Lines without quotes, taken apart.

/// In every byte of a word 1.
const ONES: u64 = 0x0101_0101_0101_0101;

/// Where each value of this line ends, and how many there are: a value more than delimiters.
pub(super) fn split(line: &[u8], delimiter: u8, ends: &mut Vec<usize>) -> usize {
    if ends.len() <= line.len() {
        ends.resize(line.len() + 1, 0);
    }
    let mut count = 0;
    let mut note = |at: usize| {
        ends[count] = at;
        count += 1;
    };
    // Values are short: eight bytes at a time are faster than a search from one delimiter to the next.
    let (words, rest) = line.as_chunks::<8>();
    let (delimiters, low) = (ONES * u64::from(delimiter), ONES * 0x7f);
    for (at, word) in words.iter().enumerate() {
        let others = u64::from_le_bytes(*word) ^ delimiters;
        // The highest bit of each byte that is a delimiter.
        let mut found = !(((others & low) + low) | others | low);
        while found != 0 {
            note(8 * at + found.trailing_zeros() as usize / 8);
            found &= found - 1;
        }
    }
    let start = line.len() - rest.len();
    for (at, _) in rest.iter().enumerate().filter(|(_, byte)| **byte == delimiter) {
        note(start + at);
    }
    note(line.len());
    count
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};
    use std::path::Path;

    use super::super::rows::Rows;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_end_where_delimiters_are() {
        let mut ends = Vec::new();
        for length in 0..40 {
            for delimiter in [b',', b'\t', 0, 0x7f] {
                let line: Vec<u8> =
                    (0..length).map(|at| if at % 7 < 2 { delimiter } else { 0xc3 ^ at }).collect();
                let count = split(&line, delimiter, &mut ends);
                let found = (0..line.len()).filter(|at| line[*at] == delimiter);
                let expected: Vec<usize> = found.chain([line.len()]).collect();
                assert_eq!(ends[..count], expected, "{line:?}");
            }
        }
    }

    /// Gives a few bytes at a time, as what comes over a network.
    struct Slow(Cursor<Vec<u8>>, usize);

    impl Read for Slow {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let size = into.len().min(self.1);
            self.0.read(&mut into[..size])
        }
    }

    fn rows(text: &str, size: usize) -> Vec<(u64, Vec<String>)> {
        let slow = Slow(Cursor::new(text.as_bytes().to_vec()), size);
        let mut rows = Rows::new(Path::new("some.csv"), Box::new(slow), b',');
        let mut found = Vec::new();
        while let Some((line, row)) = rows.next_row().unwrap() {
            found.push((line, row.to_texts()));
        }
        found
    }

    #[test]
    fn lines_longer_than_the_buffer_are_read_between_short_ones() {
        let long = "7".repeat(150_000);
        let text = format!("a,b\n1,2\n{long},\"{long}\"\n3,{long}\n4,5\n6,é");
        let values: Vec<Vec<String>> = rows(&text, usize::MAX).into_iter().map(|it| it.1).collect();
        let pair = |one: &str, other: &str| vec![one.to_owned(), other.to_owned()];
        assert_eq!(
            values,
            [
                pair("a", "b"),
                pair("1", "2"),
                pair(&long, &long),
                pair("3", &long),
                pair("4", "5"),
                pair("6", "é")
            ]
        );
    }

    #[test]
    fn a_byte_order_mark_is_one_at_the_start_of_a_file_alone() {
        let found = rows("\u{feff}a,b\n1,2\n\u{feff}\"3\",4\n", 1000);
        assert_eq!(found[0], (1, vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(found[2].1[0], "\u{feff}\"3\"");
    }

    prop_compose! {
        fn value()(text in "[a1é. ]{0,12}", quoted in "[a1é,\r\n\" ]{0,6}", is_quoted in prop::bool::weighted(0.1)) -> (String, String) {
            match is_quoted {
                true => (format!("\"{}\"", quoted.replace('"', "\"\"")), quoted.trim().to_owned()),
                false => (text.clone(), text.trim().to_owned()),
            }
        }
    }

    proptest! {
        /// Whatever goes through the buffer as it is, and whatever does not, in parts of any size.
        #[test]
        fn values_are_read_as_they_were_written(
            lines in prop::collection::vec(prop::collection::vec(value(), 2..6), 1..12),
            end in prop_oneof![Just("\n"), Just("\r\n"), Just("\r"), Just("\n\n")],
            has_last_end: bool, size in 1..40_usize,
        ) {
            let written: Vec<String> = lines.iter()
                .map(|line| line.iter().map(|it| it.0.as_str()).collect::<Vec<_>>().join(",")).collect();
            let text = format!("{}{}", written.join(end), if has_last_end { end } else { "" });
            let (mut number, mut expected) = (1, Vec::new());
            for (line, written) in lines.iter().zip(&written) {
                let values: Vec<String> = line.iter().map(|it| it.1.clone()).collect();
                expected.push((number, values));
                let whole = format!("{written}{end}").replace("\r\n", "\n").replace('\r', "\n");
                number += whole.matches('\n').count() as u64;
            }
            prop_assert_eq!(&rows(&text, size), &expected);
            prop_assert_eq!(&rows(&text, 1 << 20), &expected);
        }
    }
}
