//! The report in a few lines for people.

use super::{CameBack, Report, Resumed, SkippedShare, WentBack, WorkerReport};
use crate::digits::digits;
use crate::learning::LearningStatus;

impl Report {
    /// A short summary, one statement per line.
    pub fn summary(&self) -> Vec<String> {
        let mut lines = vec![self.headline()];
        lines.extend(self.resumed_line());
        lines.extend(self.learning_line());
        lines.extend(self.early_stop.as_ref().map(|line| format!("ended early: {line}")));
        lines.extend(
            self.kept.as_ref().map(|kept| format!("the model is the best: {}", kept.words())),
        );
        let workers = self.workers.iter();
        lines.extend(workers.flat_map(|(rank, worker)| {
            let histogram = worker.counters.staleness.line();
            let staleness = format!("worker {rank}: staleness of its pushes {histogram}");
            // Where only the servers counted, nobody knows.
            let is_known = worker.counters.samples > 0;
            std::iter::once(worker_line(*rank, worker)).chain(is_known.then_some(staleness))
        }));
        for lost in &self.lost {
            lines.push(format!("lost: {} at {}: {}", lost.member, lost.address, lost.reason));
        }
        lines.extend(CameBack::words(&self.came_back));
        lines.extend(self.servers_went_back.iter().map(WentBack::words));
        lines.extend(self.skipped_line());
        lines.extend(self.refused_lines());
        let torn: u64 = self.servers.values().map(|server| server.pushes_torn).sum();
        if torn > 0 {
            lines.push(format!("{torn} pushes were left unfinished by workers that were lost"));
        }
        lines
    }

    fn headline(&self) -> String {
        let seconds = self.timings.training;
        let passes = self.passes.len();
        let mut line = match (&self.outcome.reason, self.outcome.exit_code) {
            (Some(reason), _) => format!("failed after {passes} passes, {seconds:.1} s: {reason}"),
            (None, 0) => format!("done: {passes} passes in {seconds:.1} s"),
            (None, _) => format!("stopped by a signal after {passes} passes, {seconds:.1} s"),
        };
        if let Some(metrics) = &self.final_metrics {
            if let Some(accuracy) = metrics.test_accuracy {
                line.push_str(&format!(", test accuracy {:.2} %", accuracy * 100.0));
            }
            if let Some(loss) = metrics.test_loss {
                line.push_str(&format!(", test loss {}", digits(loss)));
            }
            if !metrics.weights_match {
                line.push_str(" (measured on weights that differ from the written ones)");
            }
        }
        line
    }

    fn resumed_line(&self) -> Option<String> {
        let Resumed { checkpoint, passes, samples_done } = self.resumed?;
        Some(format!(
            "went on from checkpoint {checkpoint}: {passes} of the passes and {samples_done} \
             samples were done before"
        ))
    }

    fn learning_line(&self) -> Option<String> {
        let start = self.start_loss.map_or_else(|| "none".to_owned(), digits);
        let rise = self.rise.map(|rise| format!(": it {rise}")).unwrap_or_default();
        let last = self.passes.last().and_then(|pass| pass.train_loss);
        match (self.learning, last.map(digits)) {
            (LearningStatus::Unknown, _) | (LearningStatus::Learned, None) => {
                (!rise.is_empty()).then(|| format!("the loss was {start} at the start{rise}"))
            }
            (LearningStatus::Diverged, _) => {
                Some(format!("diverged: the loss was {start} at the start{rise}"))
            }
            (LearningStatus::Learned, Some(last)) => {
                Some(format!("learned: loss {start} -> {last}{rise}"))
            }
            (LearningStatus::DidNotImprove, last) => Some(format!(
                "did not learn: loss {start} at the start, {} in the last pass{rise}; try another --lr or \
                 --optimizer, or a lower --staleness-bound",
                last.unwrap_or_else(|| "none".to_owned())
            )),
        }
    }

    fn skipped_line(&self) -> Option<String> {
        let share = |share: &SkippedShare| format!("{} of {}", share.samples, share.member);
        let shares: Vec<String> = self.skipped.iter().map(share).collect();
        let (samples, shares) = (self.samples_skipped, shares.join(", "));
        (samples > 0).then(|| {
            format!("{samples} samples were skipped, because who has them was away: {shares}")
        })
    }

    fn refused_lines(&self) -> impl Iterator<Item = String> + '_ {
        let refused = |(rank, worker): (&u32, &WorkerReport)| {
            let chunks = worker.counters.chunks_refused;
            (chunks > 0).then(|| {
                format!("worker {rank}: {chunks} chunks refused, they held NaN or infinite values")
            })
        };
        self.workers.iter().filter_map(refused)
    }
}

fn worker_line(rank: u32, worker: &WorkerReport) -> String {
    let counters = &worker.counters;
    if counters.steps == 0 {
        return format!("worker {rank}: no step");
    }
    if counters.samples == 0 && counters.steps > 0 {
        return format!("worker {rank}: {} steps, as the servers counted them", counters.steps);
    }
    format!(
        "worker {rank}: {} steps, {} samples, staleness p50 {} p99 {} max {}, {} pushed, {} pulled",
        counters.steps,
        counters.samples,
        worker.staleness_p50,
        worker.staleness_p99,
        worker.staleness_max,
        bytes(counters.bytes_pushed),
        bytes(counters.bytes_pulled),
    )
}

