//! A program's line to its job's master: samples to train on, and what it measured (docs/adr/0045).

use crate::Outside;
use crate::link::{Link, Patience};
use crate::member::{ATTEMPT, Error, client, error};
use bytes::Bytes;
use ps_core::limits::KEPT_PIECE_BYTES_MAX;
use ps_core::master::{MeasuresAnswer, SamplesAnswer};
use ps_proto::v1;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a program looks for a master that is silent: one that died is started again.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a master may take to have a whole model on its disk, and read.
const WHOLE_PATIENCE: Duration = Duration::from_secs(600);

/// In whose name a program calls its master.
#[derive(Clone, Debug)]
pub struct ProgramIdentity {
    /// The job.
    pub job: String,
    /// The worker's rank.
    pub worker: u32,
    /// And incarnation.
    pub incarnation: u64,
    /// Drawn once per program.
    pub process: u64,
}

/// What a program has trained, and what it wants.
#[derive(Clone, Debug)]
pub struct SamplesWish {
    /// How many samples there are.
    pub samples: u64,
    /// Of a step.
    pub batch: u64,
    /// The pass that it is in, from 0.
    pub pass: u64,
    /// Leases that it has trained.
    pub finished: Vec<u64>,
    /// Whether it gives back what it holds beside these.
    pub gives_back: bool,
    /// Whether it wants a lease.
    pub wants_lease: bool,
}

/// A program's line to the master.
pub struct ProgramLink {
    link: Link,
    identity: ProgramIdentity,
    requests: u64,
    reports: u64,
}

impl ProgramLink {
    /// A line to the master at this address.
    ///
    /// # Errors
    /// The address is malformed.
    pub fn new(outside: &Outside, address: &str, identity: ProgramIdentity) -> Result<Self, Error> {
        let link = Link::new(&outside.connector, address, &outside.clock, outside.seed)?;
        Ok(Self { link, identity, requests: 0, reports: 0 })
    }

    fn caller(&self, number: u64) -> v1::ProgramCaller {
        let ProgramIdentity { job, worker, incarnation, process } = self.identity.clone();
        v1::ProgramCaller { job, worker, incarnation, process, number }
    }

    /// Says what was trained, and asks for more.
    ///
    /// # Errors
    /// The master is lost, does not count on the worker any more, or refuses.
    pub async fn next_samples(&mut self, wish: SamplesWish) -> Result<SamplesAnswer, Error> {
        self.requests += 1;
        let request = v1::NextSamplesRequest {
            caller: Some(self.caller(self.requests)),
            samples: wish.samples,
            batch: wish.batch,
            pass: wish.pass,
            finished: wish.finished,
            gives_back: wish.gives_back,
            wants_lease: wish.wants_lease,
        };
        let attempt = |channel| {
            let request = request.clone();
            async move { Ok(client(channel).next_samples(request).await?.into_inner().into()) }
        };
        let patience = Patience { attempt: ATTEMPT, total: PATIENCE };
        let answer = self.link.call(patience, attempt, |_| ()).await;
        answer.map_err(|status| error(self.link.address(), &status))
    }

    /// Says what was measured, by name; on a validation set, or else on the test set.
    ///
    /// # Errors
    /// As [`Self::next_samples`].
    pub async fn report_measures(
        &mut self,
        measures: BTreeMap<String, f64>,
        pass: Option<u64>,
        on_validation: bool,
    ) -> Result<MeasuresAnswer, Error> {
        self.reports += 1;
        let measures = measures.into_iter().map(|(name, value)| v1::Measure { name, value });
        let (caller, measures) = (Some(self.caller(self.reports)), measures.collect());
        let report = v1::MeasuresReport { caller, pass, on_validation, measures };
        let attempt = |channel| {
            let report = report.clone();
            async move {
                let answer = client(channel).report_measures(report).await?.into_inner();
                Ok(MeasuresAnswer::try_from(answer)?)
            }
        };
        let patience = Patience { attempt: ATTEMPT, total: PATIENCE };
        let answer = self.link.call(patience, attempt, |_| ()).await;
        answer.map_err(|status| error(self.link.address(), &status))
    }

    /// Sends the file with the weights that were measured, as the answer to the last report of measures asked for
    /// ([`MeasuresAnswer::keep`]); what follows from the report.
    ///
    /// # Errors
    /// As [`Self::next_samples`].
    pub async fn keep_weights(&mut self, file: &[u8]) -> Result<MeasuresAnswer, Error> {
        let mut offset = 0;
        loop {
            let rest = &file[offset.min(file.len())..];
            let (content, after) = rest.split_at(rest.len().min(KEPT_PIECE_BYTES_MAX));
            let request = v1::KeepWeightsRequest {
                caller: Some(self.caller(self.reports)),
                offset: offset as u64,
                content: Bytes::copy_from_slice(content),
                last: after.is_empty(),
            };
            let attempt = |channel| {
                let request = request.clone();
                async move {
                    let reply = client(channel).keep_weights(request).await?.into_inner();
                    let answer = reply.answer.map(MeasuresAnswer::try_from).transpose()?;
                    Ok((reply.taken, answer))
                }
            };
            // With the last piece the file is synced and read once more.
            let total = if after.is_empty() { WHOLE_PATIENCE } else { PATIENCE };
            let patience = Patience { attempt: ATTEMPT, total };
            let reply = self.link.call(patience, attempt, |_| ()).await;
            match reply.map_err(|status| error(self.link.address(), &status))? {
                (_, Some(answer)) => return Ok(answer),
                // Another master begins anew.
                (taken, None) => offset = usize::try_from(taken).unwrap_or(0),
            }
        }
    }
}
