//! Sound data of every format, to be spoilt.

use flate2::Compression;
use flate2::write::GzEncoder;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A table with so many lines: numbers, texts in quotes and without, missing values, and a label.
pub(crate) fn table(lines: usize) -> Vec<u8> {
    let mut text = "width,colour,note,height,kind\n".to_owned();
    for line in 0..lines {
        let (colour, kind) = (["red", "blue", "NA"][line % 3], ["ash", "oak"][line % 2]);
        let height = if line % 9 == 4 { String::new() } else { format!("{}.5", line % 17) };
        writeln!(
            text,
            "{}.{line},{colour},\"a, \"\"b\"\" {}\",{height},{kind}",
            line % 7,
            line % 4
        )
        .unwrap();
    }
    text.into_bytes()
}

/// The bytes as gzip.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// IDX: the sizes, then a byte for each value.
pub(crate) fn idx(sizes: &[u32], values: usize) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend((0..values).map(|at| (at % 10) as u8));
    bytes
}

/// Writes a set of any format into a folder, and says which of its files is to be spoilt.
pub(crate) fn any(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    match draw.random_range(0..6) {
        0 => write("train.csv", &table(300)),
        1 => write("train.csv.gz", &gzip(&table(300))),
        2 => write("train", &table(20)),
        3 => {
            let fixtures = Path::new(env!("CARGO_MANIFEST_DIR"));
            let fixtures = fixtures.join("../crates/ps-data/tests/fixtures/recordio");
            let names = ["dense_float32_3x2", "dense_float64", "sparse_float32"];
            let name = names[draw.random_range(0..names.len())];
            write("train.rec", &std::fs::read(fixtures.join(name).with_extension("rec")).unwrap())
        }
        number => {
            let (images, labels) = (idx(&[50, 4, 4], 800), idx(&[50], 50));
            let wrap = |bytes: Vec<u8>| if number == 5 { gzip(&bytes) } else { bytes };
            let end = if number == 5 { ".gz" } else { "" };
            let images = write(&format!("train-images-idx3-ubyte{end}"), &wrap(images));
            let labels = write(&format!("train-labels-idx1-ubyte{end}"), &wrap(labels));
            if draw.random_bool(0.7) { images } else { labels }
        }
    }
}
