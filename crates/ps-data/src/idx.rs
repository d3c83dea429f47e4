//! IDX, the file format of MNIST: a magic number, the sizes, then one unsigned byte for each value.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::Error;
use super::limits::{FEATURE_BYTES_MAX, SAMPLES_MAX};

/// What a file is expected to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Images,
    Labels,
}

impl Kind {
    /// Two zero bytes, 0x08 for unsigned bytes, and the number of sizes that follow.
    fn magic(self) -> u32 {
        match self {
            Self::Images => 0x0803,
            Self::Labels => 0x0801,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Images => "an images file",
            Self::Labels => "a labels file",
        }
    }
}

/// The content of one file: sizes, outermost first, and the values.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) sizes: Vec<usize>,
    pub(super) values: Vec<u8>,
}

/// Reads and checks one file, gzip or plain (told by its first bytes, not by its name).
pub(super) fn read(path: &Path, kind: Kind, source: impl Read) -> Result<Content, Error> {
    let mut buffered = BufReader::new(source);
    let start =
        buffered.fill_buf().map_err(|source| Error::Read { path: path.to_owned(), source })?;
    if start.starts_with(&[0x1f, 0x8b]) {
        parse(&mut Input { path, gzip: true, taken: 0, from: MultiGzDecoder::new(buffered) }, kind)
    } else {
        parse(&mut Input { path, gzip: false, taken: 0, from: buffered }, kind)
    }
}

/// A stream that knows its file, so that its errors can name it.
struct Input<'a, R> {
    path: &'a Path,
    gzip: bool,
    taken: usize,
    from: R,
}

impl<R: Read> Input<'_, R> {
    /// Up to this many bytes. Memory grows with what arrives, never with what a header claims.
    fn up_to(&mut self, bytes: usize) -> Result<Vec<u8>, Error> {
        let mut taken = Vec::new();
        let result = (&mut self.from).take(bytes as u64).read_to_end(&mut taken);
        self.taken += taken.len();
        let path = self.path.to_owned();
        match result {
            Ok(_) => Ok(taken),
            Err(source) if self.gzip => Err(Error::Gzip { path, bytes: self.taken, source }),
            Err(source) => Err(Error::Read { path, source }),
        }
    }

    /// Four bytes of the header, most significant first.
    fn number(&mut self) -> Result<u32, Error> {
        let bytes = self.up_to(4)?;
        <[u8; 4]>::try_from(bytes).map(u32::from_be_bytes).map_err(|_| Error::Length {
            path: self.path.to_owned(),
            found: format!("the file ends after {} bytes, inside the header", self.taken),
            expected: "a magic number and sizes of four bytes each".to_owned(),
            hint: "was it copied in full?",
        })
    }
}

/// Reads and checks what bytes that are not gzip any more begin with: the sizes, outermost first,
/// at least one.
pub(super) fn header(path: &Path, kind: Kind, from: &mut impl Read) -> Result<Vec<usize>, Error> {
    sizes(&mut Input { path, gzip: false, taken: 0, from }, kind)
}

fn sizes<R: Read>(input: &mut Input<'_, R>, kind: Kind) -> Result<Vec<usize>, Error> {
    let magic = input.number()?;
    if magic != kind.magic() {
        return Err(wrong_magic(input.path, kind, magic));
    }
    (0..magic & 0xff).map(|_| Ok(input.number()? as usize)).collect()
}

fn parse<R: Read>(input: &mut Input<'_, R>, kind: Kind) -> Result<Content, Error> {
    let sizes = sizes(input, kind)?;
    let expected = checked_bytes(input.path, &sizes)?;
    // One byte more than expected shows whether anything follows; reaching the end of a gzip
    // stream also checks its checksum.
    let mut values = input.up_to(expected + 1)?;
    if values.len() != expected {
        let more = if values.len() > expected { "more than " } else { "" };
        return Err(Error::Length {
            path: input.path.to_owned(),
            found: format!("{more}{} bytes after the header", values.len().min(expected)),
            expected: format!("{expected} for the sizes {sizes:?} that the header gives"),
            hint: "was it copied in full, or written by another program?",
        });
    }
    values.shrink_to_fit();
    Ok(Content { sizes, values })
}

/// The bytes that sizes from a header ask for.
fn checked_bytes(path: &Path, sizes: &[usize]) -> Result<usize, Error> {
    let too_large = |what, found, limit| Error::TooLarge {
        path: path.to_owned(),
        what,
        found,
        limit,
        hint: "the header may be damaged; larger sets must be split",
    };
    // At most three sizes below 2^32 each: their product is below 2^96.
    let bytes: u128 = sizes.iter().map(|&size| size as u128).product();
    if bytes > FEATURE_BYTES_MAX as u128 {
        return Err(too_large(
            "the size in bytes that the header claims",
            bytes,
            FEATURE_BYTES_MAX,
        ));
    }
    let samples = sizes.first().copied().unwrap_or(0);
    if samples > SAMPLES_MAX {
        return Err(too_large("the number of samples", samples as u128, SAMPLES_MAX));
    }
    Ok(bytes as usize)
}

fn wrong_magic(path: &Path, kind: Kind, found: u32) -> Error {
    let hint = if found == Kind::Labels.magic() {
        "is this the labels file?".to_owned()
    } else if found == Kind::Images.magic() {
        "is this the images file?".to_owned()
    } else if found >> 16 == 0 {
        format!("an IDX file of type {:#04x} with {} sizes?", found >> 8, found & 0xff)
    } else {
        "this is not an IDX file".to_owned()
    };
    Error::Magic {
        path: path.to_owned(),
        found,
        expected: kind.magic(),
        expected_kind: kind.words(),
        hint,
    }
}
