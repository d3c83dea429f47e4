//! A file that appears under its name whole or not at all, whatever happens while it is written.
//!
//! Written beside its name, synced, renamed, and the new name synced: in this order, as every file system
//! keeps it (`libs/utils/src/crashsafe.rs` of neon does the same).

use super::{FileStore, FileWriter};
use std::io;

/// The end of the name of a file that is being written.
const PARTIAL: &str = ".partial";

/// The name that a file has, or is to have when it is whole.
pub fn whole_name(name: &str) -> &str {
    name.strip_suffix(PARTIAL).unwrap_or(name)
}

/// A file that is written beside its name. Dropped without [`Replacement::commit`], it is removed.
pub struct Replacement<'f, F: FileStore + ?Sized> {
    files: &'f F,
    name: String,
    /// Gone once it is committed.
    writer: Option<Box<dyn FileWriter>>,
}

impl<'f, F: FileStore + ?Sized> Replacement<'f, F> {
    /// Begins a file that is to have this name; what had it stays until then.
    ///
    /// # Errors
    /// It could not be created; the message names the file.
    pub fn new(files: &'f F, name: &str) -> io::Result<Self> {
        let writer = files.create(&partial(name))?;
        Ok(Self { files, name: name.to_owned(), writer: Some(writer) })
    }

    /// Writes all of these bytes from this place on.
    ///
    /// # Errors
    /// Not all of them were written; the message names the file.
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match &mut self.writer {
            Some(writer) => writer.write_at(offset, bytes),
            None => Ok(()),
        }
    }

    /// The same, as [`FileWriter::write_soon_at`].
    ///
    /// # Errors
    /// As of [`Replacement::write_at`].
    pub fn write_soon_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match &mut self.writer {
            Some(writer) => writer.write_soon_at(offset, bytes),
            None => Ok(()),
        }
    }

    /// Gives it its name, once all of it is on the disk.
    ///
    /// # Errors
    /// It is not there under its name, or perhaps not after a crash; the message names the file.
    pub fn commit(mut self) -> io::Result<()> {
        if let Some(mut writer) = self.writer.take() {
            let renamed = writer.sync().and_then(|()| {
                drop(writer);
                self.files.rename(&partial(&self.name), &self.name)
            });
            if renamed.is_err() {
                self.remove();
            }
            renamed?;
        }
        self.files.sync()
    }

    fn remove(&self) {
        if let Err(error) = self.files.remove(&partial(&self.name)) {
            tracing::warn!("removing what was not finished: {error}");
        }
    }
}

impl<F: FileStore + ?Sized> Drop for Replacement<'_, F> {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            self.remove();
        }
    }
}

fn partial(name: &str) -> String {
    format!("{name}{PARTIAL}")
}
