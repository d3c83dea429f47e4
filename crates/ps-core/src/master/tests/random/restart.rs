//! A master that dies, and another process that goes on with what it had written down.

use super::super::super::*;
use super::super::harness::*;
use super::{PASSES, SERVERS, WORKERS, World};

impl World {
    /// What was written down is everything; the process that goes on with it does so where this one was.
    pub(super) fn restart(&mut self, is_complete: bool) {
        let (machine, now) = (&self.job.machine, self.job.now);
        let given = config(SERVERS, WORKERS, PASSES);
        let saved = SavedJob { job: "job".to_owned(), given, now, unix_ms: 0, machine };
        let found = SavedJob::decode(&saved.encode().unwrap()).unwrap();
        let words = format!("{machine:?}").replace("has_news: true", "has_news: false");
        assert_eq!(format!("{:?}", found.machine), words);
        self.job.machine = found.machine;
        let writing = self.writing.take();
        self.has_failed |= writing.is_some() && !is_complete;
        if let Some(writing) = writing.filter(|_| is_complete) {
            self.has_failed = false;
            self.complete = Some(writing);
        }
        self.job.machine.come_back(|_| is_complete, Duration::ZERO, now);
        self.job.obey();
    }
}
