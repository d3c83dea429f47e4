//! One IDX file: a magic number, the sizes, then one unsigned byte for each value.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::byte_stream::{self, ByteStream, FileMagic};
use crate::limits::{FEATURE_BYTES_MAX, SAMPLES_MAX};

/// What a file is expected to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdxKind {
    Images,
    Labels,
}

impl IdxKind {
    /// What the name or else the content of a file says.
    pub(super) fn of_file(name: &str, path: &Path) -> Result<Self, Error> {
        let is_labels = !name.contains("idx3")
            && (name.contains("idx1") || byte_stream::magic(path)? == FileMagic::IdxLabels);
        Ok(if is_labels { Self::Labels } else { Self::Images })
    }

    /// Two zero bytes, 0x08 for unsigned bytes, and the number of sizes that follow.
    fn magic(self) -> u32 {
        match self {
            Self::Images => 0x0803,
            Self::Labels => 0x0801,
        }
    }

    /// The word for the content, and the last part of the file's usual name.
    pub(super) fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Images => ("images", "idx3-ubyte"),
            Self::Labels => ("labels", "idx1-ubyte"),
        }
    }
}

/// A file whose header has been read.
pub(super) struct IdxFile {
    pub(super) path: PathBuf,
    /// Outermost first.
    pub(super) sizes: Vec<usize>,
    bytes: ByteStream,
    is_gzip: bool,
    bytes_read: usize,
}

impl IdxFile {
    /// Reads and checks the header of a file.
    pub(super) fn open(path: &Path, kind: IdxKind) -> Result<Self, Error> {
        let file = std::fs::File::open(path);
        let file = file.map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Self::new(path, kind, file)
    }

    /// The same of bytes, gzip or plain; errors name the path.
    pub(super) fn new(
        path: &Path,
        kind: IdxKind,
        bytes: impl Read + Send + 'static,
    ) -> Result<Self, Error> {
        let path = path.to_owned();
        let (bytes, is_gzip) = byte_stream::decompress(&path, bytes)
            .map_err(|source| Error::Read { path: path.clone(), source })?;
        let mut file = Self { path, sizes: Vec::new(), bytes, is_gzip, bytes_read: 0 };
        let magic = file.read_number()?;
        if magic != kind.magic() {
            return Err(wrong_magic(&file.path, kind, magic));
        }
        for _ in 0..magic & 0xff {
            let size = file.read_number()? as usize;
            file.sizes.push(size);
        }
        Ok(file)
    }

    /// Appends up to this many bytes and says how many there were. Memory grows with what arrives,
    /// never with what a header claims.
    pub(super) fn read(&mut self, bytes: usize, into: &mut Vec<u8>) -> Result<usize, Error> {
        let before = into.len();
        let result = self.bytes.by_ref().take(bytes as u64).read_to_end(into);
        let read = into.len() - before;
        self.bytes_read += read;
        result.map(|_| read).map_err(|source| {
            let path = self.path.clone();
            match self.is_gzip {
                true => Error::Gzip { path, bytes: self.bytes_read, source },
                false => Error::Read { path, source },
            }
        })
    }

    /// All values.
    pub(super) fn read_all(mut self) -> Result<Vec<u8>, Error> {
        let expected = self.checked_bytes()?;
        let mut values = Vec::new();
        // One byte more than expected shows whether anything follows; reaching the end of a gzip
        // stream also checks its checksum.
        let found = self.read(expected + 1, &mut values)?;
        if found != expected {
            let more = if found > expected { "more than " } else { "" };
            let found = format!("{more}{} bytes", found.min(expected));
            let sizes = &self.sizes;
            let expected = format!("{expected} for the sizes {sizes:?} that the header gives");
            return Err(self.wrong_length(&found, expected));
        }
        values.shrink_to_fit();
        Ok(values)
    }

    /// An error of a file that is shorter or longer than its header says.
    pub(super) fn wrong_length(&self, found: &str, expected: String) -> Error {
        Error::Length {
            path: self.path.clone(),
            found: format!("{found} after the header"),
            expected,
            hint: "was it copied in full, or written by another program?",
        }
    }

    /// Four bytes of the header, most significant first.
    fn read_number(&mut self) -> Result<u32, Error> {
        let mut bytes = Vec::with_capacity(4);
        self.read(4, &mut bytes)?;
        <[u8; 4]>::try_from(bytes).map(u32::from_be_bytes).map_err(|_| Error::Length {
            path: self.path.clone(),
            found: format!("the file ends after {} bytes, inside the header", self.bytes_read),
            expected: "a magic number and sizes of four bytes each".to_owned(),
            hint: "was it copied in full?",
        })
    }

    /// The bytes that the sizes ask for.
    fn checked_bytes(&self) -> Result<usize, Error> {
        // At most three sizes below 2^32 each: their product is below 2^96.
        let bytes: u128 = self.sizes.iter().map(|&size| size as u128).product();
        let samples = self.sizes.first().map_or(0, |&size| size as u128);
        let limits = [
            ("the size in bytes that the header claims", bytes, FEATURE_BYTES_MAX),
            ("the number of samples", samples, SAMPLES_MAX),
        ];
        let hint = "the header may be damaged; larger sets must be split";
        crate::error::check_limits(&self.path, limits, hint)?;
        Ok(bytes as usize)
    }
}

fn wrong_magic(path: &Path, kind: IdxKind, found: u32) -> Error {
    let hint = if found == IdxKind::Labels.magic() {
        "is this the labels file?".to_owned()
    } else if found == IdxKind::Images.magic() {
        "is this the images file?".to_owned()
    } else if found >> 16 == 0 {
        format!("an IDX file of type {:#04x} with {} sizes?", found >> 8, found & 0xff)
    } else {
        "this is not an IDX file".to_owned()
    };
    let (content, _) = kind.names();
    Error::Magic { path: path.to_owned(), found, expected: kind.magic(), content, hint }
}
