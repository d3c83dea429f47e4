//! The RecordIO container: magic, a length, the payload, zeros up to a multiple of four.
//!
//! The upper three bits of the length word say whether the payload is whole (0) or the first (1), a
//! middle (2) or the last (3) part of a record that held the magic itself at a multiple of four; the
//! magic was taken out there and goes back between the parts.

use std::io::{self, ErrorKind, Read};

/// What every part begins with, least significant byte first.
pub(crate) const MAGIC: [u8; 4] = 0xCED7_230A_u32.to_le_bytes();

const FIRST: u32 = 1;
const MIDDLE: u32 = 2;
const LAST: u32 = 3;

/// A container, read record by record: [`RecordIo::next_record`] goes to the next, and reading gives
/// its payload up to its end.
pub(super) struct RecordIo<R> {
    from: R,
    /// Records begun, so that an error can name the one it is in, counted from 1.
    record: u64,
    /// Bytes to give before those of `from`: the magic between two parts, or what was looked at.
    pending: Pending,
    /// Bytes of the present part that are still in `from`, and the zeros after them.
    left: u32,
    padding: u32,
    more_parts: bool,
}

#[derive(Default)]
struct Pending {
    bytes: [u8; 4],
    start: usize,
    end: usize,
}

impl<R: Read> RecordIo<R> {
    /// A container, from its beginning.
    pub(super) fn new(from: R) -> Self {
        let pending = Pending::default();
        Self { from, record: 0, pending, left: 0, padding: 0, more_parts: false }
    }

    /// What the container is read from, for a container in a container.
    pub(super) fn source_mut(&mut self) -> &mut R {
        &mut self.from
    }

    /// Goes to the next record, past what is left of this one; false at the end.
    pub(super) fn next_record(&mut self) -> io::Result<bool> {
        io::copy(self, &mut io::sink())?;
        self.record += 1;
        let Some(part) = self.header()? else {
            self.record -= 1;
            return Ok(false);
        };
        match part {
            0 => self.more_parts = false,
            FIRST => self.more_parts = true,
            part => return Err(self.damaged(&format!(
                "it begins with part {part} of a record in parts, expected a whole record (0) or a \
                 first part (1)"
            ))),
        }
        Ok(true)
    }

    /// The first bytes of the payload, fewer than four only if it is shorter; reading gives them again.
    pub(super) fn peek(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(MAGIC.len());
        self.by_ref().take(MAGIC.len() as u64).read_to_end(&mut bytes)?;
        // What the reading left in `pending` (a magic between parts) comes after these bytes; a payload
        // in parts of less than four bytes is the one case, and too rare to keep more for.
        if self.pending.start < self.pending.end {
            return Err(
                self.damaged("a first part of less than four bytes, which is not supported")
            );
        }
        self.pending = Pending { start: 0, end: bytes.len(), ..Pending::default() };
        self.pending.bytes[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes)
    }

    /// Reads the header of a part and takes its length; gives its flag, `None` at the end.
    fn header(&mut self) -> io::Result<Option<u32>> {
        let mut header = Vec::with_capacity(8);
        (&mut self.from).take(8).read_to_end(&mut header)?;
        if header.is_empty() {
            return Ok(None);
        }
        let Some((magic, length)) = header.split_first_chunk::<4>() else {
            return Err(self.damaged(&ends_in_header(header.len())));
        };
        if *magic != MAGIC {
            let found = u32::from_le_bytes(*magic);
            return Err(self.damaged(&format!(
                "it begins with {found:#010x}, expected the magic 0xced7230a; is this a RecordIO \
                 file?"
            )));
        }
        let Ok(length) = <[u8; 4]>::try_from(length).map(u32::from_le_bytes) else {
            return Err(self.damaged(&ends_in_header(header.len())));
        };
        self.left = length & ((1 << 29) - 1);
        self.padding = self.left.wrapping_neg() & 3;
        Ok(Some(length >> 29))
    }

    /// Past the zeros after a part, and to the next part if there is one.
    fn end_part(&mut self) -> io::Result<()> {
        let wanted = u64::from(std::mem::take(&mut self.padding));
        let skipped = io::copy(&mut (&mut self.from).take(wanted), &mut io::sink())?;
        if skipped != wanted {
            return Err(
                self.damaged("it ends in the zeros after its payload, which pad it to four")
            );
        }
        if !self.more_parts {
            return Ok(());
        }
        match self.header()? {
            Some(MIDDLE) => {}
            Some(LAST) => self.more_parts = false,
            Some(part) => {
                let problem = format!(
                    "part {part} follows a first or middle part, expected a middle (2) or last (3) \
                     one"
                );
                return Err(self.damaged(&problem));
            }
            None => {
                return Err(self.damaged(
                    "the file ends between the parts of a record; was it copied in full?",
                ));
            }
        }
        self.pending = Pending { bytes: MAGIC, start: 0, end: MAGIC.len() };
        Ok(())
    }

    /// An error in the present record.
    fn damaged(&self, problem: &str) -> io::Error {
        io::Error::new(ErrorKind::InvalidData, format!("record {}: {problem}", self.record))
    }
}

impl<R: Read> Read for RecordIo<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            let pending = &self.pending.bytes[self.pending.start..self.pending.end];
            if !pending.is_empty() {
                let length = pending.len().min(into.len());
                into[..length].copy_from_slice(&pending[..length]);
                self.pending.start += length;
                return Ok(length);
            }
            if self.left > 0 {
                let length = into.len().min(self.left as usize);
                let read = self.from.read(&mut into[..length])?;
                if read == 0 {
                    let problem = format!(
                        "it ends {} bytes before the end of its payload; was it copied in full?",
                        self.left
                    );
                    return Err(self.damaged(&problem));
                }
                self.left -= read as u32;
                return Ok(read);
            }
            if self.padding == 0 && !self.more_parts {
                return Ok(0);
            }
            self.end_part()?;
        }
    }
}

fn ends_in_header(bytes: usize) -> String {
    format!("it ends after {bytes} bytes, expected a magic and a length of four bytes each")
}

#[cfg(test)]
mod tests;
