//! What stands in quotes, seen ahead of the reader that takes lines apart.
//!
//! The reader takes a quote for one only where a value begins with it, and a quote that is never closed for a value up to
//! the end of the file. Here blanks between a delimiter and a quote are taken out (blanks around values mean nothing), and an
//! open quote is noticed.

use memchr::memchr;

/// Where the text is between two chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// Where a value begins; blanks may have come.
    #[default]
    Start,
    /// In a value without quotes, or behind one with.
    Value,
    /// Between quotes.
    Quoted,
    /// Behind a quote that ends a value, or is the first of two that stand for one.
    Quote,
}

/// Follows a text, chunk by chunk.
#[derive(Debug)]
pub(super) struct Quotes {
    delimiter: u8,
    place: Place,
}

impl Quotes {
    /// At the beginning of a text.
    pub(super) fn new(delimiter: u8) -> Self {
        Self { delimiter, place: Place::default() }
    }

    /// Whether a quote is open.
    pub(super) fn is_open(&self) -> bool {
        self.place == Place::Quoted
    }

    /// Goes through the next chunk, takes blanks out of it, and says how much is left.
    pub(super) fn clean(&mut self, chunk: &mut [u8]) -> usize {
        // Most tables have no quote at all: then only the chunk's end matters.
        match (memchr(b'"', chunk), self.place) {
            (None, Place::Quoted) => chunk.len(),
            (None, _) => self.skip_to_end(chunk),
            (Some(_), _) => self.walk(chunk),
        }
    }

    /// A chunk without quotes: blanks at its end may be followed by one.
    fn skip_to_end(&mut self, chunk: &[u8]) -> usize {
        let kept =
            chunk.len() - chunk.iter().rev().take_while(|byte| self.is_blank(**byte)).count();
        let is_start = match chunk[..kept].last() {
            Some(last) => self.is_between(*last),
            None => self.place == Place::Start,
        };
        self.place = if is_start { Place::Start } else { Place::Value };
        if is_start { kept } else { chunk.len() }
    }

    fn walk(&mut self, chunk: &mut [u8]) -> usize {
        let mut kept = 0;
        for at in 0..chunk.len() {
            let byte = chunk[at];
            self.place = match (self.place, byte) {
                (Place::Start, b'"') | (Place::Quote, b'"') => Place::Quoted,
                (Place::Start, blank) if self.is_blank(blank) => continue,
                (Place::Quoted, b'"') => Place::Quote,
                (Place::Quoted, _) => Place::Quoted,
                (_, byte) if self.is_between(byte) => Place::Start,
                (_, _) => Place::Value,
            };
            chunk[kept] = byte;
            kept += 1;
        }
        kept
    }

    fn is_blank(&self, byte: u8) -> bool {
        (byte == b' ' || byte == b'\t') && byte != self.delimiter
    }

    fn is_between(&self, byte: u8) -> bool {
        byte == self.delimiter || byte == b'\n' || byte == b'\r'
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cleaned(text: &str, size: usize) -> (String, bool) {
        let mut quotes = Quotes::new(b',');
        let mut bytes = Vec::new();
        for chunk in text.as_bytes().chunks(size) {
            let mut chunk = chunk.to_vec();
            let kept = quotes.clean(&mut chunk);
            bytes.extend_from_slice(&chunk[..kept]);
        }
        (String::from_utf8(bytes).unwrap(), quotes.is_open())
    }

    #[test]
    fn blanks_before_a_quote_go_and_others_mean_nothing() {
        for size in 1..20 {
            let (text, is_open) =
                cleaned("\"a\", \"b, \"\"c\",  d e,\t\"f\"\n \"g\" , 5\" \"x\"", size);
            let text: Vec<&str> = text.split('\n').map(str::trim).collect();
            assert_eq!(
                text[0].replace("  d", "d").replace(" d", "d"),
                "\"a\",\"b, \"\"c\",d e,\"f\""
            );
            assert_eq!(text[1].replace(", ", ","), "\"g\" ,5\" \"x\"", "in chunks of {size}");
            assert!(!is_open);
        }
    }

    #[test]
    fn a_quote_that_is_not_closed_is_noticed() {
        assert!(cleaned("1,\"ash\n2,oak\n", 100).1);
        assert!(!cleaned("1,as\"h\n2,oak\n", 100).1, "a quote in a value is none");
        assert!(!cleaned("1,\"as\"\"h\"\n2,oak", 100).1);
    }

    proptest! {
        #[test]
        fn chunks_change_nothing_but_blanks_at_the_start_of_values(
            text in r#"[a", \n]{0,40}"#, size in 1..9_usize,
        ) {
            let (parts, whole) = (cleaned(&text, size), cleaned(&text, 1000));
            prop_assert_eq!(parts.1, whole.1);
            // A chunk without quotes keeps blanks that another cut lets go: as values they are the same.
            let values = |text: &str| -> Vec<Vec<String>> {
                let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true)
                    .trim(csv::Trim::All).from_reader(text.as_bytes().to_vec().leak() as &[u8]);
                let rows = reader.into_records().map(|row| {
                    row.unwrap().iter().map(str::to_owned).collect::<Vec<String>>()
                });
                // A line of blanks alone is an empty one.
                rows.filter(|row| *row != [""]).collect()
            };
            prop_assert_eq!(values(&parts.0), values(&whole.0));
        }
    }
}
