//! The beginning of a stream, which is learnt from before it is read.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use ps_core::schema::{Schema, TableSums};
use tokio::sync::oneshot;

use super::{OpenStream, StreamSource};
use crate::byte_stream::{self, ByteStream};
use crate::{Error, csv_file};

/// What the thread of a stream needs for it.
pub(super) struct Learning {
    pub(super) samples_max: u64,
    pub(super) who: String,
    pub(super) sums: oneshot::Sender<Result<Option<TableSums>, Error>>,
    pub(super) schema: Receiver<Option<Arc<Schema>>>,
}

/// A stream whose columns are not known yet.
#[derive(Debug)]
pub struct UnknownStream {
    pub(super) path: PathBuf,
    pub(super) sums: oneshot::Receiver<Result<Option<TableSums>, Error>>,
    pub(super) schema_to: Sender<Option<Arc<Schema>>>,
    pub(super) stream: OpenStream,
}

impl UnknownStream {
    /// What was counted in its beginning; `None` where it is no table, or empty. To be asked once.
    ///
    /// # Errors
    /// The FIFO or its writer did not come, or a line is damaged.
    pub async fn sums(&mut self) -> Result<Option<TableSums>, Error> {
        match (&mut self.sums).await {
            Ok(sums) => sums,
            Err(_) => Err(super::ended(&self.path)),
        }
    }

    /// Reads it from its beginning, as a table that is known or as no table.
    pub fn known(self, schema: Option<Arc<Schema>>) -> OpenStream {
        // Where the thread has gone, the stream ends with what it said.
        let _ = self.schema_to.send(schema);
        self.stream
    }
}

impl Learning {
    /// The stream cannot be read.
    pub(super) fn fail(self, error: Error) {
        let _ = self.sums.send(Err(error));
    }

    /// Counts what the beginning has, and waits for what follows from it; `None`: nobody wants the stream any more. All that was
    /// read is there to be read again.
    pub(super) fn learn(
        self,
        path: &Path,
        bytes: ByteStream,
        is_table: bool,
        source: &StreamSource,
    ) -> Option<(ByteStream, StreamSource)> {
        let recording = Recording(Arc::new(Mutex::new((bytes, Vec::new()))));
        let sums = match is_table {
            true => {
                let text = byte_stream::text(Box::new(recording.clone()), source.wrapper);
                let (options, samples_max) = (&source.table, self.samples_max);
                csv_file::sums_of_stream(
                    path,
                    text,
                    options,
                    source.wrapper,
                    samples_max,
                    &self.who,
                )
            }
            false => Ok(None),
        };
        let _ = self.sums.send(sums);
        let schema = self.schema.recv().ok()?;
        let (rest, read) = recording.into_parts()?;
        let bytes: ByteStream = Box::new(Cursor::new(read).chain(rest));
        Some((bytes, StreamSource { schema, ..source.clone() }))
    }
}

/// Keeps what it reads.
#[derive(Clone)]
struct Recording(Arc<Mutex<(ByteStream, Vec<u8>)>>);

impl Recording {
    /// What is left to be read, and what was read; `None` while somebody else reads.
    fn into_parts(self) -> Option<(ByteStream, Vec<u8>)> {
        let parts = Arc::into_inner(self.0)?;
        Some(parts.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Read for Recording {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (bytes, kept) = &mut *parts;
        let count = bytes.read(into)?;
        kept.extend_from_slice(&into[..count]);
        Ok(count)
    }
}
