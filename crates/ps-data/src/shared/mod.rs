//! A data set that the processes of one machine read, and of which the machine has one copy.

mod header;
mod mapping;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Dataset, Error};
use header::{Header, Parts, aligned};

/// Bytes of the number that says how long the description is.
const LENGTH_BYTES: usize = size_of::<u64>();

/// The copy: there as long as this is, and for who has opened it.
#[derive(Debug)]
pub struct SharedDataset {
    memory: File,
}

impl SharedDataset {
    /// Copies a data set.
    ///
    /// # Errors
    /// The system has no such memory, or not as much.
    pub fn new(data: &Dataset) -> io::Result<Self> {
        let (header, parts) = Parts::of(data);
        let header = serde_json::to_vec(&header)?;
        let memory = mapping::create()?;
        let mut out = Counted { out: BufWriter::new(&memory), written: 0 };
        out.write(&(header.len() as u64).to_le_bytes())?;
        out.write(&header)?;
        let first_part = aligned(out.written);
        for (at, part) in parts.parts {
            out.pad_to(first_part + at)?;
            out.write(part)?;
        }
        out.out.flush()?;
        drop(out);
        mapping::seal(&memory)?;
        Ok(Self { memory })
    }

    /// Where processes of the same user find it, as long as this one has it.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.memory.as_raw_fd()).into()
    }
}

struct Counted<W> {
    out: W,
    written: usize,
}

impl<W: Write> Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len();
        self.out.write_all(bytes)
    }

    fn pad_to(&mut self, at: usize) -> io::Result<()> {
        self.write(&vec![0; at.saturating_sub(self.written)])
    }
}

/// The data set that another process shares at this path.
///
/// # Errors
/// There is none, or not what this program writes.
pub fn open_shared(path: &Path) -> Result<Dataset, Error> {
    let read = |source| Error::Read { path: path.to_owned(), source };
    let memory = Arc::new(mapping::open(path).map_err(read)?);
    let described = || -> Option<Dataset> {
        let length = memory.first_chunk::<LENGTH_BYTES>()?;
        let end = LENGTH_BYTES.checked_add(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        let header: Header = serde_json::from_slice(memory.get(LENGTH_BYTES..end)?).ok()?;
        header.dataset(&memory, aligned(end))
    };
    described().ok_or_else(|| Error::File {
        path: path.to_owned(),
        problem:
            "not samples as this version shares them, which are read by processes that psrun starts"
                .to_owned(),
    })
}

#[cfg(test)]
mod tests;
