//! `psrun`: runs a job, or one role of it.

fn main() -> std::process::ExitCode {
    psrun::main_with(psrun::roles::Models::builtin(), std::env::args_os())
}