/// A number of bytes for people.
fn bytes(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::super::{FinalReport, LostMember, Outcome, PassReport, ServerReport, Timings};
    use super::*;
    use crate::correction::Correction;
    use crate::keeping::Kept;
    use crate::learning::Rise;
    use crate::schedule::{LearningRate, Schedule};
    use crate::settings::TrainingSettings;
    use ps_kernels::optimizer::Optimizer;
    use std::collections::BTreeMap;

    fn settings() -> TrainingSettings {
        TrainingSettings {
            optimizer: Optimizer::parse("sgd", None, None).unwrap(),
            learning_rate: LearningRate { base: 0.1, schedule: Schedule::Constant, warmup: 0.0 },
            staleness_correction: Correction::Auto,
            staleness_bound: None,
            clip_norm: None,
            passes: 1,
            steps_min: 0,
            batch_size: 32,
            seed: 1,
            wire: crate::settings::Wire::default(),
            pipeline_depth: 0,
            divergence: crate::learning::DivergenceAction::default(),
            freeze: Vec::new(),
            parameter_groups: Vec::new(),
            evaluation: crate::keeping::EvaluationSettings::default(),
        }
    }

    fn report() -> Report {
        let mut worker = WorkerReport { staleness_p99: 3, ..WorkerReport::default() };
        worker.counters.chunks_refused = 4;
        worker.counters.bytes_pushed = 3 << 20;
        (worker.counters.steps, worker.counters.samples) = (7, 224);
        let server = |weight_bytes| ServerReport { weight_bytes, ..ServerReport::default() };
        let servers = BTreeMap::from([(0, server(100)), (1, server(300))]);
        Report {
            outcome: Outcome::default(),
            resumed: Some(Resumed { checkpoint: 7, passes: 3, samples_done: 300 }),
            checkpoint: Some(9),
            settings: settings(),
            train_samples: 100,
            passes: vec![PassReport { train_loss: Some(2.3), ..PassReport::default() }],
            evaluations: Vec::new(),
            evaluations_skipped: 2,
            kept: Some(Kept { value: 0.25, pass: 2, ..Kept::default() }),
            early_stop: Some("no improvement in 3 evaluations in a row".into()),
            final_metrics: Some(FinalReport {
                test_accuracy: Some(0.9771),
                weights_match: true,
                ..FinalReport::default()
            }),
            learning: LearningStatus::DidNotImprove,
            start_loss: Some(2.3),
            loss_curve: Vec::new(),
            rise: None,
            workers: BTreeMap::from([(0, worker)]),
            imbalance: Report::imbalance_of(&servers),
            servers,
            samples_skipped: 60,
            skipped: vec![SkippedShare { member: "worker 1".into(), samples: 60 }],
            came_back: vec![CameBack { member: "the master".to_owned(), times: 2 }],
            servers_went_back: vec![WentBack {
                shard: 1,
                checkpoint: 3,
                updates_lost_min: 41,
                model_share: 0.331,
                ..WentBack::default()
            }],
            lost: vec![LostMember {
                member: "worker 1".into(),
                address: "host:1".into(),
                reason: "silent".into(),
                seconds: 1.0,
            }],
            timings: Timings::default(),
        }
    }

    #[test]
    fn a_summary_names_what_matters() {
        let text = report().summary().join("\n");
        for part in [
            "97.71 %",
            "did not learn",
            "p99 3",
            "host:1",
            "4 chunks",
            "3.0 MiB",
            "ended early: no improvement in 3",
            "the model is the best: test_ 0.2500, measured in pass 2",
            "60 of worker 1",
            "checkpoint 7",
            "server shard 1 was killed: it went back alone to checkpoint 3, at least 41 updates of its part (33.1 %",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn who_did_nothing_or_was_not_asked_has_one_line() {
        let mut report = report();
        let mut told = |steps: u64| {
            let worker = report.workers.get_mut(&0).unwrap();
            (worker.counters.steps, worker.counters.samples) = (steps, 0);
            let lines = report.summary().into_iter();
            lines.filter(|line| line.starts_with("worker 0: ")).collect::<Vec<_>>()
        };
        assert_eq!(told(0)[0], "worker 0: no step");
        assert_eq!(told(5)[0], "worker 0: 5 steps, as the servers counted them");
        assert!(!told(5)[1].contains("staleness"), "{:?}", told(5));
    }

    /// Found by newcomers: a run that had exploded in its first steps was called one that learned.
    #[test]
    fn regression_a_loss_that_rose_is_told_with_the_verdict() {
        let mut report = report();
        let mut told = |learning, rise| {
            (report.learning, report.rise) = (learning, rise);
            report.summary()[2].clone()
        };
        let rise = Rise { loss: Some(8e7), step: 12, lasts: false };
        let line = told(LearningStatus::Learned, Some(rise));
        assert_eq!(
            line,
            "learned: loss 2.3000 -> 2.3000: it rose to 80000000.0000 by step 12 and came back"
        );
        let line = told(LearningStatus::Diverged, Some(Rise { loss: None, lasts: true, ..rise }));
        assert!(line.contains("no number any more by step 12 and did not come back"), "{line}");
        let line = told(LearningStatus::DidNotImprove, Some(rise));
        assert!(line.contains("last pass: it rose to 80000000.0000 by step 12"), "{line}");
        let line = told(LearningStatus::Unknown, Some(rise));
        assert!(line.contains("2.3000 at the start: it rose"), "{line}");
        assert!(!told(LearningStatus::Unknown, None).contains("rose"));
    }

    #[test]
    fn survives_json() {
        let report = report();
        assert_eq!(report.imbalance, Some(1.5));
        let text = serde_json::to_string_pretty(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}
