//! Numbers that Python holds, as addresses.
//!
//! The stable interface of CPython 3.9 has no buffers (they came in 3.11), and tensors of torch and arrays of NumPy both tell
//! where their numbers lie. Whoever calls (`psrun.optimizer`) has checked that they are contiguous, of this kind and on the CPU,
//! and keeps them alive for the time of the call.

#![allow(unsafe_code, reason = "memory that Python holds comes as an address")]

use pyo3::FromPyObject;

/// What may lie at an address: any bits are one.
pub(crate) trait Number: Copy {}
impl Number for f32 {}
impl Number for i64 {}

/// Contiguous numbers that Python keeps alive, and leaves alone, during a call.
#[derive(Clone, Copy, Debug, FromPyObject)]
pub(crate) struct Memory(usize, usize);

impl Memory {
    /// How many numbers there are.
    pub(crate) fn len(self) -> usize {
        self.1
    }

    /// The numbers; where there are none, whatever the address is.
    pub(crate) fn as_slice<T: Number>(&self) -> &[T] {
        let Self(address, count) = *self;
        if count == 0 || address % align_of::<T>() != 0 {
            return &[];
        }
        // SAFETY: the caller in `psrun.optimizer` holds the tensor during this call, which is contiguous and has so many
        // numbers of this kind; every pattern of bits is one.
        unsafe { std::slice::from_raw_parts(address as *const T, count) }
    }
}
