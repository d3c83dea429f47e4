//! The container against hand-made bytes, and against any bytes.

use super::*;
use crate::recordio::PayloadLines;
use proptest::prelude::*;

/// One part with its header and its zeros.
fn part(flag: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend((flag << 29 | payload.len() as u32).to_le_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn records(bytes: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let mut container = RecordIo::new(bytes);
    let mut records = Vec::new();
    while container.next_record()? {
        let mut record = Vec::new();
        container.read_to_end(&mut record)?;
        records.push(record);
    }
    Ok(records)
}

#[track_caller]
fn assert_says(bytes: &[u8], expected: &str) {
    let error = records(bytes).unwrap_err().to_string();
    assert!(error.contains(expected), "`{error}` does not contain `{expected}`");
}

#[test]
fn whole_records_are_read_without_their_zeros() {
    let bytes = [part(0, b"abcde"), part(0, b""), part(0, b"abcd")].concat();
    assert_eq!(records(&bytes).unwrap(), [&b"abcde"[..], b"", b"abcd"]);
    assert_eq!(records(b"").unwrap(), Vec::<Vec<u8>>::new());
}

#[test]
fn parts_are_joined_by_the_magic_that_split_them() {
    let bytes = [part(1, b"abcd"), part(2, b"efgh"), part(3, b"ij"), part(0, b"k")].concat();
    let whole = [b"abcd", &MAGIC[..], b"efgh", &MAGIC, b"ij"].concat();
    assert_eq!(records(&bytes).unwrap(), [whole, b"k".to_vec()]);
}

#[test]
fn parts_out_of_order_are_refused() {
    assert_says(&part(3, b"abcd"), "record 1: it begins with part 3");
    assert_says(&part(7, b"abcd"), "record 1: it begins with part 7");
    assert_says(&[part(0, b"a"), part(1, b"abcd")].concat(), "record 2: the file ends between");
    assert_says(&[part(1, b"abcd"), part(0, b"")].concat(), "record 1: part 0 follows");
}

#[test]
fn damage_is_named_by_record() {
    assert_says(b"a,b,c\n1,2,3\n", "record 1: it begins with 0x2c622c61, expected the magic");
    let bytes = [part(0, b"ab"), part(0, b"abcdef")].concat();
    for end in 1..bytes.len() {
        let whole = end == part(0, b"ab").len();
        assert_eq!(records(&bytes[..end]).is_ok(), whole, "cut at {end}");
    }
    assert_says(&bytes[..bytes.len() - 1], "record 2: it ends in the zeros");
    assert_says(&bytes[..bytes.len() - 4], "record 2: it ends 2 bytes before");
    assert_says(&bytes[..bytes.len() - 14], "record 2: it ends after 2 bytes");
}

#[test]
fn what_was_looked_at_is_read_again() {
    let bytes = [part(0, b"abcdef"), part(0, b"xy")].concat();
    let mut container = RecordIo::new(&bytes[..]);
    for expected in [&b"abcdef"[..], b"xy"] {
        assert!(container.next_record().unwrap());
        assert_eq!(container.peek().unwrap(), expected[..expected.len().min(4)]);
        let mut payload = Vec::new();
        container.read_to_end(&mut payload).unwrap();
        assert_eq!(payload, expected);
    }
}

#[test]
fn wrapped_texts_keep_their_lines_apart() {
    let bytes = [part(0, b"1,2\n3,4"), part(0, b""), part(0, b"5,6\n")].concat();
    let mut text = String::new();
    PayloadLines::new(&bytes[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, "1,2\n3,4\n5,6\n");
}

proptest! {
    #[test]
    fn what_is_written_is_read(payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
        let bytes: Vec<u8> = payloads.iter().flat_map(|payload| part(0, payload)).collect();
        prop_assert_eq!(records(&bytes).unwrap(), payloads);
    }

    #[test]
    fn any_bytes_end_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = records(&bytes);
        let _ = records(&[&MAGIC[..], &bytes].concat());
    }
}
