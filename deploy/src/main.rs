//! `psrun`: runs a job, or one role of it.

fn main() -> std::process::ExitCode {
    psrun::main_with(ps_worker::model::Models::built_in(), std::env::args_os())
}
