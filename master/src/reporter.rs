//! Shows people how far the job is: a bar on a terminal, a line now and then in a log.

use crate::config::ProgressDisplay;
use ps_cli::terminal::Bar;
use ps_core::progress::{Meter, ProgressSnapshot};
use ps_runtime::MetricSink;
use std::time::Duration;

/// How often a log gets a line, and a terminal a fresh bar.
const LINE_EVERY: Duration = Duration::from_secs(5);
const BAR_EVERY: Duration = Duration::from_millis(200);

/// Where progress is shown.
enum Display {
    /// On standard error, which is a terminal.
    Bar(Bar),
    /// By whoever started this process.
    Parent(MetricSink),
    /// In the log.
    Log,
}

/// Shows progress.
pub(crate) struct Reporter {
    display: Display,
    meter: Meter,
    shown: Option<Duration>,
    line: String,
    is_finished: bool,
}

impl Reporter {
    /// A reporter that shows progress as it may; what is for its parent goes to `metrics`.
    pub(crate) fn new(display: ProgressDisplay, metrics: MetricSink) -> Self {
        let display = match display {
            ProgressDisplay::Parent => Display::Parent(metrics),
            ProgressDisplay::Terminal => Bar::on_terminal().map_or(Display::Log, Display::Bar),
            ProgressDisplay::Log => Display::Log,
        };
        let (meter, line) = (Meter::default(), String::new());
        Self { display, meter, shown: None, line, is_finished: false }
    }

    /// Shows where the job is, if it is time to.
    pub(crate) fn show(&mut self, now: Duration, snapshot: impl FnOnce() -> ProgressSnapshot) {
        let every = if matches!(self.display, Display::Log) { LINE_EVERY } else { BAR_EVERY };
        let is_due = self.shown.is_none_or(|shown| now.saturating_sub(shown) >= every);
        if self.is_finished || !is_due {
            return;
        }
        self.shown = Some(now);
        let snapshot = snapshot();
        let rates = self.meter.take(now, &snapshot);
        let (share, line) = (snapshot.share(&rates), snapshot.line(&rates));
        match &self.display {
            Display::Bar(bar) => bar.show(share, line),
            Display::Parent(sink) => sink(&format!("progress={share:.4}; text={line};")),
            Display::Log if line != self.line => {
                tracing::info!("{line}");
                self.line = line;
            }
            Display::Log => (),
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&mut self) {
        self.is_finished = true;
        self.display = Display::Log;
    }
}
