//! Files as streams of bytes: unpacked where they are gzip, unwrapped where they are wrapped.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::recordio::{self, Lines};
use super::{Error, Wrapper};

/// Bytes from a file or a FIFO.
pub(super) type Input = Box<dyn Read + Send>;

/// Bytes read at once: large enough that calls to the system do not matter.
pub(super) const BUFFER_BYTES: usize = 64 << 10;

/// Opens a file; gzip is told by its first bytes, not by its name.
pub(super) fn open(path: &Path) -> Result<Input, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    unpacked(file).map_err(failed)
}

/// Opens a text file, or the texts of a wrapped one.
pub(super) fn open_text(path: &Path, wrapper: Wrapper) -> Result<Input, Error> {
    Ok(text(open(path)?, wrapper))
}

/// The text in these bytes.
pub(super) fn text(input: Input, wrapper: Wrapper) -> Input {
    match wrapper {
        Wrapper::None => input,
        Wrapper::Recordio => Box::new(Lines::new(input)),
    }
}

/// Bytes as they were before gzip.
pub(super) fn unpacked(from: impl Read + Send + 'static) -> io::Result<Input> {
    let mut buffered = BufReader::with_capacity(BUFFER_BYTES, from);
    if buffered.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        let decoder = MultiGzDecoder::new(buffered);
        return Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder)));
    }
    Ok(Box::new(buffered))
}

/// What the first bytes of a file say it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    Images,
    Labels,
    RecordIo,
    Other,
}

/// Looks at the first bytes of a file.
pub(super) fn beginning(path: &Path) -> Result<Beginning, Error> {
    let mut bytes = Vec::new();
    let read = open(path)?.take(4).read_to_end(&mut bytes);
    // A damaged file is named when it is read for its samples, if it is one of them.
    Ok(match (read, bytes.as_slice()) {
        (Err(_), _) => Beginning::Other,
        (Ok(_), [0, 0, 8, 3]) => Beginning::Images,
        (Ok(_), [0, 0, 8, 1]) => Beginning::Labels,
        (Ok(_), bytes) if bytes == recordio::MAGIC => Beginning::RecordIo,
        (Ok(_), _) => Beginning::Other,
    })
}
