//! Memory without a file: filled by one process, read by others of the machine, and gone with the last of them.

// Other processes' memory is not what the language knows of; the seals make it what a slice must be.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use memmap2::Mmap;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};

/// Nobody, whoever opens it, can change what is there.
const SEALS: SealFlags = SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW);

/// Memory that can be written like a file.
///
/// # Errors
/// The system has none of this kind.
pub(super) fn create() -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    Ok(File::from(memfd_create("samples", flags)?))
}

/// Nothing of it changes from here on.
///
/// # Errors
/// The system refuses.
pub(super) fn seal(memory: &File) -> io::Result<()> {
    Ok(fcntl_add_seals(memory.as_fd(), SEALS | SealFlags::SEAL)?)
}

/// Such memory of another process, by its path.
///
/// # Errors
/// There is none, or it may still change.
pub(super) fn open(path: &Path) -> io::Result<Mmap> {
    let file = File::open(path)?;
    if !fcntl_get_seals(file.as_fd())?.contains(SEALS) {
        return Err(io::Error::other("it may still change, expected sealed memory"));
    }
    // SAFETY: sealed, so nobody can change or shorten it while the slice lives.
    unsafe { Mmap::map(&file) }
}
