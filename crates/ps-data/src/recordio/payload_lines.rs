//! Text files that were wrapped one by one, as one text.

use std::io::{self, Read};

use super::container::RecordIo;

/// The payloads of all records of a container one after another, each ended by a line break: text
/// files that were wrapped one by one.
pub(crate) struct PayloadLines<R> {
    records: RecordIo<R>,
    started: bool,
    last: u8,
}

impl<R: Read> PayloadLines<R> {
    /// The text in this container.
    pub(crate) fn new(from: R) -> Self {
        Self { records: RecordIo::new(from), started: false, last: b'\n' }
    }
}

impl<R: Read> Read for PayloadLines<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            let read = if self.started { self.records.read(into)? } else { 0 };
            if read > 0 {
                self.last = into[read - 1];
                return Ok(read);
            }
            if self.last != b'\n' {
                self.last = b'\n';
                into[0] = b'\n';
                return Ok(1);
            }
            self.started = true;
            if !self.records.next_record()? {
                return Ok(0);
            }
        }
    }
}
