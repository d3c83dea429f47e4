//! A FIFO that may not be there yet, whose writer may never come, read so that it can be given up.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use super::batch::BatchSender;
use crate::Error;

/// How often a wait checks whether it has been given up: short for a person, long for a processor.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The reading end.
pub(super) struct Fifo {
    file: File,
    /// Closed when nobody wants the stream any more.
    batches: BatchSender,
    /// Until when the first byte, or the end, must have come.
    patience: Patience,
    started: bool,
}

/// How long to wait for the FIFO and its writer.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    until: Instant,
    whole: Duration,
}

impl Patience {
    /// From now on.
    pub(super) fn new(whole: Duration) -> Self {
        Self { until: Instant::now() + whole, whole }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }
}

impl Fifo {
    /// Waits until the FIFO exists and opens it; its writer may come later.
    pub(super) fn open(
        path: &Path,
        patience: Patience,
        batches: BatchSender,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Read { path: path.to_owned(), source };
        loop {
            check_wanted(&batches).map_err(failed)?;
            // Without waiting: else a writer that never comes would hold this thread for ever.
            let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
            match OpenOptions::new().read(true).custom_flags(flags).open(path) {
                Ok(file) => {
                    return Ok(Self { file, batches, patience, started: false });
                }
                Err(error) if error.kind() == ErrorKind::NotFound && !patience.is_over() => {
                    std::thread::sleep(POLL_INTERVAL);
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let problem = format!(
                        "not there after {} s, expected a FIFO; is the channel's input mode Pipe, \
                         and does --data name it without `_` and the number?",
                        patience.whole.as_secs()
                    );
                    return Err(Error::Stream { path: path.to_owned(), problem });
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Waits until there is something to read, or the end.
    fn wait(&self) -> io::Result<()> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(POLL_INTERVAL.subsec_nanos()) as _ };
        loop {
            check_wanted(&self.batches)?;
            let mut fds = [PollFd::new(&self.file, PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                // Linux says HUP only when a writer has been there since the FIFO was opened.
                Ok(ready) if ready > 0 => return Ok(()),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if !self.started && self.patience.is_over() {
                let problem = format!(
                    "nobody wrote to it within {} s (--load-timeout-s)",
                    self.patience.whole.as_secs()
                );
                return Err(io::Error::new(ErrorKind::TimedOut, problem));
            }
        }
    }
}

impl Read for Fifo {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            self.wait()?;
            match self.file.read(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => {
                    self.started = true;
                    return result;
                }
            }
        }
    }
}

fn check_wanted(batches: &BatchSender) -> io::Result<()> {
    match batches.is_closed() {
        true => Err(io::Error::new(ErrorKind::ConnectionAborted, "nobody reads on")),
        false => Ok(()),
    }
}
