//! One binary is every role: `psrun ps-server ...` is `ps-server ...`.

use crate::name::Role;
use clap::{Args, Command, CommandFactory};
use ps_worker::config::{CallTimeoutArgs, ModelArgs};
use std::ffi::OsString;
use std::process::ExitCode;

/// The role that a command line asks for, with the role's own command line.
pub fn named(args: &[OsString]) -> Option<(Role, Vec<OsString>)> {
    let (program, rest) = args.split_first()?;
    let (command, rest) = rest.split_first()?;
    let role = match command.to_str()? {
        "ps-master" => Role::Master,
        "ps-server" => Role::Server,
        "ps-worker" => Role::Worker,
        _ => return None,
    };
    // As its help is to name it: `psrun ps-server`.
    let mut name = program.clone();
    name.push(" ");
    name.push(command);
    let mut own = vec![name];
    own.extend_from_slice(rest);
    Some((role, own))
}

impl Role {
    /// The options of this role that a job may set for all of its processes.
    pub(crate) fn job_options(self) -> Command {
        match self {
            Role::Master => ps_master::config::Args::command(),
            Role::Server => ps_server::config::Args::command(),
            // The master says how to train.
            Role::Worker | Role::Evaluator => {
                let model = ModelArgs::augment_args(Command::new(self.command()));
                CallTimeoutArgs::augment_args(model)
            }
        }
    }

    /// The whole program of this role.
    pub fn main_with(self, models: ps_worker::model::Models, args: Vec<OsString>) -> ExitCode {
        match self {
            Role::Master => ps_master::main_with(args),
            Role::Server => ps_server::main_with(args),
            Role::Worker | Role::Evaluator => ps_worker::main_with(models, args),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn a_role_gets_its_own_command_line() {
        let (role, own) = named(&words("/bin/psrun ps-server --shard 0")).unwrap();
        assert_eq!(role, Role::Server);
        assert_eq!(own, ["/bin/psrun ps-server", "--shard", "0"].map(OsString::from));
        let help =
            ps_server::config::Args::command().try_get_matches_from([&own[0], &"--help".into()]);
        assert!(help.unwrap_err().to_string().contains("Usage: psrun ps-server "));
    }

    #[test]
    fn other_commands_are_psruns() {
        assert!(named(&words("psrun local --out ps-server")).is_none());
        assert!(named(&words("psrun")).is_none());
    }
}
