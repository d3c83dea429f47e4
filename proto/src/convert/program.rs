//! What programs that do the workers' work ask the master for, and tell it.

use super::evaluation::{kept, measure};
use super::{Error, check_counts};
use crate::v1;
use bytes::Bytes;
use ps_core::keeping::Kept;
use ps_core::limits::{
    KEPT_PIECE_BYTES_MAX, MEASURES_MAX, PROGRAM_BATCH_MAX, PROGRAM_LEASES_MAX, WORKERS_MAX,
};
use ps_core::master::{
    Asking, Caller, MeasuresAnswer, MeasuresReport, MemberId, SamplesAnswer, SamplesRequest,
};
use ps_core::scores::Scores;
use std::time::Duration;

fn caller(name: &'static str, wire: v1::ProgramCaller) -> Result<(Caller, Asking), Error> {
    check_counts(name, [("incarnation", wire.incarnation), ("number", wire.number)])?;
    if wire.worker >= WORKERS_MAX {
        let expected = format!("less than {WORKERS_MAX}");
        return Err(Error::invalid(name, "worker", wire.worker, expected));
    }
    let caller = Caller { member: MemberId::worker(wire.worker), incarnation: wire.incarnation };
    Ok((caller, Asking { process: wire.process, number: wire.number }))
}

impl TryFrom<v1::NextSamplesRequest> for SamplesRequest {
    type Error = Error;

    fn try_from(wire: v1::NextSamplesRequest) -> Result<Self, Error> {
        const NAME: &str = "NextSamplesRequest";
        let (caller, asking) = caller(NAME, wire.caller.unwrap_or_default())?;
        check_counts(NAME, [("samples", wire.samples), ("pass", wire.pass)])?;
        if wire.samples == 0 {
            return Err(Error::invalid(NAME, "samples", 0, "at least 1"));
        }
        if !(1..=PROGRAM_BATCH_MAX).contains(&wire.batch) {
            let expected = format!("1 to {PROGRAM_BATCH_MAX}");
            return Err(Error::invalid(NAME, "batch", wire.batch, expected));
        }
        Error::check(NAME, "finished", wire.finished.len(), 0..=PROGRAM_LEASES_MAX)?;
        Ok(Self {
            caller,
            asking,
            samples: wire.samples,
            batch: wire.batch,
            pass: wire.pass,
            finished: wire.finished,
            gives_back: wire.gives_back,
            wants_lease: wire.wants_lease,
        })
    }
}

impl From<SamplesAnswer> for v1::NextSamplesReply {
    fn from(answer: SamplesAnswer) -> Self {
        use v1::next_samples_reply::Samples;
        let samples = match answer {
            SamplesAnswer::Lease { lease, pass, start, end } => {
                Samples::Lease(v1::SamplesLease { lease, pass, start, end })
            }
            SamplesAnswer::Wait(wait) => {
                let milliseconds = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                Samples::Wait(v1::WaitTask { milliseconds })
            }
            SamplesAnswer::Over => Samples::Over(v1::PassOver {}),
            SamplesAnswer::Ended => Samples::Ended(v1::JobEnded {}),
        };
        Self { samples: Some(samples) }
    }
}

impl From<v1::NextSamplesReply> for SamplesAnswer {
    /// Nothing is what a master says that has nothing for programs any more.
    fn from(wire: v1::NextSamplesReply) -> Self {
        use v1::next_samples_reply::Samples;
        match wire.samples {
            Some(Samples::Lease(v1::SamplesLease { lease, pass, start, end })) => {
                Self::Lease { lease, pass, start, end }
            }
            Some(Samples::Wait(wait)) => Self::Wait(Duration::from_millis(wait.milliseconds)),
            Some(Samples::Over(_)) => Self::Over,
            Some(Samples::Ended(_)) | None => Self::Ended,
        }
    }
}

impl TryFrom<v1::MeasuresReport> for MeasuresReport {
    type Error = Error;

    fn try_from(wire: v1::MeasuresReport) -> Result<Self, Error> {
        const NAME: &str = "MeasuresReport";
        let (caller, asking) = caller(NAME, wire.caller.unwrap_or_default())?;
        check_counts(NAME, [("pass", wire.pass.unwrap_or(0))])?;
        Error::check(NAME, "measures", wire.measures.len(), 1..=MEASURES_MAX)?;
        let measures = wire.measures.into_iter().map(measure);
        let mut measures = measures.collect::<Result<Vec<_>, _>>()?;
        let mut names: Vec<&str> = measures.iter().map(|it| it.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::invalid(NAME, "measures", pair[0], "each name once"));
        }
        let accuracy = measures.iter().position(|it| it.name == "accuracy");
        let accuracy = accuracy.map(|at| measures.remove(at).value);
        if let Some(accuracy) = accuracy.filter(|share| !(0.0..=1.0).contains(share)) {
            return Err(Error::invalid(NAME, "accuracy", accuracy, "a share from 0 to 1"));
        }
        let scores = Scores::of_program(accuracy, measures);
        Ok(Self { caller, asking, pass: wire.pass, is_validation: wire.on_validation, scores })
    }
}

impl TryFrom<v1::MeasuresReply> for MeasuresAnswer {
    type Error = Error;

