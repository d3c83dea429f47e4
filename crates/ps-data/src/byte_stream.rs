//! Files as streams of bytes: decompressed where they are gzip, unwrapped where they are wrapped.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::gzip::{Members, is_gzip};
use crate::recordio::{MAGIC, PayloadLines};
use crate::{Error, Wrapper};

/// Bytes from a file or a FIFO.
pub(crate) type ByteStream = Box<dyn Read + Send>;

/// Bytes read at once: large enough that calls to the system do not matter.
pub(crate) const BUFFER_BYTES: usize = 64 << 10;

/// Opens a file; gzip is told by its first bytes, not by its name.
pub(crate) fn open(path: &Path) -> Result<ByteStream, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    Ok(decompress(path, file).map_err(failed)?.0)
}

/// Opens a text file, or the texts of a wrapped one.
pub(crate) fn open_text(path: &Path, wrapper: Wrapper) -> Result<ByteStream, Error> {
    Ok(text(open(path)?, wrapper))
}

/// The text in these bytes.
pub(crate) fn text(input: ByteStream, wrapper: Wrapper) -> ByteStream {
    match wrapper {
        Wrapper::None => input,
        Wrapper::Recordio => Box::new(PayloadLines::new(input)),
    }
}

/// Bytes as they were before gzip, if they are gzip, and whether they are.
pub(crate) fn decompress(
    path: &Path,
    from: impl Read + Send + 'static,
) -> io::Result<(ByteStream, bool)> {
    let mut buffered = BufReader::with_capacity(BUFFER_BYTES, from);
    if is_gzip(buffered.fill_buf()?) {
        let decoder = Members::new(path, buffered);
        return Ok((Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder)), true));
    }
    Ok((Box::new(buffered), false))
}

/// What the first bytes of a file say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileMagic {
    IdxImages,
    IdxLabels,
    RecordIo,
    Unknown,
}

impl FileMagic {
    /// What these bytes, as they are after gzip, say.
    pub(crate) fn of(beginning: &[u8]) -> Self {
        match beginning.first_chunk() {
            Some([0, 0, 8, 3]) => Self::IdxImages,
            Some([0, 0, 8, 1]) => Self::IdxLabels,
            Some(bytes) if bytes[..] == MAGIC => Self::RecordIo,
            _ => Self::Unknown,
        }
    }
}

/// Looks at the first bytes of a file.
pub(crate) fn magic(path: &Path) -> Result<FileMagic, Error> {
    Ok(FileMagic::of(&Beginning::read(path, 4)?.bytes))
}

/// The first bytes of a file, as they are after gzip.
pub(crate) struct Beginning {
    pub(crate) bytes: Vec<u8>,
    /// Whether nothing follows them.
    pub(crate) is_whole: bool,
}

impl Beginning {
    /// Reads up to so many bytes.
    pub(crate) fn read(path: &Path, bytes_max: usize) -> Result<Self, Error> {
        let mut bytes = Vec::new();
        let read = open(path)?.take(bytes_max as u64).read_to_end(&mut bytes);
        // A damaged file is named when it is read for its samples, if it is one of them.
        let is_whole = read.is_ok() && bytes.len() < bytes_max;
        Ok(Self { bytes, is_whole })
    }

    /// Whether there is nothing in the file, or nothing in its gzip.
    pub(crate) fn is_empty(&self) -> bool {
        self.is_whole && self.bytes.is_empty()
    }
}
