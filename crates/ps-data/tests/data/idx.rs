//! IDX files: what is read, and what every kind of damage says.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::common::assert_says;
use flate2::Compression;
use flate2::write::GzEncoder;
use ps_data::{DataSource, Dataset, Error, bundled_digits};
use tempfile::TempDir;

fn load(dir: &Path) -> Result<Dataset, Error> {
    ps_data::load(&DataSource::folder(dir))
}

/// Two images of 2 x 3 pixels.
fn images() -> Vec<u8> {
    let mut bytes = [0x0803_u32, 2, 2, 3].map(u32::to_be_bytes).concat();
    bytes.extend(0..12);
    bytes
}

fn labels() -> Vec<u8> {
    let mut bytes = [0x0801_u32, 2].map(u32::to_be_bytes).concat();
    bytes.extend([4, 1]);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A directory with a whole set, in which one file may then be replaced.
fn directory() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for part in ["train", "t10k"] {
        fs::write(dir.path().join(format!("{part}-images-idx3-ubyte")), images()).unwrap();
        fs::write(dir.path().join(format!("{part}-labels-idx1-ubyte")), labels()).unwrap();
    }
    dir
}

fn load_with_images(bytes: &[u8]) -> Result<Dataset, Error> {
    let dir = directory();
    fs::write(dir.path().join("train-images-idx3-ubyte"), bytes).unwrap();
    load(dir.path())
}

#[test]
fn a_whole_set_is_read() {
    let data = load(directory().path()).unwrap();
    assert_eq!((data.train.len(), data.train.shape(), data.outputs), (2, &[2, 3][..], 5));
    let (inputs, labels) = data.train.gather(&[1]).unwrap();
    assert_eq!(inputs.features, [6.0, 7.0, 8.0, 9.0, 10.0, 11.0].map(|byte: f32| byte / 255.0));
    assert_eq!(labels.classes(), [1]);
}

#[test]
fn names_with_a_dot_and_gzip_are_found() {
    let dir = tempfile::tempdir().unwrap();
    for part in ["train", "t10k"] {
        let write = |name: &str, bytes: Vec<u8>| {
            fs::write(dir.path().join(format!("{part}-{name}")), bytes).unwrap();
        };
        write("images.idx3-ubyte", images());
        write("labels.idx1-ubyte.gz", gzip(&labels()));
    }
    assert_eq!(load(dir.path()).unwrap(), load(directory().path()).unwrap());
}

#[test]
fn a_labels_file_in_the_place_of_images_is_recognised() {
    let result = load_with_images(&labels());
    assert_says(result, &["train-images", "0x00000801", "0x00000803", "labels file?"]);
}

#[test]
fn other_content_is_refused_by_its_magic() {
    assert_says(load_with_images(b"<html>"), &["magic 0x3c68746d", "not an IDX file"]);
    assert_says(load_with_images(&[0, 0, 13, 2]), &["type 0x0d with 2 sizes"]);
}

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    for end in 0..images().len() {
        let result = load_with_images(&images()[..end]);
        assert!(matches!(result, Err(Error::Length { .. })), "cut at {end}: {result:?}");
    }
    assert_says(load_with_images(&images()[..20]), &["4 bytes", "expected 12", "[2, 2, 3]"]);
}

#[test]
fn trailing_bytes_are_refused() {
    let mut bytes = images();
    bytes.push(0);
    assert_says(load_with_images(&bytes), &["more than 12 bytes", "expected 12"]);
    assert_says(load_with_images(&gzip(&bytes)), &["more than 12 bytes"]);
}

#[test]
fn a_gzip_file_cut_off_anywhere_is_refused() {
    let whole = gzip(&images());
    for end in 2..whole.len() {
        let result = load_with_images(&whole[..end]);
        assert!(matches!(result, Err(Error::Gzip { .. })), "cut at {end}: {result:?}");
    }
    assert_says(load_with_images(&whole[..whole.len() - 4]), &["train-images", "gzip -t"]);
}

#[test]
fn a_changed_byte_in_a_gzip_file_is_found() {
    let mut bytes = gzip(&images());
    let checksum = bytes.len() - 6;
    bytes[checksum] ^= 1;
    assert!(matches!(load_with_images(&bytes), Err(Error::Gzip { .. })));
    // What is behind the data is none of them: gzip takes no offence either.
    let mut bytes = gzip(&images());
    bytes.extend(b"rest");
    assert_eq!(load_with_images(&bytes).unwrap().train.len(), 2);
}

