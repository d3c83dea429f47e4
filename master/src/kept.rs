//! The best weights, which the evaluator has written into the output folder: looked for, checked, and
//! made the model.

use ps_core::ids::Life;
use ps_core::keeping::{HEADER_LENGTH_BYTES, KEPT_FILE, Kept, KeptFile, header_bytes};
use ps_core::model_file::MODEL_FILE;
use ps_runtime::files::{FileReader, FileStore, whole_name};
use std::io;

/// Bytes that are read at once while a file is checked.
const PIECE_BYTES: usize = 4 << 20;

/// A file with weights of this job that were kept.
struct Found {
    name: &'static str,
    file: Box<dyn FileReader>,
    kept: Kept,
    /// Where the weights begin, and how many bytes they are.
    start: u64,
    bytes: u64,
}

/// What the folder has of this job: the newest, which is the best. Those of an earlier life may have
/// become the model already.
///
/// # Errors
/// A file cannot be read; in words.
pub(crate) fn find(files: &dyn FileStore, job: Life) -> Result<Option<Kept>, String> {
    Ok(found(files, job)?.map(|found| found.kept))
}

/// Makes them the model, once every byte was read as it was measured; what was measured.
///
/// # Errors
/// They are not there, or damaged; in words.
pub(crate) fn become_model(files: &dyn FileStore, job: Life) -> Result<Kept, String> {
    let missing = || format!("they are not in {}", files.location());
    let found = found(files, job)?.ok_or_else(missing)?;
    let digest = found.digest().map_err(|error| error.to_string())?;
    if digest != found.kept.digest {
        let (name, expected) = (found.name, found.kept.digest);
        return Err(format!("{name} is damaged: its CRC-32 is {digest:08x}, not {expected:08x}"));
    }
    if found.name != MODEL_FILE {
        let moved = files.rename(found.name, MODEL_FILE).and_then(|()| files.sync());
        moved.map_err(|error| error.to_string())?;
    }
    remove_unfinished(files);
    Ok(found.kept)
}

/// Removes weights that were not written to their end. What fails costs room, and nothing else.
fn remove_unfinished(files: &dyn FileStore) {
    let names = files.list().unwrap_or_default();
    let unfinished =
        names.iter().filter(|name| *name != KEPT_FILE && whole_name(name) == KEPT_FILE);
    for error in unfinished.filter_map(|name| files.remove(name).err()) {
        tracing::warn!("removing weights that were not written to their end: {error}");
    }
}

fn found(files: &dyn FileStore, job: Life) -> Result<Option<Found>, String> {
    for name in [KEPT_FILE, MODEL_FILE] {
        let opened = open(files, name).map_err(|error| error.to_string());
        // A model of another program is none of ours, and neither is one that cannot be read.
        let opened = if name == MODEL_FILE { opened.unwrap_or_default() } else { opened? };
        if let Some(found) = opened.filter(|found| found.kept.job == job) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Opens a file that says what was measured; `None` where there is none.
fn open(files: &dyn FileStore, name: &'static str) -> io::Result<Option<Found>> {
    let file = match files.open(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let wrong = |problem: String| {
        let message = format!("{}/{name}: {problem}", files.location());
        io::Error::new(io::ErrorKind::InvalidData, message)
    };
    let mut first = [0; HEADER_LENGTH_BYTES];
    file.read_at(0, &mut first)?;
    let mut header = vec![0; header_bytes(first).map_err(wrong)?];
    file.read_at(HEADER_LENGTH_BYTES as u64, &mut header)?;
    let Some(KeptFile { kept, weight_bytes: bytes }) = KeptFile::read(&header).map_err(wrong)?
    else {
        return Ok(None);
    };
    let start = (HEADER_LENGTH_BYTES + header.len()) as u64;
    if file.bytes() != start.saturating_add(bytes) {
        let found = file.bytes();
        return Err(wrong(format!("{found} bytes, expected {start} and {bytes} of weights")));
    }
    Ok(Some(Found { name, file, kept, start, bytes }))
}

impl Found {
    /// CRC-32 of the weights as they are on the disk.
    fn digest(&self) -> io::Result<u32> {
        let (mut place, end) = (self.start, self.start + self.bytes);
        let (mut digest, mut piece) = (crc32fast::Hasher::new(), vec![0; PIECE_BYTES]);
        while place < end {
            let length = (end - place).min(PIECE_BYTES as u64) as usize;
            self.file.read_at(place, &mut piece[..length])?;
            digest.update(&piece[..length]);
            place += length as u64;
        }
        Ok(digest.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ps_core::keeping::kept_header;
    use ps_core::{Layout, TensorSpec};
    use ps_runtime::files::SimulatedDisk;

    const JOB: Life = 7;

    fn write(files: &SimulatedDisk, name: &str, job: Life, weights: [f32; 3]) -> Kept {
        let layout = Layout::new(vec![TensorSpec::trainable("w", [3])]).unwrap();
        let bytes: Vec<u8> = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
        let digest = crc32fast::hash(&bytes);
        let kept = Kept { job, digest, value: weights[0].into(), ..Kept::default() };
        let file = [kept_header(&layout, &kept).unwrap(), bytes].concat();
        files.write(name, &file).unwrap();
        kept
    }

    #[test]
    fn the_best_becomes_the_model_and_is_found_as_such_by_another_life() {
        let files = SimulatedDisk::default();
        assert_eq!(find(&files, JOB), Ok(None));
        let kept = write(&files, KEPT_FILE, JOB, [1.0, 2.0, 3.0]);
        files.write("best.safetensors.partial", b"torn").unwrap_or_default();
        assert_eq!(find(&files, JOB), Ok(Some(kept.clone())));
        assert_eq!(become_model(&files, JOB), Ok(kept.clone()));
        assert_eq!(files.list().unwrap(), [MODEL_FILE]);
        assert_eq!(find(&files, JOB), Ok(Some(kept.clone())));
        assert_eq!(become_model(&files, JOB), Ok(kept), "it is in its place");
        let better = write(&files, KEPT_FILE, JOB, [4.0, 5.0, 6.0]);
        assert_eq!(find(&files, JOB), Ok(Some(better)), "newer than what became the model");
    }

    #[test]
    fn what_another_job_kept_is_never_used() {
        let files = SimulatedDisk::default();
        write(&files, KEPT_FILE, JOB + 1, [1.0, 2.0, 3.0]);
        write(&files, MODEL_FILE, JOB + 1, [1.0, 2.0, 3.0]);
        assert_eq!(find(&files, JOB), Ok(None));
        assert!(become_model(&files, JOB).unwrap_err().contains("they are not in"));
        files.write(MODEL_FILE, b"no model at all").unwrap();
        assert_eq!(find(&files, JOB), Ok(None));
    }

    #[test]
    fn damaged_weights_do_not_become_the_model() {
        let files = SimulatedDisk::default();
        write(&files, KEPT_FILE, JOB, [1.0, 2.0, 3.0]);
        let mut bytes = files.read(KEPT_FILE).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        files.write(KEPT_FILE, &bytes).unwrap();
        assert!(become_model(&files, JOB).unwrap_err().contains("is damaged: its CRC-32"));
        files.write(KEPT_FILE, &bytes[..last]).unwrap();
        assert!(become_model(&files, JOB).unwrap_err().contains("of weights"));
        assert!(!files.list().unwrap().contains(&MODEL_FILE.to_owned()));
    }
}
