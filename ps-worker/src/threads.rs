//! How many threads candle computes with.
//!
//! Candle has two pools, and both take their size from the environment when they are first used.
//! Rayon's (`RAYON_NUM_THREADS`) does the matrix products. A second one (`CANDLE_NUM_THREADS`) does
//! the element-wise operations, and its threads spin while they wait: on a core that something else
//! needs too, as on every machine that also runs a server, that makes training several times
//! slower. So the second pool gets one thread, which is none beside the caller, and the first gets
//! the cores that the worker may use.
//!
//! Changing the environment of a running process is not safe, so there are two ways: whoever starts
//! a worker passes [`environment`] to it, or the program calls [`configure_threads`] first thing in
//! `main`, which replaces the process by itself with the right environment if it has another.

use std::ffi::OsString;
use std::io;
use std::process::Command;

use candle_core::Device;

/// Set by [`configure_threads`] to the process id, which starting over does not change, so that it
/// never starts the program a third time; a child process that inherits it has another id.
const MARKER: &str = "PS_THREADS_SET";

/// Cores for each of so many workers of this machine: more threads than cores in all make every
/// worker slower, not faster.
pub fn fair_share(workers: u32) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = usize::try_from(workers).unwrap_or(usize::MAX);
    (cores / workers.max(1)).max(1)
}

/// The environment for a worker that computes with this many threads.
pub fn environment(threads: usize) -> [(&'static str, String); 2] {
    [("RAYON_NUM_THREADS", threads.max(1).to_string()), ("CANDLE_NUM_THREADS", "1".to_owned())]
}

/// Makes this process compute with this many threads.
///
/// Must be called before anything else is done, as the program may be started over in the same
/// process: it then has the same process id, arguments and open streams. Does nothing if the
/// environment is right already.
///
/// # Errors
/// The program could not be started over; or the system has no way to do it.
pub fn configure_threads(threads: usize) -> io::Result<()> {
    let wanted = environment(threads);
    let is_set = |(name, value): &(&str, String)| {
        std::env::var_os(name).is_some_and(|held| held == OsString::from(value))
    };
    if wanted.iter().all(is_set) {
        return Ok(());
    }
    let process = std::process::id().to_string();
    if std::env::var(MARKER).is_ok_and(|held| held == process) {
        return Err(io::Error::other(format!(
            "the environment for {threads} threads did not survive starting over; set {wanted:?} \
             before starting the program"
        )));
    }
    let mut again = Command::new(std::env::current_exe()?);
    again.args(std::env::args_os().skip(1)).envs(wanted).env(MARKER, process);
    start_over(again)
}

#[cfg(unix)]
fn start_over(mut again: Command) -> io::Result<()> {
    use std::os::unix::process::CommandExt;

    // The name it was called by decides what some programs do.
    if let Some(name) = std::env::args_os().next() {
        again.arg0(name);
    }
    // Comes back only if it failed.
    Err(again.exec())
}

#[cfg(not(unix))]
fn start_over(again: Command) -> io::Result<()> {
    let wanted: Vec<_> = again.get_envs().collect();
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        format!("threads can be set only before the program starts; set {wanted:?}"),
    ))
}

/// Runs a computation where it finds its threads.
///
/// With several threads that is inside candle's own pool, where the parts of a product need not be
/// handed from thread to thread; with one thread it is right here.
pub(crate) fn run<R: Send>(device: &Device, compute: impl FnOnce() -> R + Send) -> R {
    if candle_core::utils::get_num_threads() == 1 {
        return compute();
    }
    // The other thread must make its layers of the same.
    let is_composed = ps_nn::is_composed();
    device.with_context(|| ps_nn::composed_if(is_composed, compute))
}
