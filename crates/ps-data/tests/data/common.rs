//! What these tests share.

use ps_data::{Error, FileList, FileRole, Samples};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder with these files.
pub(crate) fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

/// Where the files of the independent encoder are.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recordio")
}

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    fs::read(fixtures().join(name)).unwrap()
}

/// Inputs and labels of all samples.
pub(crate) fn all(samples: &Samples) -> (Vec<f32>, Vec<u32>) {
    let numbers: Vec<u64> = (0..samples.len() as u64).collect();
    let (inputs, labels) = samples.gather(&numbers).unwrap();
    (inputs.features, labels.classes().to_vec())
}

#[track_caller]
pub(crate) fn assert_says<T: std::fmt::Debug>(result: Result<T, Error>, parts: &[&str]) {
    assert_error_says(&result.unwrap_err(), parts);
}

#[track_caller]
pub(crate) fn assert_error_says(error: &Error, parts: &[&str]) {
    let error = error.to_string();
    for part in parts {
        assert!(error.contains(part), "`{error}` does not contain `{part}`");
    }
}

/// These bytes as one member of gzip.
pub(crate) fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// What becomes of each file, by its path below the folder: a word, or why it is no data.
pub(crate) fn becomes(dir: &Path, list: &FileList) -> Vec<(String, String)> {
    let files = list.files.iter().map(|file| {
        let role = match &file.role {
            FileRole::Training => "training",
            FileRole::Test => "test",
            FileRole::Validation => "validation",
            FileRole::Undecided => "undecided",
            FileRole::NotData { reason } => reason,
        };
        let path = file.path.strip_prefix(dir).unwrap_or(&file.path);
        (path.display().to_string(), role.to_owned())
    });
    files.collect()
}
