//! The best weights, which the evaluator has written beside the checkpoints or into the output folder: looked
//! for, checked, and made the model.

use ps_core::ids::Life;
use ps_core::keeping::{HEADER_LENGTH_BYTES, KEPT_FILE, Kept, KeptFile, header_bytes};
use ps_core::model_file::MODEL_FILE;
use ps_runtime::files::{FileReader, FileStore, Replacement, whole_name};
use std::io;

/// Bytes that are read at once while a file is checked.
const PIECE_BYTES: usize = 4 << 20;

/// A file with weights that were kept.
struct Found {
    /// For messages to people.
    place: String,
    file: Box<dyn FileReader>,
    kept: Kept,
    /// Where the weights begin, and how many bytes they are.
    start: u64,
    bytes: u64,
}

/// What is kept of this job.
///
/// # Errors
/// The file cannot be read; in words.
pub(crate) fn find(kept: &dyn FileStore, job: Life) -> Result<Option<Kept>, String> {
    Ok(found(kept, job)?.map(|found| found.kept))
}

/// Reads a file of weights that is not called so yet: whether it is what was announced but for its digest, and undamaged.
///
/// # Errors
/// It is another one, or damaged, or cannot be read.
pub(crate) fn checked(files: &dyn FileStore, name: &str, announced: &Kept) -> io::Result<Kept> {
    let found = open(files, name)?.filter(|found| {
        let digest = found.kept.digest;
        found.kept == Kept { digest, ..announced.clone() }
    });
    let place = format!("{}/{name}", files.location());
    let found = found.ok_or_else(|| invalid(&place, "not the weights that were announced"))?;
    found.check()?;
    Ok(found.kept)
}

