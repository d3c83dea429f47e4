//! Text as bytes: which files are read, what becomes of them, and what is refused.

use std::io::Write;

use super::common::{assert_says, folder};
use ps_data::{DataSource, Dataset, Features, Format, Samples, load};
use tempfile::TempDir;

fn text(dir: &TempDir, context: usize) -> DataSource {
    DataSource { context, format: Format::Text, ..DataSource::folder(dir.path()) }
}

fn samples(features: &[u8], context: usize, labels: &[u8]) -> Samples {
    let labels: Vec<u32> = labels.iter().map(|&byte| u32::from(byte)).collect();
    Samples::new(Features::Text(features.to_vec().into()), vec![context], labels).unwrap()
}

#[test]
fn files_of_both_sets_are_told_by_their_names() {
    let dir = folder(&[
        ("train.txt", b"abcdefg"),
        ("train/more.txt", b"ABC"),
        ("test.txt", b"xyz"),
        ("notes.txt", b"neither of the two"),
    ]);
    // `g` is the label of no whole sample, and no sample begins in one file and ends in another.
    let expected = Dataset {
        validation: samples(b"", 2, b""),
        ..Dataset::new(samples(b"ABabcdef", 2, b"Cceg"), samples(b"xy", 2, b"z"), 256)
    };
    assert_says(load(&text(&dir, 2)), &["1 text file(s)", "no set by their names", "notes.txt"]);
    let ignoring = DataSource { ignore_files: vec!["notes.*".to_owned()], ..text(&dir, 2) };
    assert_eq!(load(&ignoring).unwrap(), expected);
    let found = DataSource { format: Format::Auto, ..ignoring };
    assert_eq!(load(&found).unwrap(), expected);
}

#[test]
fn the_last_tenth_is_for_testing_where_no_files_are() {
    let bytes: Vec<u8> = (0..=100).collect();
    let dir = folder(&[("any.txt", &bytes)]);
    let data = load(&text(&dir, 4)).unwrap();
    assert_eq!(
        data.train,
        samples(&bytes[..92], 4, &bytes[4..=92].iter().copied().step_by(4).collect::<Vec<_>>())
    );
    assert_eq!(data.test, samples(&bytes[92..100], 4, &[96, 100]));
    // Too few to take one away; and a share, which is not the whole.
    assert_eq!(load(&text(&dir, 11)).unwrap().test.len(), 0);
    let share = load(&DataSource { sharded: true, ..text(&dir, 4) }).unwrap();
    assert_eq!((share.train.len(), share.test.len()), (25, 0));
    let test = folder(&[("part-0", b"0123456789")]);
    let both = DataSource { test: Some(test.path().to_owned()), ..text(&dir, 4) };
    let both = load(&both).unwrap();
    assert_eq!((both.train.len(), both.test.len()), (25, 2));
}

#[test]
fn packed_text_is_unpacked() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"abcde").unwrap();
    let dir = folder(&[("train.txt.gz", &packed.finish().unwrap())]);
    let source = DataSource { context: 2, ..DataSource::folder(dir.path()) };
    assert_eq!(load(&source).unwrap().train, samples(b"abcd", 2, b"ce"));
}

#[test]
fn other_formats_go_before_text() {
    let dir = folder(&[("train.csv", b"1,0\n2,1\n"), ("readme.txt", b"about the data")]);
    let data = load(&DataSource::folder(dir.path())).unwrap();
    assert_eq!((data.train.shape(), data.train.len()), (&[1][..], 2));
}

#[test]
fn what_is_no_text_to_learn_from_is_named() {
    let dir = folder(&[("a.txt", b"long enough"), ("b.txt", b"abc")]);
    let parts = ["b.txt", "a text of 3 bytes", "at least 4 for --context 3"];
    assert_says(load(&text(&dir, 3)), &parts);
    assert_says(load(&text(&folder(&[]), 3)), &["no data in", "the directory is empty", "text"]);
    let empty = folder(&[("train.txt", b"")]);
    assert_says(load(&text(&empty, 3)), &["no data in", "found train.txt"]);
    let classes = DataSource { classes: Some(100), ..text(&dir, 2) };
    assert_says(load(&classes), &["--classes 100", "fewer than the 256"]);
    let odd = folder(&[("train.png", b"anything")]);
    assert_says(load(&DataSource::folder(odd.path())), &["--format text", "found train.png"]);
}
