//! What members count in their shares of a table, before they register, and the sum of it that they go on with.

use super::Machine;
use super::types::{ColumnsAnswer, ColumnsRequest, Level, Rejection, Role};
use crate::limits::{EVALUATORS_MAX, LEARNT_BYTES_MAX, LEARNT_SUM_PART_BYTES, WORKERS_MAX};
use crate::schema::{TablePart, TableSums};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Processes that are remembered at once: all that a job can have, and as many that have ended and are not forgotten yet.
const SHARES_MAX: usize = 2 * (WORKERS_MAX + EVALUATORS_MAX) as usize;

/// What one process counted.
#[derive(Clone, Debug)]
struct Share {
    role: Role,
    address: String,
    sums: TableSums,
    /// Parts that it sends, and how many of them are here.
    parts: u32,
    taken: u32,
    /// About how much of them.
    bytes: usize,
    last_heard: Duration,
}

impl Share {
    fn is_complete(&self) -> bool {
        self.taken == self.parts
    }
}

/// What was counted so far, and the sum once it is fixed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Columns {
    /// By the processes' tokens. Who sends them sends them again to a master that does not know them.
    #[serde(skip)]
    shares: BTreeMap<u64, Share>,
    /// Since when all are there.
    complete_since: Option<Duration>,
    /// The sum in parts, none where the data are no table.
    sum: Option<Arc<[TablePart]>>,
    /// When it was fixed without everybody.
    settled_late: Option<Duration>,
    /// Whether an evaluator was there when shares were added up.
    had_evaluator: Option<bool>,
}

impl Columns {
    /// When the sum was fixed without everybody.
    pub(super) fn settled_late(&self) -> Option<Duration> {
        self.settled_late
    }

    /// Whether an evaluator learnt with the others; `None` where nobody waited for one.
    pub(super) fn had_evaluator(&self) -> Option<bool> {
        self.had_evaluator
    }

    /// Whether somebody waits for the others.
    pub(super) fn is_awaited(&mut self, lease: Duration, now: Duration) -> bool {
        self.forget_silent(lease, now);
        self.sum.is_none() && self.shares.values().any(Share::is_complete)
    }

    /// Whether a process has read its share: it may still say that it loads its data.
    pub(super) fn has_all_of(&self, address: &str) -> bool {
        let mut shares = self.shares.values();
        shares.any(|share| share.address == address && share.is_complete())
    }

    fn count(&self, role: Role) -> usize {
        self.shares.values().filter(|share| share.role == role && share.is_complete()).count()
    }

    /// Who is silent is not waited for, and what it counted is counted by its successor.
    fn forget_silent(&mut self, lease: Duration, now: Duration) {
        self.shares.retain(|_, share| now.saturating_sub(share.last_heard) < lease);
    }

    /// Takes in what a process sends.
    ///
    /// # Errors
    /// It is no part of a table; in words.
    fn take(&mut self, request: &mut ColumnsRequest, now: Duration) -> Result<(), String> {
        if self.shares.len() >= SHARES_MAX && !self.shares.contains_key(&request.token) {
            return Ok(());
        }
        let all: usize = self.shares.values().map(|share| share.bytes).sum();
        let share = self.shares.entry(request.token).or_insert_with(|| Share {
            role: request.role,
            address: request.address.clone(),
            sums: TableSums::default(),
            parts: request.parts,
            taken: 0,
            bytes: 0,
            last_heard: now,
        });
        share.last_heard = share.last_heard.max(now);
        let is_next = |part: &(u32, TablePart)| part.0 == share.taken && part.0 < share.parts;
        if let Some((_, part)) = request.part.take().filter(is_next) {
            share.bytes += part.bytes();
            if all + share.bytes > LEARNT_BYTES_MAX {
                return Err(format!(
                    "the distinct texts of all shares take more than {} MiB; give what is known of the whole with --schema",
                    LEARNT_BYTES_MAX >> 20
                ));
            }
            share.sums.add_part(part)?;
            share.taken += 1;
            if share.is_complete() {
                share.sums.check()?;
            }
        }
        Ok(())
    }

