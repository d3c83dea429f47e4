//! `ps-master`: parses and runs.

fn main() -> std::process::ExitCode {
    ps_master::main_with(std::env::args_os())
}
