//! Gzip files with tails, and files in which there is nothing.

use super::common::{assert_says, folder, packed};
use ps_data::{DataSource, Format, load};

const TABLE: &[u8] = b"x,y\n1,0\n2,1\n3,1\n";

#[test]
fn regression_tails_are_taken_as_gzip_takes_them() {
    let table = packed(TABLE);
    for tail in [&[0; 512][..], b"garbage", &packed(b""), b""] {
        let bytes = [&table, tail].concat();
        let dir = folder(&[("train.csv.gz", &bytes), ("test.csv.gz", &bytes)]);
        let data = load(&DataSource::folder(dir.path())).unwrap();
        assert_eq!((data.train.len(), data.test.len()), (3, 3), "{tail:?}");
    }
    let members = [packed(b""), packed(b"1,0\n2,"), packed(b""), packed(b"1\n")].concat();
    let dir = folder(&[("train.csv.gz", &members)]);
    assert_eq!(load(&DataSource::folder(dir.path())).unwrap().train.len(), 2);
}

#[test]
fn what_is_cut_off_is_damaged() {
    let table = packed(TABLE);
    for end in [table.len() - 1, table.len() - 8, 12] {
        let dir = folder(&[("train.csv.gz", &table[..end])]);
        assert_says(load(&DataSource::folder(dir.path())), &["train.csv.gz"]);
    }
}

#[test]
fn regression_an_empty_part_is_skipped_wherever_it_stands() {
    let (empty, table) = (packed(b""), packed(TABLE));
    let zeros = [&empty[..], &[0; 512]].concat();
    for nothing in [&empty[..], &zeros, b""] {
        for place in 0..3 {
            let mut parts = vec![("train/part-0.csv.gz", &table[..]); 3];
            parts[1].0 = "train/part-1.csv.gz";
            parts[2].0 = "train/part-2.csv.gz";
            parts[place].1 = nothing;
            parts.push(("test/part-0.csv.gz", nothing));
            parts.push(("test/part-1.csv.gz", &table));
            let dir = folder(&parts);
            for (format, sharded) in
                [(Format::Auto, false), (Format::Csv, false), (Format::Csv, true)]
            {
                let source = DataSource { format, sharded, ..DataSource::folder(dir.path()) };
                let data = load(&source).unwrap();
                assert_eq!((data.train.len(), data.test.len()), (6, 3), "{place} {format:?}");
            }
        }
    }
    let text: [(&str, &[u8]); 2] = [("a.txt.gz", &empty), ("b.txt", b"some text")];
    let dir = folder(&text);
    assert_eq!(
        load(&DataSource { context: 2, ..DataSource::folder(dir.path()) }).unwrap().train.len(),
        4
    );
}

#[test]
fn files_that_are_all_empty_are_an_error() {
    let empty = packed(b"");
    for format in [Format::Auto, Format::Csv, Format::Text] {
        let dir = folder(&[("a.csv.gz", &empty), ("b.csv", b"")]);
        let source = DataSource { format, ..DataSource::folder(dir.path()) };
        let parts = ["no data in", "found a.csv.gz, b.csv", "2 skipped (a.csv.gz, b.csv): empty"];
        assert_says(load(&source), &parts);
        let file = DataSource { format, ..DataSource::folder(dir.path().join("a.csv.gz")) };
        assert_says(load(&file), &["no data in", "1 skipped", "empty"]);
    }
}