    /// Adds up what there is, of the first alone where all have the same.
    fn add_up(&mut self, first_alone: bool) -> Result<(), String> {
        let shares = std::mem::take(&mut self.shares).into_values();
        let sums = shares.filter(|share| share.is_complete() && share.parts > 0);
        let sums = sums.map(|share| share.sums).take(if first_alone { 1 } else { usize::MAX });
        let sum = TableSums::sum(sums.collect())?;
        let parts = sum.map(|sum| sum.parts(LEARNT_SUM_PART_BYTES)).unwrap_or_default();
        self.sum = Some(parts.into());
        Ok(())
    }

    fn answer(&self, request: &ColumnsRequest) -> ColumnsAnswer {
        let next = self.shares.get(&request.token).map_or(0, |share| share.taken);
        let part = |sum: &Arc<[TablePart]>| sum.get(request.wanted as usize).cloned();
        ColumnsAnswer {
            next,
            is_settled: self.sum.is_some(),
            parts: self.sum.as_ref().map_or(0, |sum| sum.len() as u32),
            part: self.sum.as_ref().and_then(part),
        }
    }
}

impl Machine {
    /// A process that has not registered sends what it counted in its share of a table, or asks for the sum of all.
    ///
    /// # Errors
    /// The job is over: what was sent may be why.
    pub fn learn_columns(
        &mut self,
        mut request: ColumnsRequest,
        now: Duration,
    ) -> Result<ColumnsAnswer, Rejection> {
        let take = |machine: &mut Self| {
            machine.check_open()?;
            if machine.columns.sum.is_none() {
                machine.take_columns(&mut request, now);
            }
            machine.check_open()?;
            Ok(machine.columns.answer(&request))
        };
        self.handle(now, take, |_, answer| answer)
    }

    fn take_columns(&mut self, request: &mut ColumnsRequest, now: Duration) {
        let who = request.address.clone();
        let settled = match self.columns.take(request, now) {
            Ok(()) => self.settle_columns(request.is_same, now),
            Err(problem) => Err(format!("what {who} counted in its share of the table: {problem}")),
        };
        if let Err(reason) = settled {
            self.fail_start(format!("learning the columns together: {reason}"), now);
        }
    }

    /// Fixes the sum, once all are there and have been heard of since.
    fn settle_columns(&mut self, is_same: bool, now: Duration) -> Result<(), String> {
        let columns = &mut self.columns;
        columns.forget_silent(self.config.lease, now);
        let has_sums = |share: &Share| share.is_complete() && share.parts > 0;
        if is_same && columns.shares.values().any(has_sums) {
            columns.shares.retain(|_, share| has_sums(share));
            return columns.add_up(true);
        }
        // Who registers without asking has no table.
        let workers = columns.count(Role::Worker) + self.registry.live(Role::Worker).count();
        let evaluators =
            columns.count(Role::Evaluator) + self.registry.live(Role::Evaluator).count();
        if workers < self.config.workers as usize || evaluators == 0 {
            columns.complete_since = None;
            return Ok(());
        }
        let since = *columns.complete_since.get_or_insert(now);
        let mut shares = columns.shares.values();
        if !shares.all(|share| share.is_complete() && share.last_heard > since) {
            return Ok(());
        }
        columns.had_evaluator = Some(true);
        columns.add_up(false)
    }

    /// At the start's deadline: fixes the sum without those who are missing.
    pub(super) fn settle_columns_late(&mut self, now: Duration) {
        let (workers, waited) = (self.config.workers, self.config.start_timeout);
        let (found, evaluators) =
            (self.columns.count(Role::Worker), self.columns.count(Role::Evaluator));
        let missing = if evaluators == 0 { ", and no evaluator" } else { "" };
        let line = format!(
            "the columns are learnt from {found} of {workers} workers{missing}: the others did not come within {waited:.0?}"
        );
        self.log(Level::Warn, line);
        self.columns.settled_late = Some(now);
        self.columns.had_evaluator = Some(evaluators > 0);
        if let Err(reason) = self.columns.add_up(false) {
            self.fail_start(format!("learning the columns together: {reason}"), now);
        }
    }
}
