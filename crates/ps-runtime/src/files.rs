//! Files as an argument: a directory in production, memory in a simulation.

use ps_core::checkpoint::names::parse_manifest_file;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// The end of the name of a file that is being written.
const PARTIAL: &str = ".partial";

/// Where results and checkpoints are. A name has no folder in it.
pub trait FileStore: Send + Sync {
    /// Writes a file whole: a reader sees the old one or the new one, also after a crash.
    ///
    /// # Errors
    /// It could not be written; the message names the file.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Reads a file whole.
    ///
    /// # Errors
    /// It is not there, or could not be read; the message names the file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// The names of all files, sorted; not of those that are still being written, nor of folders.
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
}

/// A shared [`FileStore`].
pub type Files = Arc<dyn FileStore>;

/// Removes the files of older checkpoints, manifests first: a checkpoint without its manifest is not
/// complete. What fails is tried again after the next checkpoint.
pub fn remove_older_checkpoints(files: &dyn FileStore, is_old: impl Fn(&str) -> bool) {
    let (mut names, failure) = match files.list() {
        Ok(names) => (names, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    names.retain(|name| is_old(name));
    names.sort_by_key(|name| parse_manifest_file(name).is_none());
    let removed = names.iter().map(|name| files.remove(name));
    for error in removed.filter_map(Result::err).chain(failure) {
        tracing::warn!("removing older checkpoints: {error}");
    }
}

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
        let named = |error: io::Error| {
            let path = path.display();
            let message = format!("directory {path}: {error}; choose another with {option}");
            io::Error::new(error.kind(), message)
        };
        std::fs::create_dir_all(path).map_err(named)?;
        let probe = path.join(format!(".probe-{}", std::process::id()));
        std::fs::write(&probe, b"probe").map_err(named)?;
        std::fs::remove_file(&probe).map_err(named)?;
        Ok(Self(path.to_owned()))
    }

    /// An error that names the file.
    fn named(&self, doing: &str, name: &str, error: &io::Error) -> io::Error {
        let path = self.0.join(name);
        io::Error::new(error.kind(), format!("{doing} {}: {error}", path.display()))
    }
}

impl FileStore for Directory {
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.0.join(name);
        let partial = self.0.join(format!("{name}{PARTIAL}"));
        let write = || {
            let mut file = std::fs::File::create(&partial)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&partial, &path)?;
            // The new name is durable only once the directory is.
            std::fs::File::open(&self.0)?.sync_all()
        };
        write().map_err(|error| self.named("writing", name, &error))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.0.join(name)).map_err(|error| self.named("reading", name, &error))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let list = || {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(&self.0)? {
                let entry = entry?;
                // A name that is not UTF-8 is none of ours.
                let name = entry.file_name().into_string().unwrap_or_default();
                if !name.is_empty() && !name.ends_with(PARTIAL) && entry.path().is_file() {
                    names.push(name);
                }
            }
            names.sort_unstable();
            Ok(names)
        };
        list().map_err(|error| self.named("listing", "", &error))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match std::fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(self.named("removing", name, &error))
            }
            _ => Ok(()),
        }
    }

    fn location(&self) -> String {
        self.0.display().to_string()
    }
}

/// Files in memory.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Memory {
    /// A file's content, if it was written.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        self.files().get(name).cloned()
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl FileStore for Memory {
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.files().insert(name.to_owned(), bytes.to_owned());
        Ok(())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("no file {name}"));
        Memory::read(self, name).ok_or_else(missing)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files().keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.files().remove(name);
        Ok(())
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        let files = Directory::open(&directory.path().join("a/b")).unwrap();
        files.write("x", b"one").unwrap();
        files.write("x", b"two").unwrap();
        assert_eq!(std::fs::read(directory.path().join("a/b/x")).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(directory.path().join("a/b")).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let error =
            Directory::open_for("--checkpoints", &file.join("out")).unwrap_err().to_string();
        assert!(error.contains("file/out") && error.contains("--checkpoints"), "{error}");
    }

    #[test]
    fn files_are_listed_read_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("folder")).unwrap();
        std::fs::write(directory.path().join("c.partial"), b"").unwrap();
        let stores: [Files; 2] =
            [Arc::new(Directory::open(directory.path()).unwrap()), Arc::new(Memory::default())];
        for files in stores {
            files.write("b", b"two").unwrap();
            files.write("a", b"one").unwrap();
            assert_eq!(files.list().unwrap(), ["a", "b"]);
            assert_eq!(files.read("b").unwrap(), b"two");
            files.remove("b").unwrap();
            files.remove("b").unwrap();
            assert_eq!(files.list().unwrap(), ["a"]);
            let error = files.read("b").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            assert!(error.to_string().contains('b'), "{error}");
        }
    }
}
