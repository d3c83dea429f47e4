//! Locking for whoever shares the books of a run.

use std::sync::{Mutex, MutexGuard};

/// Locks a mutex that a panicking test may have poisoned.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
