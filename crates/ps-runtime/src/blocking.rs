//! Work that waits for a disk, or takes long, beside calls that must go on.

/// Runs it without holding up other tasks; in a simulation, which has one thread and no disk, and
/// outside of a runtime, as it is.
pub fn blocking<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
