//! Work that waits for a disk, or takes long, beside calls that must go on.

use tokio::runtime::{Handle, RuntimeFlavor};

/// How much less of a busy core a thread in the background gets: about a tenth of what the others have each.
const NICER: i32 = 10;

/// Runs it without holding up other tasks; in a simulation, which has one thread and no disk, and
/// outside of a runtime, as it is.
pub fn blocking<T>(work: impl FnOnce() -> T) -> T {
    if has_threads() { tokio::task::block_in_place(work) } else { work() }
}

/// The same, and those who wait for an answer go first: on a thread of its own that takes what they leave of the cores.
pub fn in_background<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if !has_threads() {
        return work();
    }
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let nicely = || {
                // Of this thread alone, and for good, for it has no right to take it back.
                if let Err(error) = rustix::process::nice(NICER) {
                    tracing::debug!("work in the background has no lower priority: {error}");
                }
                work()
            };
            scope.spawn(nicely).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}

fn has_threads() -> bool {
    Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread)
}
