//! What the first line of a CSV file is taken for: by a reader that sees all lines before it decides,
//! and by one that sees one after the other.

use std::fs;

use super::common::assert_says;
use ps_data::{ColumnChoice, DataSource, Error, TableOptions, load_stream, stream_files};

/// Samples in this file, loaded whole and as a stream.
async fn samples(csv: &str, label: &str) -> (Result<usize, Error>, Result<usize, Error>) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("train.csv"), csv).unwrap();
    let label: ColumnChoice = label.parse().unwrap();
    let source =
        DataSource { table: TableOptions::with_label(label), ..DataSource::folder(dir.path()) };
    let loaded = ps_data::load(&source).map(|data| data.train.len());
    let streamed = load_stream(stream_files(&source).unwrap()).await;
    (loaded, streamed.map(|samples| samples.len()))
}

#[tokio::test]
async fn both_readers_take_the_same_lines_for_headers() {
    for (csv, label, expected) in [
        ("x,y\n1,0\n3,1\n", "last", 2),
        ("1,0\n3,1\n", "last", 2),
        ("\u{feff}x,y\r\n1,0\r\n3,1\r\n", "last", 2),
        ("y,x\n0,1\n1,3\n", "1", 2),
        // A name that is a number, in a header that must be one because it has the label's.
        ("x1,2019,y\n1,2,0\n3,4,1\n", "y", 2),
        ("0,1,label\n1,2,0\n3,4,1\n", "label", 2),
        // A name that is missing, as pandas leaves that of its index.
        (",x,y\n0,1,0\n1,2,1\n", "y", 2),
    ] {
        let (loaded, streamed) = samples(csv, label).await;
        assert_eq!((loaded.unwrap(), streamed.unwrap()), (expected, expected), "{csv:?}, {label}");
    }
}

#[tokio::test]
async fn regression_a_header_of_numbers_or_with_an_unnamed_column_is_one() {
    for csv in ["0,1,y\n1,2,0\n3,4,1\n", ",x,y\n0,1,0\n1,2,1\n"] {
        let (loaded, streamed) = samples(csv, "last").await;
        assert_eq!((loaded.unwrap(), streamed.unwrap()), (2, 2), "{csv:?}");
    }
}

#[tokio::test]
async fn a_first_line_that_may_be_either_is_asked_about() {
    let (loaded, streamed) = samples("abc,5.1,3.2,1\n4.2,4.1,3.0,0\n4.1,4.0,3.3,1\n", "last").await;
    for result in [loaded, streamed] {
        assert_says(result, &["train.csv, line 1", "`abc`", "--header yes or --header no"]);
    }
}

#[tokio::test]
async fn texts_alone_are_a_header_and_nothing_else() {
    let (loaded, streamed) = samples("x,y\n", "last").await;
    assert_says(loaded, &["no line of values"]);
    assert_eq!(streamed.unwrap(), 0);
}

#[tokio::test]
async fn both_readers_refuse_a_first_line_that_cannot_be_one() {
    for (csv, label, parts) in [
        ("1\n2\n", "last", ["line 1: 1 columns", "expected 2"]),
        ("x,y\n1,0\n", "z", ["`z`", "x, y"]),
        ("x,y\n1,0\n", "3", ["column 3 was asked", "1 to 2"]),
    ] {
        let (loaded, streamed) = samples(csv, label).await;
        assert_says(loaded, &parts);
        assert_says(streamed, &parts);
    }
}
