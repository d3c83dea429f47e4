//! Orphans: processes that our children leave behind become ours. They stay in the table for ever unless
//! somebody waits for them, and run for ever unless somebody ends them.
//!
//! The system knows only that a process is this one's child, not of which of its jobs. Each job leaves
//! the children of the others alone, and what is below them; what a dead child has left is anybody's.

use rustix::process::{
    Pid, Signal, WaitOptions, getpid, getppid, kill_process, set_child_subreaper,
    set_parent_process_death_signal, waitpid,
};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// Signals of several ends may come as one: now and then we look without one.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often, and how many times, we look whether whoever was killed is gone.
const LOOK_AFTER_KILL: Duration = Duration::from_millis(20);
const LOOKS: u32 = 50;

/// The children that somebody waits for, and the job that each is of.
static KNOWN: Mutex<BTreeMap<u32, u64>> = Mutex::new(BTreeMap::new());

/// The job that begins next.
static NEXT_JOB: AtomicU64 = AtomicU64::new(0);

/// What becomes of a process whose parent, one of our children or below it, has ended before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphans {
    /// It is killed: what its parent did is over, and so is what it does.
    Kill,
    /// It goes on: it may be a part of a program of the user's that still runs.
    Keep,
}

/// The children of one job that somebody waits for, so that nobody takes their status from them.
#[derive(Clone, Debug)]
pub struct Children {
    job: u64,
}

impl Default for Children {
    fn default() -> Self {
        Self { job: NEXT_JOB.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Children {
    /// Starts a process that is waited for by whoever asked, and whose id `id` tells.
    ///
    /// # Errors
    /// The system refuses to start it.
    pub fn spawn<C>(
        &self,
        start: impl FnOnce() -> io::Result<C>,
        id: impl FnOnce(&C) -> Option<u32>,
    ) -> io::Result<C> {
        // Held over the start: a child that dies at once is known before anybody looks.
        let mut known = known();
        let child = start()?;
        known.extend(id(&child).map(|pid| (pid, self.job)));
        Ok(child)
    }

    /// Its status has been taken; from now on the process id may be somebody else's.
    pub fn waited_for(&self, pid: Option<u32>) {
        if let Some(pid) = pid {
            known().remove(&pid);
        }
    }

    /// Becomes the parent of orphans below us, and waits for them as long as this is polled.
    pub async fn adopt_orphans(self, orphans: Orphans) {
        // A container's first process is it anyway; elsewhere nothing is left to others.
        let _ = set_child_subreaper(Some(getpid()));
        let mut ends = match signal(SignalKind::child()) {
            Ok(ends) => ends,
            Err(error) => {
                tracing::warn!("orphans are not waited for: listening for their ends: {error}");
                return;
            }
        };
        loop {
            reap(orphans);
            tokio::select! {
                biased;
                _ = ends.recv() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Kills whatever still runs below us and is of no other job: a worker that was killed could not end
    /// what it had started.
    pub async fn end_descendants(&self) {
        for _ in 0..LOOKS {
            if self.kill_descendants() {
                return;
            }
            tokio::time::sleep(LOOK_AFTER_KILL).await;
        }
    }

    /// As [`Children::end_descendants`], for a process that is about to end: nobody else runs on this
    /// thread meanwhile.
    pub fn end_descendants_blocking(&self) {
        for _ in 0..LOOKS {
            if self.kill_descendants() {
                return;
            }
            std::thread::sleep(LOOK_AFTER_KILL);
        }
    }

    /// Kills once; whether there was nobody. Who is killed may just have started somebody.
    fn kill_descendants(&self) -> bool {
        let descendants = self.descendants();
        for pid in &descendants {
            kill(*pid);
        }
        reap(Orphans::Keep);
        descendants.is_empty()
    }

    /// Whatever runs below us, at any depth, but for the children of other jobs and what is below them.
    fn descendants(&self) -> Vec<i32> {
        // Held over the look: another job's child is known before it is seen.
        let known = known();
        let processes = processes();
        let is_others =
            |pid: &i32| known.get(&pid.cast_unsigned()).is_some_and(|job| *job != self.job);
        let me = getpid().as_raw_nonzero().get();
        let mut below = BTreeSet::from([me]);
        // A parent may have a higher number than its child.
        loop {
            let found = below.len();
            let children = processes.iter().filter(|(_, (_, parent))| below.contains(parent));
            let children = children.map(|(pid, _)| *pid).filter(|pid| !is_others(pid));
            let children: Vec<i32> = children.collect();
            below.extend(children);
            if below.len() == found {
                break;
            }
        }
        let runs = |pid: &i32| processes.get(pid).is_some_and(|(state, _)| *state != 'Z');
        below.into_iter().filter(|pid| *pid != me && runs(pid)).collect()
    }
}

fn known() -> MutexGuard<'static, BTreeMap<u32, u64>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kill(pid: i32) {
    let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
}

/// Waits for every child that has ended and that nobody else waits for, and kills the orphans that
/// run, if that is what becomes of them. `waitid` would name one at a time and always the same one
/// first, also one that is not ours to take.
fn reap(orphans: Orphans) {
    // Held over the look: a child is known before it is seen.
    let known = known();
    let me = getpid().as_raw_nonzero().get();
    for (pid, (state, parent)) in processes() {
        if parent != me || known.contains_key(&pid.cast_unsigned()) {
            continue;
        }
        match state {
            'Z' => drop(waitpid(Pid::from_raw(pid), WaitOptions::NOHANG)),
            _ if orphans == Orphans::Kill => kill(pid),
            _ => (),
        }
    }
}

/// State and parent of every process there is.
fn processes() -> BTreeMap<i32, (char, i32)> {
    let mut processes = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        processes.extend(state_and_parent(&stat).map(|found| (pid, found)));
    }
    processes
}

/// From `/proc/PID/stat`; the name in it, in parentheses, may hold anything.
fn state_and_parent(stat: &str) -> Option<(char, i32)> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

/// Has the system kill the process that this command starts when the thread that starts it ends: also
/// when we are killed, and whoever would have ended it with us.
#[allow(unsafe_code)]
pub fn end_with_thread(command: &mut Command) {
    let parent = getpid();
    let ask = move || -> io::Result<()> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // We may have ended before it was asked for.
        if getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    };
    // SAFETY: between `fork` and `exec` these are two system calls, which take no lock and allocate
    // nothing, in the child as in the parent.
    unsafe {
        command.pre_exec(ask);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        assert_eq!(state_and_parent("12 (a) Z 7 (b) Z 34 1 1"), Some(('Z', 34)));
        assert_eq!(state_and_parent("12 (sh) S 1 12"), Some(('S', 1)));
        assert_eq!(state_and_parent(""), None);
        assert_eq!(state_and_parent("12 (sh) "), None);
    }
}
