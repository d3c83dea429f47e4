//! Shows people how far the job is: a bar on a terminal, a line now and then in a log.

use indicatif::{ProgressBar, ProgressStyle};
use ps_core::progress::{Meter, ProgressSnapshot};
use std::io::IsTerminal;
use std::time::Duration;

/// How often a log gets a line, and a terminal a fresh bar.
const LINE_EVERY: Duration = Duration::from_secs(5);
const BAR_EVERY: Duration = Duration::from_millis(200);

/// Shows progress on standard error.
#[derive(Default)]
pub(crate) struct Reporter {
    bar: Option<ProgressBar>,
    meter: Meter,
    shown: Option<Duration>,
    line: String,
    is_finished: bool,
}

impl Reporter {
    /// A reporter that may draw a bar, if standard error is a terminal.
    pub(crate) fn new(may_draw: bool) -> Self {
        let bar = (may_draw && std::io::stderr().is_terminal()).then(|| {
            let style = ProgressStyle::with_template("[{bar:30}] {msg}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style.progress_chars("=> "))
        });
        Self { bar, ..Self::default() }
    }

    /// Shows where the job is, if it is time to.
    pub(crate) fn show(&mut self, now: Duration, snapshot: impl FnOnce() -> ProgressSnapshot) {
        let every = if self.bar.is_some() { BAR_EVERY } else { LINE_EVERY };
        let is_due = self.shown.is_none_or(|shown| now.saturating_sub(shown) >= every);
        if self.is_finished || !is_due {
            return;
        }
        self.shown = Some(now);
        let snapshot = snapshot();
        let rates = self.meter.take(now, &snapshot);
        let line = snapshot.line(&rates);
        match &self.bar {
            Some(bar) => {
                bar.set_length(snapshot.samples_total);
                bar.set_position(snapshot.samples_done);
                bar.set_message(line);
            }
            None if line != self.line => {
                tracing::info!("{line}");
                self.line = line;
            }
            None => (),
        }
    }

    /// Writes something without tearing the bar.
    pub(crate) fn around(&self, write: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&mut self) {
        self.is_finished = true;
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