    fn try_from(wire: v1::MeasuresReply) -> Result<Self, Error> {
        let keep = |wire: v1::KeepTask| {
            let v1::KeepTask { measured, job, pass, step } = wire;
            let counts = [("job", job), ("pass", pass), ("step", step)];
            check_counts("KeepTask", counts)?;
            let measured = kept(measured.unwrap_or_default())?;
            Ok(Kept { job, pass, step, ..measured })
        };
        let keep = wire.keep.map(keep).transpose()?;
        Ok(Self { is_best: wire.best, is_ended: wire.ended, keep })
    }
}

impl From<MeasuresAnswer> for v1::MeasuresReply {
    fn from(answer: MeasuresAnswer) -> Self {
        let keep = |kept: Kept| v1::KeepTask {
            job: kept.job,
            pass: kept.pass,
            step: kept.step,
            measured: Some(kept.into()),
        };
        Self { best: answer.is_best, ended: answer.is_ended, keep: answer.keep.map(keep) }
    }
}

/// A piece of the file with weights that a program measured.
#[derive(Clone, Debug)]
pub struct WeightsPiece {
    /// In whose name.
    pub caller: Caller,
    /// The report of what was measured.
    pub asking: Asking,
    /// Where in the file it begins.
    pub offset: u64,
    /// What is there.
    pub content: Bytes,
    /// Whether the file ends with it.
    pub is_last: bool,
}

impl TryFrom<v1::KeepWeightsRequest> for WeightsPiece {
    type Error = Error;

    fn try_from(wire: v1::KeepWeightsRequest) -> Result<Self, Error> {
        const NAME: &str = "KeepWeightsRequest";
        let (caller, asking) = caller(NAME, wire.caller.unwrap_or_default())?;
        check_counts(NAME, [("offset", wire.offset)])?;
        Error::check(NAME, "content", wire.content.len(), 1..=KEPT_PIECE_BYTES_MAX)?;
        let (offset, content, is_last) = (wire.offset, wire.content, wire.last);
        Ok(Self { caller, asking, offset, content, is_last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> v1::NextSamplesRequest {
        let caller = v1::ProgramCaller { worker: 1, incarnation: 7, ..Default::default() };
        v1::NextSamplesRequest { caller: Some(caller), samples: 10, batch: 2, ..Default::default() }
    }

    #[test]
    fn requests_that_make_no_sense_are_refused_by_name() {
        let read = SamplesRequest::try_from;
        assert_eq!(read(request()).unwrap().caller.member, MemberId::worker(1));
        let wrong = [
            ("samples", v1::NextSamplesRequest { samples: 0, ..request() }),
            ("batch", v1::NextSamplesRequest { batch: 0, ..request() }),
            ("pass", v1::NextSamplesRequest { pass: u64::MAX, ..request() }),
            ("finished", v1::NextSamplesRequest { finished: vec![1; 1 << 20], ..request() }),
        ];
        for (field, wrong) in wrong {
            let words = read(wrong).unwrap_err().to_string();
            assert!(words.contains(field), "{words}");
        }
    }

    #[test]
    fn answers_survive_the_wire() {
        let lease = SamplesAnswer::Lease { lease: 3, pass: 1, start: 10, end: 20 };
        let wait = SamplesAnswer::Wait(Duration::from_millis(20));
        for answer in [lease, wait, SamplesAnswer::Over, SamplesAnswer::Ended] {
            assert_eq!(SamplesAnswer::from(v1::NextSamplesReply::from(answer)), answer);
        }
    }

    #[test]
    fn what_is_to_be_kept_survives_the_wire() {
        let kept = Kept { job: 7, measure: "auc".into(), value: 0.1 + 0.2, ..Kept::default() };
        let keep = Some(Kept { pass: 3, step: 12, ..kept });
        let answer = MeasuresAnswer { is_best: true, is_ended: false, keep };
        let wire = v1::MeasuresReply::from(answer.clone());
        assert_eq!(MeasuresAnswer::try_from(wire.clone()).unwrap(), answer);
        let nameless = v1::KeepTask { measured: None, ..wire.keep.unwrap() };
        let wrong = v1::MeasuresReply { keep: Some(nameless), ..Default::default() };
        assert!(MeasuresAnswer::try_from(wrong).is_err());
    }

    #[test]
    fn pieces_of_weights_are_neither_empty_nor_endless() {
        let piece = |bytes| {
            let content = vec![0; bytes].into();
            WeightsPiece::try_from(v1::KeepWeightsRequest { content, ..Default::default() })
        };
        assert_eq!(piece(KEPT_PIECE_BYTES_MAX).unwrap().content.len(), KEPT_PIECE_BYTES_MAX);
        for wrong in [0, KEPT_PIECE_BYTES_MAX + 1] {
            assert!(piece(wrong).unwrap_err().to_string().contains("content"));
        }
    }

    #[test]
    fn what_is_measured_has_names_once_and_accuracy_is_a_share() {
        let read = |measures: &[(&str, f64)]| {
            let measure = |(name, value): &(&str, f64)| v1::Measure {
                name: (*name).to_owned(),
                value: *value,
            };
            let measures = measures.iter().map(measure).collect();
            MeasuresReport::try_from(v1::MeasuresReport { measures, ..Default::default() })
        };
        let scores = read(&[("loss", 0.5), ("accuracy", 0.25)]).unwrap().scores;
        assert_eq!((scores.get("loss"), scores.get("accuracy")), (Some(0.5), Some(0.25)));
        let twice = [("loss", 1.0), ("loss", 2.0)];
        for wrong in [&[][..], &twice, &[("accuracy", 97.0)], &[("loss", f64::NAN)]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
