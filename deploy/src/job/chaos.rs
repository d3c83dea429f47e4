//! `--chaos`: kills the job's own processes now and then, so that people see that it goes on, and what that costs.

use crate::name::{Name, Role};
use ps_core::random::Random;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Who is killed when, and what came of it.
pub(super) struct Chaos {
    every: Duration,
    next: Instant,
    random: Random,
    killed: BTreeMap<Role, u32>,
    /// Since when those who were killed are away.
    away: BTreeMap<Name, Instant>,
    /// How long those were away that are back.
    times: Vec<Duration>,
}

impl Chaos {
    /// Kills one process in about so much time, the first when that is over.
    pub(super) fn new(every: Duration, seed: u64) -> Self {
        let mut chaos = Self {
            every,
            next: Instant::now(),
            random: Random::for_tensor(seed, "chaos"),
            killed: BTreeMap::new(),
            away: BTreeMap::new(),
            times: Vec::new(),
        };
        chaos.wait();
        chaos
    }

    /// From half of the time to one and a half.
    fn wait(&mut self) {
        self.next = Instant::now() + self.every.mul_f64(0.5 + self.random.uniform());
    }

    /// When the next one is killed.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Chooses who is killed now among those that work, each role as often as the others.
    pub(super) fn choose(&mut self, working: &[Name]) -> Option<Name> {
        self.wait();
        let mut roles: Vec<Role> = working.iter().map(|name| name.role).collect();
        roles.dedup();
        let role = *self.one_of(&roles)?;
        let of_role: Vec<Name> = working.iter().copied().filter(|it| it.role == role).collect();
        let name = *self.one_of(&of_role)?;
        *self.killed.entry(role).or_default() += 1;
        self.away.insert(name, Instant::now());
        Some(name)
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let at = (self.random.uniform() * all.len() as f64) as usize;
        all.get(at)
    }

    /// Somebody works, perhaps again.
    pub(super) fn works(&mut self, name: Name) {
        self.times.extend(self.away.remove(&name).map(|since| since.elapsed()));
    }

    /// What was killed and what that cost, for machines.
    pub(super) fn metrics(&mut self) -> String {
        self.times.sort_unstable();
        let seconds = |time: Option<&Duration>| time.map_or(0.0, Duration::as_secs_f64);
        let median = seconds(self.times.get(self.times.len() / 2));
        let killed = |role| self.killed.get(&role).copied().unwrap_or(0);
        format!(
            "chaos_killed_masters={}; chaos_killed_servers={}; chaos_killed_workers={}; chaos_killed_evaluators={}; \
             chaos_away_s={median:.3}; chaos_away_s_max={:.3};",
            killed(Role::Master),
            killed(Role::Server),
            killed(Role::Worker),
            killed(Role::Evaluator),
            seconds(self.times.last())
        )
    }

    /// The same for people.
    pub(super) fn words(&self) -> String {
        let count: u32 = self.killed.values().sum();
        let all: Duration = self.times.iter().sum();
        format!(
            "chaos: {count} processes were killed, {} came back, after {:.1} s in all",
            self.times.len(),
            all.as_secs_f64()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: Name = Name { role: Role::Master, index: 0 };

    #[test]
    fn every_role_has_its_turn_and_times_are_told() {
        let mut chaos = Chaos::new(Duration::from_secs(1), 7);
        assert_eq!(chaos.choose(&[]), None);
        let servers = [0, 1, 2].map(|index| Name { role: Role::Server, index });
        let working = [&[MASTER][..], &servers].concat();
        let mut masters = 0;
        for _ in 0..100 {
            let name = chaos.choose(&working).unwrap();
            masters += u32::from(name == MASTER);
            chaos.works(name);
        }
        assert!((25..75).contains(&masters), "{masters}");
        let metrics = chaos.metrics();
        assert!(metrics.starts_with(&format!("chaos_killed_masters={masters}; ")), "{metrics}");
        assert!(chaos.words().contains("100 came back"));
    }
}
