//! `psrun`: runs a job, or one role of it.

/// Frames of HTTP/2 come and go a thousand times a second and between threads, which costs the C
/// library's allocator a quarter of an exchange over a local socket (docs/adr/0010-connections.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    psrun::main_with(ps_worker::model::Models::built_in(), std::env::args_os())
}
