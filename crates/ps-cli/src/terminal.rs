//! The terminal of a process: a bar in its last row, and lines above it, whoever writes them.
//!
//! A bar is drawn again and again over the row that it is in. Whatever else writes there must take it away first, or the
//! next drawing wipes what was written: so everything that a process says goes through [`over_bar`].

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

/// The bar that is there, if any: a process has one terminal.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Steps of the bar: more than any terminal has columns.
const STEPS: u64 = 1_000;

/// Writes while the bar, if there is one, is away. What is written must go to the terminal by itself: a line of the
/// log in it would wait for the bar for good.
pub fn over_bar<R>(write: impl FnOnce() -> R) -> R {
    let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Writes a line to standard output; whoever read it may be gone, which ends nothing.
pub fn print(line: &str) {
    let _ = over_bar(|| {
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{line}").and_then(|()| stdout.flush())
    });
}

/// Writes a line to standard error.
pub fn print_error(line: &str) {
    let _ = over_bar(|| writeln!(std::io::stderr().lock(), "{line}"));
}

/// How far something is, in the last row of the terminal; gone when this is dropped.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar on standard error; `None` where that is no terminal.
    pub fn on_terminal() -> Option<Self> {
        if !std::io::stderr().is_terminal() {
            return None;
        }
        // What does not fit into the row is cut: a bar of two rows cannot be taken away.
        let style = ProgressStyle::with_template("[{bar:20}] {wide_msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::new(STEPS).with_style(style.progress_chars("=> "));
        *BAR.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        Some(Self(bar))
    }

    /// Shows that so much of the whole, from 0 to 1, is done, and what there is to say of it.
    pub fn show(&self, share: f64, text: String) {
        self.0.set_position((share.clamp(0.0, 1.0) * STEPS as f64) as u64);
        self.0.set_message(text);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        *BAR.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.0.finish_and_clear();
    }
}

/// Standard error for the log: each event is one write, and all of it is written while the bar is away.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        over_bar(|| std::io::stderr().lock().write_all(line)).map(|()| line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
