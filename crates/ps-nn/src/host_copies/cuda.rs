//! Copies from an NVIDIA GPU: on a stream of their own, into memory that is locked into place, without
//! which a copy would wait for the computation.

// Locked memory comes unset from the one function that makes it, and a part of it is written to by
// way of another.
#![allow(unsafe_code)]

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::sys::CUevent_flags::CU_EVENT_BLOCKING_SYNC;
use candle_core::cuda_backend::cudarc::driver::{
    CudaEvent, CudaStream, HostSlice, PinnedHostSlice,
};
use candle_core::{Result, Storage, Tensor};
use std::sync::Arc;

/// Starts copies, and keeps what they need for the next step.
#[derive(Default)]
pub(super) struct CopyEngine {
    stream: Option<Arc<CudaStream>>,
    /// By the parameter's position: making one takes the driver longer than a copy.
    pinned: Vec<Option<PinnedHostSlice<f32>>>,
}

/// A copy that was started.
pub(super) struct PendingCopy {
    position: usize,
    /// Held until it is copied: the computation would wait for the copy before it used its memory
    /// for something else.
    gradient: Tensor,
    pinned: PinnedHostSlice<f32>,
    copied: CudaEvent,
}

impl CopyEngine {
    pub(super) fn start(&mut self, position: usize, gradient: Tensor) -> Result<PendingCopy> {
        let gradient = gradient.contiguous()?;
        let (storage, layout) = gradient.storage_and_layout();
        let (Storage::Cuda(on_device), Some((start, end))) =
            (&*storage, layout.contiguous_offsets())
        else {
            candle_core::bail!("a gradient on {:?}, expected a CUDA device", gradient.device());
        };
        let computing = on_device.device().cuda_stream();
        let stream = match &self.stream {
            Some(stream) => stream.clone(),
            None => self.stream.insert(computing.fork().w()?).clone(),
        };
        let mut pinned = self.pinned(&stream, position, end - start)?;
        // After everything that the computation has been given so far: the gradient is the last of it.
        stream.join(&computing).w()?;
        let values = on_device.as_cuda_slice::<f32>()?.slice(start..end);
        {
            // SAFETY: the slice is used on this stream alone; dropping what comes with it marks the
            // buffer as in use until the copy is done.
            let (whole, _in_use) = unsafe { pinned.stream_synced_mut_slice(&stream) };
            // A copy is as long as what it is written to.
            stream.memcpy_dtoh(&values, &mut whole[..end - start]).w()?;
        }
        let copied = stream.record_event(Some(CU_EVENT_BLOCKING_SYNC)).w()?;
        drop(storage);
        Ok(PendingCopy { position, gradient, pinned, copied })
    }

    /// Waits for a copy.
    pub(super) fn finish(
        &mut self,
        copy: PendingCopy,
        buffer: impl FnOnce(usize) -> Vec<f32>,
    ) -> Result<(usize, Vec<f32>)> {
        let PendingCopy { position, gradient, pinned, copied } = copy;
        copied.synchronize().w()?;
        let mut values = buffer(gradient.elem_count());
        values.copy_from_slice(&pinned.as_slice().w()?[..gradient.elem_count()]);
        self.pinned[position] = Some(pinned);
        Ok((position, values))
    }

    /// A buffer of at least this length. A table's gradient has other rows in each step, so there is
    /// some room above.
    fn pinned(
        &mut self,
        stream: &CudaStream,
        position: usize,
        length: usize,
    ) -> Result<PinnedHostSlice<f32>> {
        if self.pinned.len() <= position {
            self.pinned.resize_with(position + 1, || None);
        }
        match self.pinned[position].take() {
            Some(held) if held.len() >= length => Ok(held),
            held => {
                let capacity = if held.is_some() { length.next_power_of_two() } else { length };
                // SAFETY: what is read of it was written by a copy before. No flags: the processor
                // reads it, which from write-combined memory, cudarc's default, is very slow.
                unsafe { stream.context().alloc_pinned_with_flags(capacity.max(1), 0) }.w()
            }
        }
    }
}

impl PendingCopy {
    pub(super) fn is_complete(&self) -> Result<bool> {
        self.copied.try_is_complete().w()
    }
}

#[cfg(test)]
mod tests {
    use super::super::HostCopies;
    use candle_core::Tensor;

    /// On a machine without a GPU this says so and passes.
    #[test]
    fn copies_arrive_whole_and_in_order_also_in_buffers_that_were_used_before() {
        if !std::path::Path::new("/dev/nvidiactl").exists() {
            eprintln!("skipped: this machine has no NVIDIA driver");
            return;
        }
        let device = candle_core::Device::new_cuda(0).unwrap();
        let mut host_copies = HostCopies::default();
        // The second position grows, shrinks and grows again, as a table's rows do.
        for (step, rows) in [3, 5, 2, 700, 699].into_iter().enumerate() {
            let lengths = [1_000, rows * 16, 1];
            let value = |position: usize, place| (step * 10_000 + position * 3_000 + place) as f32;
            for (position, length) in lengths.into_iter().enumerate() {
                let values: Vec<f32> = (0..length).map(|place| value(position, place)).collect();
                let tensor = Tensor::from_vec(values, length, &device).unwrap();
                host_copies.start(position, tensor).unwrap();
            }
            for (expected, length) in lengths.into_iter().enumerate() {
                let arrived = host_copies.arrived(|length| vec![0.0; length]).unwrap();
                let (position, values) = match arrived {
                    Some(arrived) => arrived,
                    None => host_copies.next(|length| vec![0.0; length]).unwrap().unwrap(),
                };
                assert_eq!((position, values.len()), (expected, length));
                let right = values.iter().enumerate().all(|(n, v)| *v == value(position, n));
                assert!(right, "step {step}, position {position}");
            }
            assert!(host_copies.next(|length| vec![0.0; length]).unwrap().is_none());
        }
    }
}
