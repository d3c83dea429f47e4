//! `ps-server`: parses and runs.

/// Frames of HTTP/2 come and go a thousand times a second and between threads, which costs the C
/// library's allocator a quarter of an exchange over a local socket (docs/adr/0010-connections.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    ps_server::main_with(std::env::args_os())
}
