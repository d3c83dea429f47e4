//! The best weights of a program, which it sends piece by piece: written where an evaluator writes its own
//! (docs/adr/0029, 0047).

use crate::kept;
use ps_core::keeping::{KEPT_FILE, Kept};
use ps_core::limits::{MODEL_ELEMENTS_MAX, SAFETENSORS_HEADER_BYTES_MAX};
use ps_core::master::{Asking, Caller};
use ps_proto::convert::program::WeightsPiece;
use ps_runtime::files::{FileWriter, Files};
use std::io;

/// What the file is called until it is whole.
const UNFINISHED: &str = "best.safetensors.partial";

/// Bytes that no model has.
const BYTES_MAX: u64 = SAFETENSORS_HEADER_BYTES_MAX as u64 + 4 * MODEL_ELEMENTS_MAX;

/// A file of weights that is under way.
pub(crate) struct Upload {
    files: Files,
    of: (Caller, Asking),
    /// What it must say of itself, but for its digest.
    kept: Kept,
    writer: Box<dyn FileWriter>,
    bytes: u64,
    is_whole: bool,
}

impl Drop for Upload {
    /// What was not sent to its end is of no use to anybody.
    fn drop(&mut self) {
        if !self.is_whole
            && let Err(error) = self.files.remove(UNFINISHED)
        {
            tracing::warn!("removing weights that were not sent to their end: {error}");
        }
    }
}

/// What became of a piece.
pub(crate) enum Taken {
    /// It is a part of the file, and others are to come.
    Part(Upload),
    /// The file is whole, and has its name.
    Whole(Kept),
}

impl Upload {
    /// Begins a file.
    ///
    /// # Errors
    /// It cannot be created; the message names it.
    pub(crate) fn begin(files: Files, of: (Caller, Asking), kept: Kept) -> io::Result<Self> {
        let writer = files.create(UNFINISHED)?;
        Ok(Self { files, of, kept, writer, bytes: 0, is_whole: false })
    }

    /// Whether it is the file of this report.
    pub(crate) fn is_of(&self, of: (Caller, Asking)) -> bool {
        self.of == of
    }

    /// Bytes that are here: the next piece begins there.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes a piece that begins where the last one ended.
    ///
    /// # Errors
    /// It cannot be written, or the file is not what was announced; what was written is removed.
    pub(crate) fn take(mut self, piece: &WeightsPiece) -> io::Result<Taken> {
        Ok(match self.write(piece)? {
            None => Taken::Part(self),
            Some(kept) => Taken::Whole(kept),
        })
    }

    fn write(&mut self, piece: &WeightsPiece) -> io::Result<Option<Kept>> {
        let end = self.bytes.saturating_add(piece.content.len() as u64);
        if end > BYTES_MAX {
            let words = format!("a file of more than {BYTES_MAX} bytes: no model is so large");
            return Err(io::Error::new(io::ErrorKind::InvalidData, words));
        }
        self.writer.write_soon_at(self.bytes, &piece.content)?;
        self.bytes = end;
        if !piece.is_last {
            return Ok(None);
        }
        self.writer.sync()?;
        let kept = kept::checked(self.files.as_ref(), UNFINISHED, &self.kept)?;
        self.files.rename(UNFINISHED, KEPT_FILE)?;
        self.is_whole = true;
        self.files.sync()?;
        Ok(Some(kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ps_core::keeping::kept_header;
    use ps_core::master::MemberId;
    use ps_core::{Layout, TensorSpec};
    use ps_runtime::files::{FileStore, SimulatedDisk};
    use std::sync::Arc;

    const ASKING: Asking = Asking { process: 1, number: 2 };

    fn caller() -> Caller {
        Caller { member: MemberId::worker(0), incarnation: 7 }
    }

    fn file(kept: &Kept, weights: [f32; 3]) -> Vec<u8> {
        let layout = Layout::new(vec![TensorSpec::trainable("w", [3])]).unwrap();
        let bytes: Vec<u8> = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
        let kept = Kept { digest: crc32fast::hash(&bytes), ..kept.clone() };
        [kept_header(&layout, &kept).unwrap(), bytes].concat()
    }

    /// Sends a file in pieces of ten bytes.
    fn send(disk: &Arc<SimulatedDisk>, kept: &Kept, file: &[u8]) -> io::Result<Kept> {
        let mut upload = Upload::begin(disk.clone(), (caller(), ASKING), kept.clone())?;
        let pieces: Vec<&[u8]> = file.chunks(10).collect();
        for (number, content) in pieces.iter().enumerate() {
            let piece = WeightsPiece {
                caller: caller(),
                asking: ASKING,
                offset: upload.bytes(),
                content: content.to_vec().into(),
                is_last: number + 1 == pieces.len(),
            };
            match upload.take(&piece)? {
                Taken::Part(more) => upload = more,
                Taken::Whole(kept) => return Ok(kept),
            }
        }
        panic!("it has no end");
    }

    #[test]
    fn what_is_sent_in_pieces_is_one_file() {
        let disk = Arc::new(SimulatedDisk::default());
        let kept = Kept { job: 7, measure: "loss".into(), pass: 2, ..Kept::default() };
        let whole = file(&kept, [1.0, 2.0, 3.0]);
        let found = send(&disk, &kept, &whole).unwrap();
        assert_eq!((found.pass, found.digest), (2, crc32fast::hash(&whole[whole.len() - 12..])));
        assert_eq!(disk.read(KEPT_FILE).unwrap(), whole);
        assert_eq!(kept::find(disk.as_ref(), 7), Ok(Some(found)));
    }

    #[test]
    fn what_is_not_what_was_announced_leaves_the_best_of_before() {
        let disk = Arc::new(SimulatedDisk::default());
        let kept = Kept { job: 7, measure: "loss".into(), pass: 2, ..Kept::default() };
        let before = file(&kept, [1.0, 2.0, 3.0]);
        send(&disk, &kept, &before).unwrap();
        let mut damaged = file(&kept, [4.0, 5.0, 6.0]);
        *damaged.last_mut().unwrap() ^= 1;
        let other = file(&Kept { pass: 3, ..kept.clone() }, [4.0, 5.0, 6.0]);
        let short = &before[..before.len() - 1];
        for wrong in [damaged.as_slice(), &other, short, b"no model at all"] {
            send(&disk, &kept, wrong).unwrap_err();
            assert_eq!(disk.list().unwrap(), [KEPT_FILE]);
            assert_eq!(disk.read(KEPT_FILE).unwrap(), before);
        }
        drop(Upload::begin(disk.clone(), (caller(), ASKING), kept).unwrap());
        assert_eq!(disk.list().unwrap(), [KEPT_FILE], "what is not sent to its end is removed");
    }
}
