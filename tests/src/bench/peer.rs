//! A process of this benchmark: told what to do on its standard input, answers on its output.

use super::usage;
use anyhow::{Context, bail};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A child that is killed when this is dropped.
pub struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts this program in another role.
    ///
    /// # Errors
    /// The system refuses.
    pub fn start(role: &[&str]) -> anyhow::Result<Self> {
        Self::spawn(&mut Self::command(role)?)
    }

    /// Starts it in a network namespace.
    ///
    /// # Errors
    /// The system refuses.
    pub fn start_in(namespace: &str, role: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(std::env::current_exe()?);
        Self::spawn(command.arg("role").args(role))
    }

    /// How this program is started in another role.
    ///
    /// # Errors
    /// This program's file is unknown.
    pub fn command(role: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("role").args(role);
        Ok(command)
    }

    /// Starts a process.
    ///
    /// # Errors
    /// The system refuses.
    pub fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("starting a peer")?;
        let input = child.stdin.take().context("no input")?;
        let output = BufReader::new(child.stdout.take().context("no output")?);
        Ok(Self { child, input, output })
    }

    /// What it says next.
    ///
    /// # Errors
    /// It ended.
    pub fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("a peer ended: see its message above");
        }
        Ok(line.trim_end().to_owned())
    }

    /// Tells it to do something; the answer is its next line.
    ///
    /// # Errors
    /// It ended.
    pub fn tell(&mut self, words: &str) -> anyhow::Result<()> {
        writeln!(self.input, "{words}").context("a peer is gone")
    }

    /// CPU seconds that it used.
    ///
    /// # Errors
    /// It is gone.
    pub fn cpu_s(&self) -> anyhow::Result<f64> {
        usage::cpu_s(self.child.id())
    }

    /// The most memory that it had at once.
    ///
    /// # Errors
    /// It is gone.
    pub fn memory_peak_bytes(&self) -> anyhow::Result<u64> {
        usage::memory_peak_bytes(self.child.id())
    }
}

impl Peer {
    /// The memory that it has; from now on that is the most that it had at once.
    ///
    /// # Errors
    /// It is gone.
    pub fn reset_memory_peak(&self) -> anyhow::Result<u64> {
        usage::reset_memory_peak(self.child.id())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
