//! Files as an argument: a directory in production, memory in a simulation.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Where results are written.
pub trait FileStore: Send + Sync {
    /// Writes a file whole: a reader sees the old one or the new one, also after a crash.
    ///
    /// # Errors
    /// It could not be written; the message names the file.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Where the files are, for messages to people.
    fn location(&self) -> String;
}

/// A shared [`FileStore`].
pub type Files = Arc<dyn FileStore>;

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
        let named = |error: io::Error| {
            let path = path.display();
            let message = format!("output directory {path}: {error}; choose another with --out");
            io::Error::new(error.kind(), message)
        };
        std::fs::create_dir_all(path).map_err(named)?;
        let probe = path.join(format!(".probe-{}", std::process::id()));
        std::fs::write(&probe, b"probe").map_err(named)?;
        std::fs::remove_file(&probe).map_err(named)?;
        Ok(Self(path.to_owned()))
    }
}

impl FileStore for Directory {
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.0.join(name);
        let partial = self.0.join(format!("{name}.partial"));
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("writing {}: {error}", path.display()))
        };
        let write = || {
            let mut file = std::fs::File::create(&partial)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&partial, &path)?;
            // The new name is durable only once the directory is.
            std::fs::File::open(&self.0)?.sync_all()
        };
        write().map_err(named)
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
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get(name).cloned()
    }
}

impl FileStore for Memory {
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        files.insert(name.to_owned(), bytes.to_owned());
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
        let error = Directory::open(&file.join("out")).unwrap_err().to_string();
        assert!(error.contains("file/out") && error.contains("--out"), "{error}");
    }
}
