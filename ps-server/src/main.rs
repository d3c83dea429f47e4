//! `ps-server`: parses and runs.

fn main() -> std::process::ExitCode {
    ps_server::main_with(std::env::args_os())
}