/// Makes the kept weights the model in the output folder, once every byte was read as it was measured; what was
/// measured. `kept` is where they are, unless that is the output folder itself: from there they are moved, beside
/// checkpoints they stay for later lives of the job.
///
/// # Errors
/// They are not there, or damaged, or cannot be written; in words.
pub(crate) fn become_model(
    out: &dyn FileStore,
    kept: Option<&dyn FileStore>,
    job: Life,
) -> Result<Kept, String> {
    let folder = kept.unwrap_or(out);
    let missing = || format!("they are not in {}", folder.location());
    let found = found(folder, job)?.ok_or_else(missing)?;
    let made = match kept {
        Some(_) => found.copy(out),
        None => found.check().and_then(|()| {
            out.rename(KEPT_FILE, MODEL_FILE)?;
            out.sync()
        }),
    };
    made.map_err(|error| error.to_string())?;
    remove_unfinished(folder);
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

/// Opens the file, if there is one and it is this job's.
fn found(files: &dyn FileStore, job: Life) -> Result<Option<Found>, String> {
    let found = open(files, KEPT_FILE).map_err(|error| error.to_string())?;
    Ok(found.filter(|found| found.kept.job == job))
}

fn open(files: &dyn FileStore, name: &str) -> io::Result<Option<Found>> {
    let file = match files.open(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let place = format!("{}/{name}", files.location());
    let wrong = |problem: String| invalid(&place, &problem);
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
    Ok(Some(Found { place, file, kept, start, bytes }))
}

fn invalid(place: &str, problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{place}: {problem}"))
}

impl Found {
    /// Reads all of it, piece by piece, and checks the weights.
    fn read(&self, mut take: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let end = self.start + self.bytes;
        let (mut place, mut digest) = (0, crc32fast::Hasher::new());
        let mut piece = vec![0; PIECE_BYTES];
        while place < end {
            // The header is a piece of its own.
            let until = if place < self.start { self.start } else { end };
            let length = (until - place).min(PIECE_BYTES as u64) as usize;
            self.file.read_at(place, &mut piece[..length])?;
            if place >= self.start {
                digest.update(&piece[..length]);
            }
            take(place, &piece[..length])?;
            place += length as u64;
        }
        let (digest, expected) = (digest.finalize(), self.kept.digest);
        if digest == expected {
            return Ok(());
        }
        Err(invalid(
            &self.place,
            &format!("damaged: its CRC-32 is {digest:08x}, not {expected:08x}"),
        ))
    }

    fn check(&self) -> io::Result<()> {
        self.read(|_, _| Ok(()))
    }

    /// Writes the model as it is read; a damaged one never appears.
    fn copy(&self, out: &dyn FileStore) -> io::Result<()> {
        let mut model = Replacement::new(out, MODEL_FILE)?;
        self.read(|place, piece| model.write_at(place, piece))?;
        model.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ps_core::keeping::kept_header;
    use ps_core::{Layout, TensorSpec};
    use ps_runtime::files::SimulatedDisk;

    const JOB: Life = 7;

    fn write(files: &SimulatedDisk, job: Life, weights: [f32; 3]) -> Kept {
        let layout = Layout::new(vec![TensorSpec::trainable("w", [3])]).unwrap();
        let bytes: Vec<u8> = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
        let digest = crc32fast::hash(&bytes);
        let kept = Kept { job, digest, value: weights[0].into(), ..Kept::default() };
        let file = [kept_header(&layout, &kept).unwrap(), bytes].concat();
        files.write(KEPT_FILE, &file).unwrap();
        kept
    }

    #[test]
    fn in_the_output_folder_the_best_is_moved() {
        let out = SimulatedDisk::default();
        assert_eq!(find(&out, JOB), Ok(None));
        let kept = write(&out, JOB, [1.0, 2.0, 3.0]);
        let file = out.read(KEPT_FILE).unwrap();
        drop(out.create("best.safetensors.partial").unwrap());
        assert_eq!(find(&out, JOB), Ok(Some(kept.clone())));
        assert_eq!(become_model(&out, None, JOB), Ok(kept));
        assert_eq!(out.list().unwrap(), [MODEL_FILE]);
        assert_eq!(out.read(MODEL_FILE).unwrap(), file);
    }

    #[test]
    fn beside_checkpoints_the_best_stays_for_later_lives() {
        let (out, checkpoints) = (SimulatedDisk::default(), SimulatedDisk::default());
        let kept = write(&checkpoints, JOB, [1.0, 2.0, 3.0]);
        for _ in 0..2 {
            assert_eq!(become_model(&out, Some(&checkpoints), JOB), Ok(kept.clone()));
            assert_eq!(out.list().unwrap(), [MODEL_FILE]);
        }
        assert_eq!(out.read(MODEL_FILE).unwrap(), checkpoints.read(KEPT_FILE).unwrap());
        assert_eq!(find(&checkpoints, JOB), Ok(Some(kept)));
    }

    #[test]
    fn what_another_job_kept_is_never_used() {
        let out = SimulatedDisk::default();
        write(&out, JOB + 1, [1.0, 2.0, 3.0]);
        assert_eq!(find(&out, JOB), Ok(None));
        assert!(become_model(&out, None, JOB).unwrap_err().contains("they are not in"));
        out.write(KEPT_FILE, b"no model at all").unwrap();
        assert!(find(&out, JOB).is_err());
    }

    #[test]
    fn damaged_weights_do_not_become_the_model() {
        let (out, checkpoints) = (SimulatedDisk::default(), SimulatedDisk::default());
        for (kept, folder) in [(None, &out), (Some(&checkpoints), &checkpoints)] {
            let kept = kept.map(|kept| kept as &dyn FileStore);
            write(folder, JOB, [1.0, 2.0, 3.0]);
            let mut bytes = folder.read(KEPT_FILE).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            folder.write(KEPT_FILE, &bytes).unwrap();
            let error = become_model(&out, kept, JOB).unwrap_err();
            assert!(error.contains("damaged: its CRC-32"), "{error}");
            folder.write(KEPT_FILE, &bytes[..last]).unwrap();
            assert!(become_model(&out, kept, JOB).unwrap_err().contains("of weights"));
            assert!(!out.list().unwrap().contains(&MODEL_FILE.to_owned()));
        }
    }
}