#[test]
fn a_header_that_claims_much_costs_nothing() {
    let claim = [0x0803_u32, 1 << 20, 1 << 6, 1 << 7].map(u32::to_be_bytes).concat();
    assert_says(load_with_images(&claim), &["0 bytes", "expected 8589934592"]);
    let claim = [0x0803_u32, u32::MAX, u32::MAX, u32::MAX].map(u32::to_be_bytes).concat();
    assert_says(load_with_images(&claim), &["header claims", "the limit is"]);
}

#[test]
fn images_without_pixels_are_refused() {
    let none = [0x0803_u32, 0, 2, 3].map(u32::to_be_bytes).concat();
    assert_says(load_with_images(&none), &["[0, 2, 3]", "at least one image"]);
    let none = [0x0803_u32, 2, 0, 3].map(u32::to_be_bytes).concat();
    assert_says(load_with_images(&none), &["[2, 0, 3]", "at least one pixel"]);
}

#[test]
fn files_that_do_not_fit_each_other_are_named() {
    let dir = directory();
    let more = [[0x0801_u32, 3].map(u32::to_be_bytes).concat(), vec![0, 1, 2]].concat();
    fs::write(dir.path().join("t10k-labels-idx1-ubyte"), more).unwrap();
    assert_says(load(dir.path()), &["t10k-labels", "3 labels", "t10k-images", "2 images"]);

    let mut other = [0x0803_u32, 2, 3, 2].map(u32::to_be_bytes).concat();
    other.extend(0..12);
    assert_says(load_with_images(&other), &["t10k-images", "[2, 3]", "train-images", "[3, 2]"]);
}

#[test]
fn a_missing_part_or_set_is_named_with_what_is_there() {
    let dir = directory();
    fs::remove_file(dir.path().join("t10k-labels-idx1-ubyte")).unwrap();
    assert_says(load(dir.path()), &["t10k-labels", "found t10k-images-idx3-ubyte"]);

    let empty = tempfile::tempdir().unwrap();
    let parts = ["train-images-idx3-ubyte", "train.csv", "directory is empty", "bundled digits"];
    assert_says(load(empty.path()), &parts);
    fs::write(empty.path().join("notes.txt"), "").unwrap();
    assert_says(load(empty.path()), &["found notes.txt"]);
    assert_says(load(&empty.path().join("nowhere")), &["no such file or folder"]);
    assert_says(load(Path::new("/dev/null")), &["--data /dev/null: neither a file nor a folder"]);
}

#[test]
fn regression_files_of_no_pair_stop_the_job() {
    let dir = directory();
    fs::write(dir.path().join("val-images-idx3-ubyte"), images()).unwrap();
    let parts = ["1 idx file(s)", "val-images-idx3-ubyte", "no set by their names"];
    assert_says(load(dir.path()), &parts);
    let test = Some(dir.path().to_owned());
    assert_says(ps_data::load(&DataSource { test, ..DataSource::folder(dir.path()) }), &parts);
    let ignore_files = vec!["val-*".to_owned()];
    let source = DataSource { ignore_files, ..DataSource::folder(dir.path()) };
    assert_eq!(ps_data::load(&source).unwrap(), load(directory().path()).unwrap());
}

#[test]
fn copies_in_another_form_are_legal() {
    let dir = directory();
    fs::write(dir.path().join("train-images-idx3-ubyte.gz"), gzip(&images())).unwrap();
    fs::write(dir.path().join("train-labels.idx1-ubyte"), labels()).unwrap();
    assert_eq!(load(dir.path()).unwrap(), load(directory().path()).unwrap());
    let list = ps_data::files(&DataSource::folder(dir.path())).unwrap();
    let unused = list.files.iter().filter(|file| file.format.is_none());
    assert_eq!((list.files.len(), unused.count()), (6, 2));
}

#[test]
fn the_bundled_digits_are_whole() {
    let data = bundled_digits().unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.outputs), (1_437, 360, 10));
    assert_eq!(data.train.shape(), [8, 8]);
}

#[test]
fn mnist_is_read() {
    let Some(root) = std::env::var_os("PS_TEST_DATA") else {
        eprintln!("skipped: PS_TEST_DATA does not name the directory that holds mnist/");
        return;
    };
    let dir = Path::new(&root).join("mnist");
    if !dir.is_dir() {
        eprintln!("skipped: {} is not there", dir.display());
        return;
    }
    let data = load(&dir).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.outputs), (60_000, 10_000, 10));
    assert_eq!(data.train.shape(), [28, 28]);
    assert_eq!(data.train.labels().classes()[..5], [5, 0, 4, 1, 9]);
    assert_eq!(data.test.labels().classes()[..5], [7, 2, 1, 0, 4]);
}
