//! Files in a directory.

use super::direct::DirectWrites;
use super::{FileReader, FileStore, FileWriter, spare};
use ps_core::checkpoint::names::parse_number;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a folder is tried that another job has: longer than a job takes that was told to end.
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(300);

/// Files in a directory.
#[derive(Clone, Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// Creates the directory if need be and proves that it can be written, so that a long job does
    /// not find out at its end.
    ///
    /// # Errors
    /// It cannot be created or written; the message names it and what to do.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_for("--out", path)
    }

    /// The same for a directory that is chosen with this option.
    ///
    /// # Errors
    /// It cannot be created or written; the message names it and what to do.
    pub fn open_for(option: &str, path: &Path) -> io::Result<Self> {
        Self::open_probed(option, path, |path| {
            let probe = path.join(format!(".probe-{}", std::process::id()));
            let written = std::fs::write(&probe, b"probe");
            // Also where there was room for its name alone.
            let removed = std::fs::remove_file(&probe);
            written.and(removed)
        })
    }

    /// A directory that is to be there already, to look into: nothing is written.
    ///
    /// # Errors
    /// It is not there, or is none; the message names it.
    pub fn existing(path: &Path) -> io::Result<Self> {
        let named = |error: io::Error| named("reading directory", path, &error);
        if std::fs::metadata(path).map_err(named)?.is_dir() {
            return Ok(Self(path.to_owned()));
        }
        Err(named(io::ErrorKind::NotADirectory.into()))
    }

    /// The same, where a job goes on that may have filled it.
    ///
    /// # Errors
    /// It cannot be created or written, unless for want of room; the message names it and what to do.
    pub fn open_again(option: &str, path: &Path) -> io::Result<Self> {
        match Self::open_for(option, path) {
            Err(error) if is_full(&error) && path.is_dir() => {
                tracing::warn!("{error}; the job goes on, and what it writes waits for room");
                Ok(Self(path.to_owned()))
            }
            opened => opened,
        }
    }

    pub(super) fn open_probed(
        option: &str,
        path: &Path,
        probe: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<Self> {
        let named = |error: io::Error| {
            let path = path.display();
            let message = format!("directory {path}: {error}; choose another with {option}");
            io::Error::new(error.kind(), message)
        };
        std::fs::create_dir_all(path).map_err(named)?;
        let directory = Self(path.to_owned());
        match probe(path) {
            Err(error) if is_full(&error) && directory.holds_checkpoint() => {
                tracing::warn!(
                    "{}: going on from what is there; nothing can be written before there is room",
                    named(error)
                );
            }
            probed => probed.map_err(named)?,
        }
        Ok(directory)
    }

    /// Keeps every other process out that asks for the same, as long as this is kept; `None` where another one has it.
    /// A file system that knows no locks lets everybody in.
    ///
    /// # Errors
    /// It cannot be opened; the message names it.
    pub fn lock(&self) -> io::Result<Option<DirectoryLock>> {
        // The directory itself: a file for it would lie among the results.
        let directory = self.done("locking", "", File::open(&self.0))?;
        match directory.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(None),
            _ => Ok(Some(DirectoryLock(directory))),
        }
    }

    /// As [`Self::lock`], for a job alone: two that write to one folder overwrite each other. One that is ending has its
    /// time.
    ///
    /// # Errors
    /// It cannot be opened, or another job keeps it; the message names the option.
    pub async fn lock_patiently(&self, option: &str) -> io::Result<DirectoryLock> {
        let location = self.location();
        for attempt in 0..LOCK_ATTEMPTS {
            if let Some(lock) = self.lock()? {
                return Ok(lock);
            }
            if attempt == 0 {
                tracing::info!(
                    "{option} {location}: another job writes there; waiting for its end"
                );
            }
            tokio::time::sleep(LOCK_PAUSE).await;
        }
        let message = format!(
            "{option} {location}: another job writes there; choose another folder, or end it"
        );
        Err(io::Error::new(io::ErrorKind::ResourceBusy, message))
    }

    fn holds_checkpoint(&self) -> bool {
        self.list().is_ok_and(|names| names.iter().any(|name| parse_number(name).is_some()))
    }

    fn done<T>(&self, doing: &'static str, name: &str, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| named(doing, &self.0.join(name), &error))
    }
}

/// A directory that is locked until this is dropped, or its process ends.
#[derive(Debug)]
pub struct DirectoryLock(#[allow(dead_code)] File);

/// Whether there is no room for more.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// An error that names the file.
fn named(doing: &'static str, path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{doing} {}: {error}", path.display()))
}

impl FileStore for Directory {
    fn create(&self, name: &str) -> io::Result<Box<dyn FileWriter>> {
        let path = self.0.join(name);
        let file = self.done("creating", name, File::create(&path))?;
        Ok(Box::new(WrittenFile { file, path, direct: DirectWrites::default() }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn FileReader>> {
        let path = self.0.join(name);
        let opened = || {
            let file = File::open(&path)?;
            let bytes = file.metadata()?.len();
            Ok((file, bytes))
        };
        let (file, bytes) = self.done("reading", name, opened())?;
        Ok(Box::new(OpenFile { file, path, bytes }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.done("writing", to, std::fs::rename(self.0.join(from), self.0.join(to)))
    }

    fn sync(&self) -> io::Result<()> {
        let synced = || File::open(&self.0)?.sync_all();
        self.done("syncing", "", synced())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let listed = || {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(&self.0)? {
                let entry = entry?;
                // A name that is not UTF-8 is none of ours.
                let name = entry.file_name().into_string().unwrap_or_default();
                if !name.is_empty() && entry.path().is_file() {
                    names.push(name);
                }
            }
            names.sort_unstable();
            Ok(names)
        };
        self.done("listing", "", listed())
    }

    fn rewrite(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.done("writing", name, spare::rewrite(&self.0.join(name), bytes))
    }

    fn reserve(&self, name: &str, bytes: u64) -> io::Result<()> {
        self.done("reserving room for", name, spare::reserve(&self.0.join(name), bytes))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let _ = std::fs::remove_file(spare::spare_of(&self.0.join(name)));
        match std::fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => self.done("removing", name, removed),
        }
    }

    fn location(&self) -> String {
        self.0.display().to_string()
    }
}

struct WrittenFile {
    file: File,
    path: PathBuf,
    direct: DirectWrites,
}

impl FileWriter for WrittenFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let done = self.direct.write_at(&self.path, offset, bytes).and_then(|done| {
            let after = offset + done.end as u64;
            self.file.write_all_at(&bytes[..done.start], offset)?;
            self.file.write_all_at(&bytes[done.end..], after)
        });
        done.map_err(|error| named("writing", &self.path, &error))
    }

    fn write_soon_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_all_at(bytes, offset);
        written.map_err(|error| named("writing", &self.path, &error))
    }

    fn sync(&mut self) -> io::Result<()> {
        // What is in it, and how much that is: nobody needs the time of its last change.
        self.file.sync_data().map_err(|error| named("syncing", &self.path, &error))
    }
}

struct OpenFile {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl FileReader for OpenFile {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let read = self.file.read_exact_at(into, offset);
        read.map_err(|error| named("reading", &self.path, &error))
    }
}
