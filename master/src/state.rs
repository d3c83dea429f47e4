//! The master's state on a disk: whoever is started after this process died goes on with it.

use crate::error::Error;
use ps_core::master::{Config, Machine, SavedJob};
use ps_runtime::blocking;
use ps_runtime::clock::Clock;
use ps_runtime::files::Files;
use std::io;
use std::path::Path;
use std::time::Duration;

/// The file of the state.
pub const STATE_FILE: &str = "master-state";

/// The file of the state as it was before the job began to end, while that ends before it is done: whoever starts the job again goes
/// on from there.
pub const BEFORE_END_FILE: &str = "master-state-before-end";

/// A state has room for so many times as much as it takes, and some more.
const ROOM_TIMES: u64 = 2;
const ROOM_MORE_BYTES: u64 = 64 * 1024;

/// Whether a master has left its state in this folder.
pub(crate) fn is_in(folder: &Path) -> bool {
    [STATE_FILE, BEFORE_END_FILE].iter().any(|name| folder.join(name).exists())
}

/// Where the state is kept, and of which job.
pub(crate) struct StateFile {
    files: Files,
    job: String,
    /// What this job's master was told at its first start.
    given: Config,
    clock: Clock,
    /// Whether the newest state is not there.
    is_behind: bool,
    /// The newest that was written before the job began to end.
    before_end: Vec<u8>,
    /// Whether an earlier end has left what was before it.
    has_earlier_end: bool,
    /// Whether what was before this end is there.
    has_before_end: bool,
}

impl StateFile {
    /// What a master before this one has left, if it died, or led a job to its end that was not done: who goes on in its place
    /// (`in_place`) goes on with the end, too.
    ///
    /// # Errors
    /// It cannot be read, or is of another job.
    pub(crate) fn find(
        files: &Files,
        (job, given): (&str, &Config),
        in_place: bool,
    ) -> Result<Option<SavedJob>, Error> {
        let names = files.list().map_err(Error::StateFile)?;
        let is_there = |name: &&str| names.iter().any(|it| it == name);
        let before_end = Some(BEFORE_END_FILE).filter(|name| !in_place && is_there(name));
        let Some(name) = before_end.or(Some(STATE_FILE).filter(is_there)) else { return Ok(None) };
        let bytes = files.read(name).map_err(Error::StateFile)?;
        let saved = SavedJob::decode(&bytes).and_then(|saved| {
            saved.check(job, given)?;
            Ok(saved)
        });
        let location = format!("{}/{name}", files.location());
        let saved = saved.map(|mut saved| {
            if before_end.is_some() {
                saved.machine.take_back_end();
            }
            saved
        });
        saved.map(Some).map_err(|error| Error::State { location, error })
    }

    /// The state is kept here from now on.
    pub(crate) fn new(files: Files, job: &str, given: Config, clock: Clock) -> Self {
        let names = files.list().unwrap_or_default();
        let has_earlier_end = names.iter().any(|name| name == BEFORE_END_FILE);
        let (job, before_end) = (job.to_owned(), Vec::new());
        let (is_behind, has_before_end) = (false, false);
        Self { files, job, given, clock, is_behind, before_end, has_earlier_end, has_before_end }
    }

    /// Writes down what is true from now on.
    pub(crate) fn write(&mut self, machine: &Machine) {
        let is_ending = machine.ends_undone();
        let before_end = std::mem::take(&mut self.before_end);
        if is_ending && !before_end.is_empty() {
            let written = blocking(|| self.files.rewrite(BEFORE_END_FILE, &before_end));
            self.has_before_end = written.is_ok();
            if let Err(error) = written {
                tracing::error!("nobody can go on with this job later: {error}");
            }
        }
        let (now, unix_ms) = (self.clock.now(), self.clock.unix_ms());
        let (job, given) = (self.job.clone(), self.given.clone());
        let bytes = SavedJob { job, given, now, unix_ms, machine }.encode();
        let written = bytes.map_err(io::Error::other).and_then(|bytes| {
            blocking(|| self.files.rewrite(STATE_FILE, &bytes))?;
            self.reserve(bytes.len() as u64);
            self.before_end = if is_ending { Vec::new() } else { bytes };
            Ok(())
        });
        if written.is_ok() && !is_ending && std::mem::take(&mut self.has_earlier_end) {
            self.remove_named(BEFORE_END_FILE);
        }
        let was_behind = std::mem::replace(&mut self.is_behind, written.is_err());
        match written {
            Ok(()) if was_behind => tracing::info!("the master's state is on the disk again"),
            Ok(()) => (),
            Err(error) => {
                if !was_behind {
                    tracing::error!(
                        "the master's state cannot be written: {error}; the job goes on, and ends with the master \
                         should that die before there is room again"
                    );
                }
                // An older one would be mistaken for the newest.
                self.remove();
            }
        }
    }

    /// Where a disk becomes full, who goes on with the job is what it needs most.
    fn reserve(&self, bytes: u64) {
        for name in [STATE_FILE, BEFORE_END_FILE] {
            let room = ROOM_TIMES * bytes + ROOM_MORE_BYTES;
            if let Err(error) = blocking(|| self.files.reserve(name, room)) {
                tracing::debug!("the master's state: {error}");
            }
        }
    }

    /// Whether somebody can go on with what is written down.
    pub(crate) fn lasts(&self) -> bool {
        self.has_before_end || !self.is_behind
    }

    /// Nobody goes on from here.
    pub(crate) fn remove(&self) {
        self.remove_named(STATE_FILE);
    }

    /// Nobody goes on from before the job's end.
    pub(crate) fn remove_before_end(&self) {
        self.remove_named(BEFORE_END_FILE);
    }

    fn remove_named(&self, name: &str) {
        if let Err(error) = blocking(|| self.files.remove(name)) {
            tracing::warn!("the master's state is of no use any more, and stays: {error}");
        }
    }
}

/// For how long there was no master, by clocks that may jump.
pub(crate) fn away(saved: &SavedJob, clock: &Clock) -> Duration {
    Duration::from_millis(clock.unix_ms().saturating_sub(saved.unix_ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ps_core::settings::TrainingSettings;
    use ps_runtime::SystemClock;
    use ps_runtime::files::SimulatedDisk;
    use std::sync::Arc;

    /// Each bit, and one byte less or more: a master refuses what it finds, with the file's name.
    #[test]
    fn every_flipped_bit_of_the_state_is_found_and_the_file_named() {
        let files: Files = Arc::new(SimulatedDisk::default());
        let given = crate::Config::new("job", 2, 3, TrainingSettings::default()).machine;
        let machine = Machine::new(given.clone(), 5, Duration::ZERO);
        let clock = SystemClock::start();
        StateFile::new(files.clone(), "job", given.clone(), clock).write(&machine);
        let whole = files.read(STATE_FILE).unwrap();
        assert!(StateFile::find(&files, ("job", &given), false).unwrap().is_some());
        let expect_named = |bytes: &[u8], what: &str| {
            files.write(STATE_FILE, bytes).unwrap();
            let error = StateFile::find(&files, ("job", &given), false).unwrap_err().to_string();
            assert!(error.contains(STATE_FILE), "{what}: {error}");
        };
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            expect_named(&flipped, &format!("bit {bit}"));
        }
        expect_named(&whole[..whole.len() - 1], "cut");
        expect_named(&[&whole[..], &[1]].concat(), "continued");
        // Of a longer one that was there before.
        files.write(STATE_FILE, &[&whole[..], &[0; 9]].concat()).unwrap();
        assert!(StateFile::find(&files, ("job", &given), false).unwrap().is_some());
    }
}
