//! Files as streams of bytes: decompressed where they are gzip, unwrapped where they are wrapped.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

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
    Ok(decompress(file).map_err(failed)?.0)
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
pub(crate) fn decompress(from: impl Read + Send + 'static) -> io::Result<(ByteStream, bool)> {
    let mut buffered = BufReader::with_capacity(BUFFER_BYTES, from);
    if buffered.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        let decoder = MultiGzDecoder::new(buffered);
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

/// Looks at the first bytes of a file.
pub(crate) fn magic(path: &Path) -> Result<FileMagic, Error> {
    let mut bytes = Vec::new();
    let read = open(path)?.take(4).read_to_end(&mut bytes);
    // A damaged file is named when it is read for its samples, if it is one of them.
    Ok(match (read, bytes.as_slice()) {
        (Err(_), _) => FileMagic::Unknown,
        (Ok(_), [0, 0, 8, 3]) => FileMagic::IdxImages,
        (Ok(_), [0, 0, 8, 1]) => FileMagic::IdxLabels,
        (Ok(_), bytes) if bytes == MAGIC => FileMagic::RecordIo,
        (Ok(_), _) => FileMagic::Unknown,
    })
}
