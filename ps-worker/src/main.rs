//! `ps-worker`: parses and runs.

fn main() -> std::process::ExitCode {
    ps_worker::main_with(ps_worker::model::Models::built_in(), std::env::args_os())
}
