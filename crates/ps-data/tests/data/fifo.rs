//! FIFOs and processes that write to them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use ps_data::{Format, StreamInput, StreamSource, TableOptions, Wrapper};
use tempfile::TempDir;

/// How long anything may take that is to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A folder in which FIFOs are made.
pub(crate) struct Channel {
    dir: TempDir,
}

impl Channel {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, number: u64) -> PathBuf {
        self.dir.path().join(format!("training_{number}"))
    }

    pub(crate) fn make(&self, number: u64) -> PathBuf {
        let path = self.path(number);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }

    pub(crate) fn fifos(&self, patience: Duration) -> StreamInput {
        StreamInput::Fifos { stem: self.dir.path().join("training"), patience }
    }

    pub(crate) fn source(&self, format: Format) -> StreamSource {
        StreamSource {
            from: self.fifos(PATIENCE),
            format,
            wrapper: Wrapper::None,
            table: TableOptions::default(),
            schema: None,
            context: 3,
        }
    }
}

/// A process that writes to a FIFO what it is given.
pub(crate) struct Writer {
    process: Child,
    input: ChildStdin,
}

impl Writer {
    pub(crate) fn new(fifo: &Path) -> Self {
        let mut cat = Command::new("sh");
        cat.args(["-c", "exec cat > \"$0\""]).arg(fifo).stdin(Stdio::piped());
        let mut process = cat.spawn().unwrap();
        let input = process.stdin.take().unwrap();
        Self { process, input }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.input.write_all(bytes).unwrap();
    }

    pub(crate) fn end(self) {
        let Self { mut process, input } = self;
        drop(input);
        process.wait().unwrap();
    }

    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Writes a whole stream from a thread, because a FIFO holds little.
pub(crate) fn write_all(fifo: PathBuf, bytes: Vec<u8>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut writer = Writer::new(&fifo);
        writer.write(&bytes);
        writer.end();
    })
}
