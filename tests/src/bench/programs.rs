//! The master and the server, as whole programs in processes of their own.

use super::peer::Peer;
use anyhow::Context;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

/// What `ps-master` does with this command line.
pub fn master(args: &[&str]) -> ExitCode {
    ps_master::main_with(command_line("ps-master", args))
}

/// What `ps-server` does with this command line.
pub fn server(args: &[&str]) -> ExitCode {
    ps_server::main_with(command_line("ps-server", args))
}

fn command_line(program: &str, args: &[&str]) -> Vec<OsString> {
    [program].iter().chain(args).map(OsString::from).collect()
}

/// A program that ends with this process, and the address at which it says that it listens.
pub struct Program {
    /// Its process.
    pub peer: Peer,
    /// Where it listens.
    pub address: String,
}

impl Program {
    /// Starts the program of this role: of this build, or of the `psrun` that `PS_BENCH_PSRUN` names.
    ///
    /// # Errors
    /// It does not start, or says no address.
    pub fn start(role: &str, args: &[&str]) -> anyhow::Result<Self> {
        let mut command = match std::env::var_os("PS_BENCH_PSRUN") {
            Some(psrun) => {
                let mut command = Command::new(psrun);
                command.arg(role);
                command
            }
            None => Peer::command(&[role])?,
        };
        // What it says of a job that is not there to be trained is not worth reading.
        command.args(args).args(["--listen", "127.0.0.1:0", "--log", "warn"]);
        let mut peer = Peer::spawn(command.arg("--exit-with-parent"))?;
        let line = peer.line()?;
        let address = line.split(';').find_map(|pair| pair.trim().strip_prefix("listening="));
        let address = address.with_context(|| format!("{role} says no address: {line}"))?;
        Ok(Self { address: address.to_owned(), peer })
    }
}
