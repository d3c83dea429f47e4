//! How far behind the weights of a step are.

use super::{Account, Ledger};
use ps_core::ids::Clock;
use std::collections::BTreeMap;

/// A push that is known to be acknowledged.
struct Step<'a> {
    host: usize,
    push: usize,
    /// The places, among the pushes of all hosts, of the first and last one of its registration.
    registration: (u64, u64),
    clock: Clock,
    /// Which pushes of which host were in the weights that it was computed from.
    seen: &'a [Vec<bool>],
}

impl Ledger {
    /// How many steps the weights of some step were behind another worker's, or the worker's own,
    /// acknowledged push at the most: weights for step `t` without the push of step `c` are `t - c`
    /// behind, which the staleness bound bounds.
    ///
    /// Only registrations that pushed side by side are bound to each other: when nobody is left whom a
    /// joiner could be lifted to, steps are counted from 0 again.
    pub fn lag(&self) -> u64 {
        let mut accounts = self.lock();
        accounts.iter_mut().for_each(Account::settle);
        let steps: Vec<Step<'_>> =
            accounts.iter().enumerate().flat_map(|(host, account)| steps(host, account)).collect();
        let behind = steps.iter().map(|step| {
            let unseen = steps.iter().filter(|other| {
                let was_seen = step.seen.get(other.host).and_then(|seen| seen.get(other.push));
                !was_seen.copied().unwrap_or(false)
            });
            let late = unseen.filter(|other| step.clock > other.clock && step.is_beside(other));
            late.map(|other| step.clock - other.clock).max().unwrap_or(0)
        });
        behind.max().unwrap_or(0)
    }
}

fn steps(host: usize, account: &Account) -> impl Iterator<Item = Step<'_>> {
    let mut registrations: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
    for (order, registration) in account.orders.iter().zip(&account.registrations) {
        registrations.entry(*registration).or_insert((*order, *order)).1 = *order;
    }
    let made = account.clocks.iter().zip(&account.seen).zip(&account.registrations).enumerate();
    made.filter_map(move |(push, ((clock, seen), registration))| {
        let registration = registrations.get(registration).copied()?;
        Some(Step { host, push, registration, clock: (*clock)?, seen })
    })
}

impl Step<'_> {
    /// Whether the registrations of both made pushes before the other's last one.
    fn is_beside(&self, other: &Self) -> bool {
        let ((first, last), (other_first, other_last)) = (self.registration, other.registration);
        first <= other_last && other_first <= last
    }
}
