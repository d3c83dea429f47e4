//! What a worker without a master shows of its run: progress for people, metrics for machines.

use crate::train::Evaluated;
use crate::train::alone::Observer;
use ps_cli::terminal::Bar;
use ps_client::{Counters, StepOutcome};
use ps_core::digits::digits;
use ps_core::learning::{
    DivergenceAction, DivergenceSign, LearningMonitor, LearningStatus, Losses, Verdict,
};
use ps_core::progress::{Meter, ProgressSnapshot};
use ps_core::scores::EvaluationSet;
use ps_core::settings::TrainingSettings;
use ps_core::staleness::Staleness;
use ps_runtime::{Clock, MetricSink, Outside};
use std::time::Duration;

/// How often a log gets a line, and a terminal a fresh bar.
const LINE_EVERY: Duration = Duration::from_secs(5);
const BAR_EVERY: Duration = Duration::from_millis(200);

/// Shows a run on standard error, and its metrics on standard output.
pub(crate) struct ProgressReporter {
    clock: Clock,
    metrics: MetricSink,
    bar: Option<Bar>,
    meter: Meter,
    snapshot: ProgressSnapshot,
    watch: LearningMonitor,
    divergence: DivergenceAction,
    pass: Losses,
    staleness: Staleness,
    shown: Duration,
    begun: Duration,
}

impl ProgressReporter {
    /// Begins to show a run over this worker's share of the samples.
    pub(crate) fn new(settings: &TrainingSettings, samples: u64, outside: &Outside) -> Self {
        let passes = settings.passes_over(samples);
        let snapshot = ProgressSnapshot {
            phase: "training",
            pass: 1,
            passes,
            samples_total: samples * passes,
            workers: 1,
            ..ProgressSnapshot::default()
        };
        let now = outside.clock.now();
        Self {
            clock: outside.clock.clone(),
            metrics: outside.metrics.clone(),
            bar: Bar::on_terminal(),
            meter: Meter::default(),
            watch: LearningMonitor::new(samples.div_ceil(settings.batch_size)),
            divergence: settings.divergence,
            snapshot,
            pass: Losses::default(),
            staleness: Staleness::default(),
            shown: now,
            begun: now,
        }
    }

    /// Removes the bar, so that what follows stands on lines of its own.
    pub(crate) fn close(&mut self) {
        self.bar = None;
    }

    /// What to say at the end.
    pub(crate) fn summary(&self, counters: &Counters) -> Vec<String> {
        let seconds = (self.clock.now() - self.begun).as_secs_f64();
        let staleness = &self.staleness;
        let wire = counters.to_wire();
        let mut lines = vec![format!(
            "{} steps, {} samples in {seconds:.1} s; staleness p50 {} p99 {} max {}; {} attempts \
             repeated, {} chunks refused",
            wire.steps,
            wire.samples,
            staleness.p50(),
            staleness.p99(),
            staleness.max(),
            wire.pushes_retried,
            wire.chunks_refused
        )];
        lines.push(format!("staleness of the pushes {}", staleness.line()));
        if let Some(rise) = self.watch.rise() {
            let start = self.watch.start_loss().map_or_else(|| "none".to_owned(), digits);
            lines.push(format!("the loss was {start} at the start: it {rise}"));
        }
        if self.watch.status() == LearningStatus::DidNotImprove {
            lines.push("the loss did not improve: try another --lr or more --passes".to_owned());
        }
        lines
    }

    /// What speaks against the model that was trained: what was measured counts for more than the last steps.
    pub(crate) fn sign_at_end(&self, evaluated: &Evaluated) -> Option<DivergenceSign> {
        let sets = [
            (EvaluationSet::Validation, &evaluated.validation),
            (EvaluationSet::Test, &evaluated.test),
        ];
        let mut measured = sets
            .into_iter()
            .filter_map(|(set, scores)| Some((set, scores.as_ref()?)))
            .filter(|(_, scores)| scores.samples > 0)
            .peekable();
        match measured.peek() {
            Some(_) => measured
                .find(|(_, scores)| !scores.loss.is_finite())
                .map(|(set, _)| DivergenceSign::ModelNotFinite { set }),
            None => self.watch.sign_at_end(),
        }
    }

    /// Does about a sign of divergence what the settings say.
    fn judge(&self, sign: Option<&DivergenceSign>) -> Result<(), String> {
        match sign.and_then(|sign| self.divergence.verdict(sign)) {
            Some(Verdict::Stop(reason)) => return Err(reason),
            Some(Verdict::Warn(line)) => tracing::warn!("{line}"),
            None => (),
        }
        Ok(())
    }

    fn draw(&mut self) {
        let now = self.clock.now();
        let every = if self.bar.is_some() { BAR_EVERY } else { LINE_EVERY };
        if now.saturating_sub(self.shown) < every {
            return;
        }
        self.shown = now;
        let rates = self.meter.take(now, &self.snapshot);
        let (share, line) = (self.snapshot.share(&rates), self.snapshot.line(&rates));
        match &self.bar {
            Some(bar) => bar.show(share, line),
            None => tracing::info!("{line}"),
        }
    }
}

impl Observer for ProgressReporter {
    fn stepped(&mut self, outcome: &StepOutcome, done: u64, total: u64) -> Result<(), String> {
        let losses = Losses::of_step(outcome.loss, outcome.samples);
        self.pass.add(&losses);
        self.staleness.add(outcome.report.staleness, 1);
        let snapshot = &mut self.snapshot;
        snapshot.samples_done = done;
        snapshot.samples_trained = done;
        snapshot.samples_total = total;
        snapshot.steps += 1;
        snapshot.loss = Some(outcome.loss);
        snapshot.staleness_p50 = self.staleness.p50();
        snapshot.staleness_max = self.staleness.max();
        self.draw();
        let sign = self.watch.observe(&losses);
        self.judge(sign.as_ref())
    }

    fn passed(&mut self, pass: u64, evaluated: &Evaluated) -> Result<(), String> {
        let mut line = format!("pass={pass};");
        if let Some(loss) = self.pass.mean() {
            line.push_str(&format!(" train_loss={};", digits(loss)));
        }
        if let Some((set, scores)) = evaluated.chosen_by() {
            line.push_str(&scores.line(set, ""));
        }
        (self.metrics)(&line);
        self.snapshot.pass = pass + 1;
        let losses = std::mem::take(&mut self.pass);
        let sign = self.watch.pass_ended(pass - 1, &losses);
        self.judge(sign.as_ref())
    }
}
