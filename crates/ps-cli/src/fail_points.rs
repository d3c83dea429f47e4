//! `PS_FAIL_POINT`: this process kills itself at one of its durable steps. For tests of what it leaves behind, which is why no
//! help names it (docs/adr/0041-fail-points.md).

use anyhow::Context;
use ps_runtime::files::{AtDurableSteps, DurableStep, DurableSteps, FailPoint, Files};
use rustix::process::{Signal, getpid, kill_process};
use std::io;

/// The variable: a [`FailPoint`], or [`TRACE`].
pub const VARIABLE: &str = "PS_FAIL_POINT";

/// Instead of a point: each step is said on standard error, and nobody dies.
pub const TRACE: &str = "trace";

/// Where this process dies, if the variable is set.
#[derive(Clone, Default)]
pub struct FailPoints(Option<DurableSteps>);

impl FailPoints {
    /// What the environment of this process says; it is said aloud where that is anything.
    ///
    /// # Errors
    /// It says something that is no point.
    pub fn of_process() -> anyhow::Result<Self> {
        let said = std::env::var(VARIABLE).unwrap_or_default();
        if said.is_empty() {
            return Ok(Self::default());
        }
        let point: Option<FailPoint> = match said.as_str() {
            TRACE => None,
            text => Some(text.parse().with_context(|| format!("reading {VARIABLE}"))?),
        };
        tracing::warn!(
            "{VARIABLE}={said}: this process is a test's, and kills itself there; unset it for any other use"
        );
        Ok(Self(Some(DurableSteps::new(point, Process { is_traced: point.is_none() }))))
    }

    /// These files, with the points in them: the same files, where there are none.
    pub fn watch(&self, files: Files) -> Files {
        match &self.0 {
            Some(steps) => steps.watch(files),
            None => files,
        }
    }
}

/// This process.
struct Process {
    is_traced: bool,
}

impl AtDurableSteps for Process {
    fn begins(&self, step: DurableStep, name: &str) {
        if self.is_traced {
            tracing::info!("durable step: {} {name}", step.word());
        }
    }

    /// As `kill -9` does: nothing unwinds, nothing is flushed.
    fn dies(&self, at: &str) -> io::Error {
        tracing::error!("{VARIABLE}: dying {at}");
        let _ = kill_process(getpid(), Signal::KILL);
        std::process::abort()
    }

    /// Found by a run of many: a master that heard of an error on one thread, while another one was killing it, spoke of what it
    /// had not written down.
    fn is_dying(&self) -> io::Error {
        loop {
            std::thread::park();
        }
    }
}
