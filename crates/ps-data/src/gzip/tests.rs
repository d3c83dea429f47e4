use std::io::{BufReader, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Members;

fn member(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What is read, with every size of the buffer below, where the ends of members lie anywhere in it.
fn read(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let read = |capacity| {
        let mut content = Vec::new();
        let from = BufReader::with_capacity(capacity, bytes);
        Members::new(Path::new("x.gz"), from).read_to_end(&mut content).map(|_| content)
    };
    let whole = read(1 << 16);
    for capacity in [1, 2, 3, 7, 64] {
        assert_eq!(read(capacity).ok(), whole.as_ref().ok().cloned(), "capacity {capacity}");
    }
    whole
}

#[test]
fn members_follow_each_other_and_may_be_empty() {
    let parts = [member(b""), member(b"one,"), member(b""), member(b""), member(b"two")];
    assert_eq!(read(&parts.concat()).unwrap(), b"one,two");
    assert_eq!(read(&member(b"")).unwrap(), b"");
}

#[test]
fn regression_zeros_and_garbage_behind_the_data_are_no_damage() {
    let data = member(b"data");
    for tail in [&[0][..], &[0; 512], &[0; 100_000], b"rest", b"\0\0rest", b"\x1f", b"\x1fx"] {
        assert_eq!(read(&[&data, tail].concat()).unwrap(), b"data", "{tail:?}");
    }
    assert_eq!(read(&[&data, &[0; 77][..], &member(b"more")].concat()).unwrap(), b"datamore");
}

#[test]
fn what_is_cut_off_or_changed_is_an_error() {
    let (first, second) = (member(b"data"), member(b"more"));
    for end in 2..first.len() {
        let error = read(&first[..end]).unwrap_err().to_string();
        assert!(error.contains("end in the middle"), "cut at {end}: {error}");
    }
    // From the first byte on that says that there is a second member.
    for end in 2..second.len() {
        assert!(read(&[&first, &second[..end]].concat()).is_err(), "the second cut at {end}");
    }
    let mut changed = first;
    let checksum = changed.len() - 6;
    changed[checksum] ^= 1;
    assert!(read(&changed).is_err());
}
