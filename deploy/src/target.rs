//! Where a command writes its one file: whole, or not at all.

use anyhow::{Context, bail};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A file that replaces what is there when it is complete; or what cannot be replaced, such as standard output.
pub struct Target {
    path: PathBuf,
    written: Option<NamedTempFile>,
}

impl Target {
    /// A file of this name, or standard output for none or `-`.
    ///
    /// # Errors
    /// Nothing can be written there.
    pub fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            return Ok(Self { path: PathBuf::from("/dev/stdout"), written: None });
        };
        if path.is_dir() {
            bail!("--out {}: a folder, expected the name of a file", path.display());
        }
        // A device or a FIFO takes what comes.
        if path.exists() && !path.is_file() {
            return Ok(Self { path: path.to_owned(), written: None });
        }
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let written = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")));
        let written = written.with_context(|| format!("--out {}", path.display()))?;
        Ok(Self { path: path.to_owned(), written: Some(written) })
    }

    /// What is written into.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn writer(&self) -> anyhow::Result<Box<dyn Write>> {
        let opened = match &self.written {
            Some(written) => written.reopen(),
            None if self.path == Path::new("/dev/stdout") => {
                return Ok(Box::new(BufWriter::new(std::io::stdout())));
            }
            None => File::options().write(true).open(&self.path),
        };
        let opened = opened.with_context(|| format!("--out {}", self.path.display()))?;
        Ok(Box::new(BufWriter::new(opened)))
    }

    /// It is complete: it replaces what was there.
    ///
    /// # Errors
    /// It cannot be renamed.
    pub fn keep(self) -> anyhow::Result<()> {
        if let Some(written) = self.written {
            written
                .persist(&self.path)
                .with_context(|| format!("--out {}", self.path.display()))?;
        }
        Ok(())
    }
}
