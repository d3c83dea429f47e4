//! Files as an argument: a directory in production, a disk that can fail in a simulation.
//!
//! A file is written beside its name and takes it once it is whole and on the disk: [`Replacement`].
//!
//! - `directory`: files in a directory.
//! - `direct`: large writes past the system's cache.
//! - `fail_point`: a process that dies at a chosen step, for tests.
//! - `replacement`: a file that appears whole or not at all.
//! - `spare`: a file that can be written where there is no room.
//! - `simulated`: a disk that loses what was not synced, tears writes, and has no room.

mod direct;
mod directory;
mod fail_point;
mod replacement;
mod simulated;
mod spare;

pub use directory::{Directory, DirectoryLock, is_full};
pub use fail_point::{
    AtDurableSteps, DurableStep, DurableSteps, FailPoint, FailPointError, Moment,
};
pub use replacement::{Replacement, whole_name};
pub use simulated::SimulatedDisk;

use ps_core::checkpoint::names::{parse_manifest_file, parse_number};
use std::io;
use std::sync::Arc;

/// Where results and checkpoints are. A name has no folder in it.
pub trait FileStore: Send + Sync {
    /// A new empty file; one of this name is emptied.
    ///
    /// # Errors
    /// It could not be created; the message names the file.
    fn create(&self, name: &str) -> io::Result<Box<dyn FileWriter>>;

    /// A file to read from.
    ///
    /// # Errors
    /// It is not there, or could not be opened; the message names the file.
    fn open(&self, name: &str) -> io::Result<Box<dyn FileReader>>;

    /// Gives a file another name; a file of that name is gone. Durable after [`FileStore::sync`].
    ///
    /// # Errors
    /// It could not be renamed; the message names the file.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes durable which names there are, and what they name.
    ///
    /// # Errors
    /// They may not be durable; the message names the place.
    fn sync(&self) -> io::Result<()>;

    /// The names of all files, sorted, also of those that are being written; not of folders.
    ///
    /// # Errors
    /// They could not be listed; the message names the place.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Removes a file; one that is not there is no error.
    ///
    /// # Errors
    /// It could not be removed; the message names the file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Where the files are, for messages to people.
    fn location(&self) -> String;

    /// Writes a file whole: a reader sees the old one or the new one, also after a crash.
    ///
    /// # Errors
    /// It could not be written; the message names the file.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut replacement = Replacement::new(self, name)?;
        replacement.write_at(0, bytes)?;
        replacement.commit()
    }

    /// The same of a file that is to be written where there is no room, too: it takes the room that was reserved for it, or that
    /// it had before. What was longer before may have zeros at its end.
    ///
    /// # Errors
    /// It could not be written; the message names the file.
    fn rewrite(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.write(name, bytes)
    }

    /// Reserves room for the next [`FileStore::rewrite`] of a file, of so many bytes.
    ///
    /// # Errors
    /// There is none.
    fn reserve(&self, _name: &str, _bytes: u64) -> io::Result<()> {
        Ok(())
    }

    /// Reads a file whole.
    ///
    /// # Errors
    /// It is not there, or could not be read; the message names the file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let file = self.open(name)?;
        let mut bytes = vec![0; usize::try_from(file.bytes()).map_err(io::Error::other)?];
        file.read_at(0, &mut bytes)?;
        Ok(bytes)
    }
}

/// A file that is being written.
pub trait FileWriter: Send {
    /// Writes all of these bytes from this place on; what lies before it and was never written is zero.
    ///
    /// # Errors
    /// Not all of them were written; the message names the file.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// The same, and returns as soon as it can: what the system keeps in memory for the disk, it may.
    ///
    /// # Errors
    /// As of [`FileWriter::write_at`].
    fn write_soon_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_at(offset, bytes)
    }

    /// Makes durable what was written.
    ///
    /// # Errors
    /// It may not be durable; the message names the file.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file that is read.
pub trait FileReader: Send + Sync {
    /// How long it was when it was opened.
    fn bytes(&self) -> u64;

    /// Reads exactly as many bytes as there is room for, from this place on.
    ///
    /// # Errors
    /// They are not all there, or could not be read; the message names the file.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;
}

/// A shared [`FileStore`].
pub type Files = Arc<dyn FileStore>;

/// Removes those of these files of checkpoints that are out of use, manifests first: a checkpoint without its manifest is
/// not complete. Those that were never finished count by the name that they were to have. What fails is tried
/// again with the next checkpoint.
pub fn remove_checkpoints(
    files: &dyn FileStore,
    names: &[String],
    is_unused: impl Fn(&str) -> bool,
) {
    let unused = names.iter().filter(|name| is_unused(whole_name(name)));
    let mut unused: Vec<&String> = unused.collect();
    unused.sort_by_key(|name| parse_manifest_file(name).is_none());
    for error in unused.into_iter().filter_map(|name| files.remove(name).err()) {
        tracing::warn!("removing a checkpoint that is out of use: {error}");
    }
}

/// The same, given the numbers that are out of use.
pub fn remove_numbers(files: &dyn FileStore, is_unused: impl Fn(u64) -> bool) {
    match files.list() {
        Ok(names) => {
            remove_checkpoints(files, &names, |name| parse_number(name).is_some_and(&is_unused))
        }
        Err(error) => tracing::warn!("removing checkpoints that are out of use: {error}"),
    }
}

/// Removes what checkpoints left that were never finished: files that are not whole, and those of a higher number
/// than the newest manifest's. Nobody goes on from them, and they take the room of the next one. Whole files without any
/// manifest stay: perhaps that is elsewhere.
pub fn remove_unfinished(files: &dyn FileStore) {
    let names = match files.list() {
        Ok(names) => names,
        Err(error) => return tracing::warn!("removing unfinished checkpoints: {error}"),
    };
    let newest = names.iter().filter_map(|name| parse_manifest_file(name)).max();
    let is_unfinished = |name: &String| {
        let whole = whole_name(name);
        let is_after = |number| newest.is_some_and(|newest| number > newest);
        parse_number(whole).is_some_and(|number| whole != name || is_after(number))
    };
    let unfinished: Vec<String> = names.into_iter().filter(is_unfinished).collect();
    if !unfinished.is_empty() {
        let location = files.location();
        tracing::info!("{location}: removing what was never finished: {}", unfinished.join(", "));
    }
    remove_checkpoints(files, &unfinished, |_| true);
}

#[cfg(test)]
mod tests;
