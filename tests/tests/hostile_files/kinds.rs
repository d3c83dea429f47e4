//! What is done to sound files, and which kinds of hostile ones there are.

use super::{monsters, sound};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::path::{Path, PathBuf};

/// A kind of file.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Writes one into a folder and says where.
    pub(crate) make: fn(&mut ChaCha8Rng, &Path) -> PathBuf,
}

/// All of them.
pub(crate) const ALL: [Kind; 31] = [
    Kind { name: "truncated", make: truncated },
    Kind { name: "bits flipped", make: flipped },
    Kind { name: "a stretch of noise", make: noise },
    Kind { name: "a stretch of NULs", make: nuls },
    Kind { name: "two halves of different files", make: halves },
    Kind { name: "bytes left out", make: left_out },
    Kind { name: "bits flipped in a short beginning", make: flipped_beginning },
    Kind { name: "random bytes", make: monsters::random_bytes },
    Kind { name: "only quotes", make: monsters::only_quotes },
    Kind { name: "an open quote before 40 MB", make: monsters::open_quote },
    Kind { name: "UTF-16", make: monsters::utf_16 },
    Kind { name: "mixed line ends", make: monsters::mixed_line_ends },
    Kind { name: "only delimiters and line ends", make: monsters::only_marks },
    Kind { name: "a million columns", make: monsters::million_columns },
    Kind { name: "as many columns as can be", make: monsters::most_columns },
    Kind { name: "one line of 40 MB", make: monsters::one_line },
    Kind { name: "a sparse file of 10 GB", make: monsters::sparse },
    Kind { name: "a gzip bomb", make: monsters::bomb },
    Kind { name: "gzip in gzip", make: monsters::deep_gzip },
    Kind { name: "IDX that claims much", make: monsters::idx_claims },
    Kind { name: "RecordIO that claims much", make: monsters::recordio_claims },
    Kind { name: "an empty file", make: monsters::empty },
    Kind { name: "a number with a million digits", make: monsters::long_number },
    Kind { name: "the wrong name", make: monsters::wrong_name },
    Kind { name: "lines of different lengths", make: monsters::ragged },
    Kind { name: "distinct texts without end", make: monsters::distinct_texts },
    Kind { name: "control characters", make: monsters::control_characters },
    Kind { name: "numbers at the limits", make: monsters::limits },
    Kind { name: "a few large texts", make: monsters::large_texts },
    Kind { name: "thousands of columns of distinct texts", make: monsters::wide_texts },
    Kind { name: "labels without end", make: monsters::distinct_labels },
];

fn spoil(
    draw: &mut ChaCha8Rng,
    folder: &Path,
    how: impl FnOnce(&mut ChaCha8Rng, &mut Vec<u8>),
) -> PathBuf {
    let file = sound::any(draw, folder);
    let mut bytes = std::fs::read(&file).unwrap();
    how(draw, &mut bytes);
    std::fs::write(&file, bytes).unwrap();
    file
}

fn stretch(draw: &mut ChaCha8Rng, bytes: &[u8]) -> std::ops::Range<usize> {
    let (one, other) = (draw.random_range(0..bytes.len()), draw.random_range(0..bytes.len()));
    one.min(other)..one.max(other)
}

fn flip(draw: &mut ChaCha8Rng, bytes: &mut [u8]) {
    for _ in 0..draw.random_range(1..20) {
        let at = draw.random_range(0..bytes.len());
        bytes[at] ^= 1 << draw.random_range(0..8);
    }
}

fn truncated(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    spoil(draw, folder, |draw, bytes| bytes.truncate(draw.random_range(0..bytes.len())))
}

fn flipped(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    spoil(draw, folder, |draw, bytes| flip(draw, bytes))
}

fn flipped_beginning(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    spoil(draw, folder, |draw, bytes| flip(draw, &mut bytes[..24]))
}

fn noise(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    spoil(draw, folder, |draw, bytes| {
        let stretch = stretch(draw, bytes);
        draw.fill(&mut bytes[stretch]);
    })
}

fn nuls(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    spoil(draw, folder, |draw, bytes| {
        let stretch = stretch(draw, bytes);
        bytes[stretch].fill(0);
    })
}

fn left_out(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    spoil(draw, folder, |draw, bytes| {
        let stretch = stretch(draw, bytes);
        drop(bytes.drain(stretch));
    })
}

fn halves(draw: &mut ChaCha8Rng, folder: &Path) -> PathBuf {
    let other = tempfile::tempdir().unwrap();
    let other = std::fs::read(sound::any(draw, other.path())).unwrap();
    spoil(draw, folder, |draw, bytes| {
        bytes.truncate(draw.random_range(0..bytes.len()));
        bytes.extend_from_slice(&other[draw.random_range(0..other.len())..]);
    })
}
