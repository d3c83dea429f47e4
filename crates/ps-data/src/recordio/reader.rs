//! Samples from RecordIO-protobuf, plain or wrapped once more.

use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use ps_core::TaskChoice;

use super::container::{MAGIC, RecordIo};
use super::record;
use crate::byte_stream::ByteStream;
use crate::limits::RECORD_BYTES_MAX;
use crate::sample_reader::{Next, SampleReader};
use crate::{Error, Inputs, Wrapper};

/// Reads one file or stream.
pub(crate) struct RecordReader {
    path: PathBuf,
    container: Container,
    /// Number of the present sample, from 1.
    record: u64,
    payload: Vec<u8>,
    shape: Vec<usize>,
    task: TaskChoice,
}

/// Where the records are.
enum Container {
    Plain(RecordIo<ByteStream>),
    /// In wrapped files; a wrapped file is a container itself, or one record without one.
    Wrapped {
        inner: RecordIo<RecordIo<ByteStream>>,
        inside: bool,
    },
}

impl RecordReader {
    /// Reads these bytes; errors name the path.
    pub(crate) fn new(path: &Path, input: ByteStream, wrapper: Wrapper, task: TaskChoice) -> Self {
        let outer = RecordIo::new(input);
        let container = match wrapper {
            Wrapper::None => Container::Plain(outer),
            Wrapper::Recordio => Container::Wrapped { inner: RecordIo::new(outer), inside: false },
        };
        let path = path.to_owned();
        Self { path, container, record: 0, payload: Vec::new(), shape: Vec::new(), task }
    }

    fn error(&self, problem: String) -> Error {
        Error::Record { path: self.path.clone(), record: self.record, problem }
    }
}

impl SampleReader for RecordReader {
    fn next(&mut self, wanted: bool, inputs: &mut Inputs) -> Result<Next, Error> {
        self.payload.clear();
        let wanted_bytes = if wanted { RECORD_BYTES_MAX } else { 0 };
        let found = self.container.next_payload(&mut self.payload, wanted_bytes);
        if !found.map_err(|source| container_error(&self.path, source))? {
            return Ok(Next::End);
        }
        self.record += 1;
        if !wanted {
            return Ok(Next::Skipped);
        }
        if self.payload.len() > RECORD_BYTES_MAX {
            let problem = format!("more than {RECORD_BYTES_MAX} bytes, the limit of one sample");
            return Err(self.error(problem));
        }
        let decoded = record::decode(&self.payload, self.task, &mut inputs.features);
        let (shape, label) = decoded.map_err(|problem| self.error(problem))?;
        if self.record > 1 && !self.shape.is_empty() && shape != self.shape {
            let problem = format!(
                "features of the shape {shape:?}, expected {:?} as in the records before; all \
                 samples must have one shape",
                self.shape
            );
            return Err(self.error(problem));
        }
        self.shape = shape;
        Ok(Next::Sample(label))
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn position(&self) -> (&Path, u64) {
        (&self.path, self.record)
    }
}

impl Container {
    /// Appends up to this many bytes of the next record and one more, so that too long a one shows;
    /// false at the end. Memory grows with what arrives, never with what a header claims.
    fn next_payload(&mut self, payload: &mut Vec<u8>, bytes_max: usize) -> io::Result<bool> {
        let bytes_max = bytes_max as u64 + 1;
        let (inner, inside) = match self {
            Self::Plain(records) => {
                return Ok(records.next_record()? && {
                    records.take(bytes_max).read_to_end(payload)?;
                    true
                });
            }
            Self::Wrapped { inner, inside } => (inner, inside),
        };
        loop {
            if *inside && inner.next_record()? {
                inner.take(bytes_max).read_to_end(payload)?;
                return Ok(true);
            }
            *inside = false;
            let outer = inner.source_mut();
            if !outer.next_record()? {
                return Ok(false);
            }
            let beginning = outer.peek()?;
            *inside = beginning == MAGIC;
            if !*inside && !beginning.is_empty() {
                outer.take(bytes_max).read_to_end(payload)?;
                return Ok(true);
            }
        }
    }
}

/// An error of the container already names its record.
fn container_error(path: &Path, source: io::Error) -> Error {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::InvalidData => Error::File { path, problem: source.to_string() },
        _ => Error::Read { path, source },
    }
}
