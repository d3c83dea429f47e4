//! Finding out what a directory holds, and reading it.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::csv_file::{self, LabelColumn};
use super::idx::{self, Kind};
use super::{Dataset, Error, Features, Samples};

/// The four parts of an IDX set, named as MNIST names them.
const IDX_PARTS: [(&str, &str, Kind); 4] = [
    ("train-images", "idx3-ubyte", Kind::Images),
    ("train-labels", "idx1-ubyte", Kind::Labels),
    ("t10k-images", "idx3-ubyte", Kind::Images),
    ("t10k-labels", "idx1-ubyte", Kind::Labels),
];

/// The two parts of a CSV set.
const CSV_PARTS: [&str; 2] = ["train.csv", "test.csv"];

/// Entries of a directory that an error names, so that one look shows a wrong path.
const LISTED_MAX: usize = 8;

/// Loads the training and test data in this directory; in a CSV file the last column is the label.
///
/// # Errors
/// No known set of files, or one that is damaged; the error names the file.
pub fn load(dir: &Path) -> Result<Dataset, Error> {
    load_with(dir, &LabelColumn::Last)
}

/// Loads the data in this directory, with the label in the column given if it is CSV.
///
/// # Errors
/// As [`load`]; and a label column that the file does not have.
pub fn load_with(dir: &Path, label: &LabelColumn) -> Result<Dataset, Error> {
    let idx = IDX_PARTS.map(|(part, format, _)| find_idx(dir, part, format));
    if idx.iter().any(Option::is_some) {
        return join_idx(|position| {
            let (part, _, kind) = IDX_PARTS[position];
            let found = idx[position].clone();
            let path = found.ok_or_else(|| incomplete(dir, part, "the other IDX files"))?;
            let content = idx::read(&path, kind, open(&path)?)?;
            Ok((path, content))
        });
    }
    let [train, test] = CSV_PARTS.map(|name| dir.join(name));
    match (train.is_file(), test.is_file()) {
        (true, true) => csv_file::load(&train, &test, label),
        (true, false) => Err(incomplete(dir, CSV_PARTS[1], CSV_PARTS[0])),
        (false, true) => Err(incomplete(dir, CSV_PARTS[0], CSV_PARTS[1])),
        (false, false) => Err(Error::NotFound {
            dir: dir.to_owned(),
            looked_for: format!(
                "IDX files ({}; each also as `name.idx..` and with .gz) and CSV files ({})",
                IDX_PARTS.map(|(part, format, _)| format!("{part}-{format}")).join(", "),
                CSV_PARTS.join(", ")
            ),
            found: listing(dir),
        }),
    }
}

/// The data set inside the program: 1,437 + 360 real handwritten digits of 8 x 8 pixels.
///
/// # Errors
/// None unless the files were damaged when the program was built.
pub fn bundled_digits() -> Result<Dataset, Error> {
    const BYTES: [&[u8]; 4] = [
        include_bytes!("../../../data/digits/train-images-idx3-ubyte.gz"),
        include_bytes!("../../../data/digits/train-labels-idx1-ubyte.gz"),
        include_bytes!("../../../data/digits/t10k-images-idx3-ubyte.gz"),
        include_bytes!("../../../data/digits/t10k-labels-idx1-ubyte.gz"),
    ];
    join_idx(|position| {
        let (part, format, kind) = IDX_PARTS[position];
        let path = PathBuf::from(format!("(bundled digits) {part}-{format}.gz"));
        let content = idx::read(&path, kind, BYTES[position])?;
        Ok((path, content))
    })
}

fn find_idx(dir: &Path, part: &str, format: &str) -> Option<PathBuf> {
    let names = ["-", "."].map(|joint| format!("{part}{joint}{format}"));
    let plain_first = names.iter().cloned().chain(names.iter().map(|name| format!("{name}.gz")));
    plain_first.map(|name| dir.join(name)).find(|path| path.is_file())
}

fn open(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

/// Makes samples of the four files, which `read` gives by their position in `IDX_PARTS`.
fn join_idx(
    read: impl Fn(usize) -> Result<(PathBuf, idx::Content), Error>,
) -> Result<Dataset, Error> {
    let [train_images, train_labels, test_images, test_labels] =
        [read(0)?, read(1)?, read(2)?, read(3)?];
    let (train_path, test_path) = (train_images.0.clone(), test_images.0.clone());
    let train = join_set(train_images, train_labels)?;
    let test = join_set(test_images, test_labels)?;
    if train.shape() != test.shape() {
        return Err(Error::Mismatch {
            path: test_path,
            found: format!("images of {:?}", test.shape()),
            other: train_path,
            expected: format!("has images of {:?}", train.shape()),
            hint: "training and test data must come from one set",
        });
    }
    let classes = train.labels().iter().chain(test.labels()).max().map_or(0, |&most| most + 1);
    Ok(Dataset { train, test, classes: classes as usize })
}

fn join_set(
    images: (PathBuf, idx::Content),
    labels: (PathBuf, idx::Content),
) -> Result<Samples, Error> {
    let (path, content) = images;
    let (count, values) = (content.sizes[0], labels.1.values);
    if count == 0 || content.sizes.contains(&0) {
        return Err(Error::Length {
            path,
            found: format!("images of sizes {:?}", content.sizes),
            expected: "at least one image with at least one pixel".to_owned(),
            hint: "a set without samples cannot be trained on or tested with",
        });
    }
    let mismatch = Error::Mismatch {
        path: labels.0,
        found: format!("{} labels", values.len()),
        other: path,
        expected: format!("has {count} images"),
        hint: "one of the two is from another set or incomplete",
    };
    let labels = values.into_iter().map(u32::from).collect();
    let shape = content.sizes[1..].to_vec();
    Samples::new(Features::Bytes(content.values), shape, labels).ok_or(mismatch)
}

fn incomplete(dir: &Path, missing: &str, present: &str) -> Error {
    Error::NotFound {
        dir: dir.to_owned(),
        looked_for: format!("{missing}, which belongs to {present} there"),
        found: listing(dir),
    }
}

/// What is in the directory instead, in words.
fn listing(dir: &Path) -> String {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => return format!("the directory cannot be read: {error}"),
    };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort_unstable();
    let more = names.len().saturating_sub(LISTED_MAX);
    names.truncate(LISTED_MAX);
    match (names.is_empty(), more) {
        (true, _) => "the directory is empty".to_owned(),
        (false, 0) => format!("found {}", names.join(", ")),
        (false, more) => format!("found {} and {more} more", names.join(", ")),
    }
}
