//! Choosing the device that a worker computes on.
//!
//! GPUs need the cargo feature `cuda`. `deploy/gpu/build` makes a program with it, which runs on
//! machines without a GPU or its driver, too.

use crate::place::Place;
use std::fmt::{self, Display};
use std::panic::{self, UnwindSafe};
use std::path::Path;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

pub use candle_core::Device;
use candle_core::{DType, Tensor};

/// What `--device` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU if the program can use one and the machine has one, else the CPU: the first, or of several workers of a
    /// machine each its own.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The NVIDIA GPU of this number.
    Cuda(usize),
}

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum DeviceError {
    /// Not the name of a device.
    #[error("`{0}` is no device; expected auto, cpu or cuda:N, such as cuda:0")]
    Unknown(String),
    /// A GPU was asked for, but the program cannot use any.
    #[error(
        "device cuda:{0} was asked for, but this program was built without GPU support; build it \
         with deploy/gpu/build, or use --device cpu"
    )]
    NotBuiltIn(usize),
    /// The GPU cannot be used.
    #[error(
        "device cuda:{ordinal} cannot be used: {problem}; check `nvidia-smi`, that LD_LIBRARY_PATH \
         has the CUDA libraries, and in a container that it was started with its GPUs; or use \
         --device cpu"
    )]
    Unusable { ordinal: usize, problem: String },
}

impl DeviceChoice {
    /// Opens the device, and logs which one it is where there was a choice.
    ///
    /// # Errors
    /// A GPU that was asked for by number and cannot be used.
    pub fn open(self) -> Result<Device, DeviceError> {
        self.open_at(Place::default())
    }

    /// As [`DeviceChoice::open`], for one of several workers of a machine.
    ///
    /// # Errors
    /// A GPU that was asked for by number and cannot be used.
    pub fn open_at(self, place: Place) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(ordinal) if !cfg!(feature = "cuda") => Err(DeviceError::NotBuiltIn(ordinal)),
            Self::Cuda(ordinal) => open_gpu(ordinal),
            Self::Auto if !cfg!(feature = "cuda") => Ok(Device::Cpu),
            Self::Auto if !has_driver() => {
                tracing::info!("computing on the CPU: this machine has no NVIDIA driver");
                Ok(Device::Cpu)
            }
            Self::Auto => Ok(open_gpu(place.gpu(visible_gpus())).unwrap_or_else(|error| {
                tracing::warn!(%error, "computing on the CPU");
                Device::Cpu
            })),
        }
    }
}

/// Whether this program can compute on a GPU at all.
pub fn has_gpu_support() -> bool {
    cfg!(feature = "cuda")
}

/// The NVIDIA GPUs that a program here may use: the devices of the machine, or of the container, as far as
/// `CUDA_VISIBLE_DEVICES` leaves them. Not asked of the driver, which a program without GPU support does not load.
pub fn visible_gpus() -> u32 {
    let names = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let allowed = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    gpus_among(names, allowed.as_deref())
}

/// `nvidia0`, `nvidia1`, ..; a container may have any of them.
fn gpus_among(devices: impl Iterator<Item = String>, allowed: Option<&str>) -> u32 {
    let is_gpu = |name: &String| {
        let number = name.strip_prefix("nvidia").unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let there = devices.filter(is_gpu).count();
    let usable = match allowed {
        // As CUDA reads it: up to the first that is none; a GPU may be cut into several.
        Some(list) => {
            let named = list.split(',').map(str::trim);
            let named = named.take_while(|name| !name.is_empty() && !name.starts_with('-')).count();
            if list.contains("MIG") { named } else { named.min(there) }
        }
        None => there,
    };
    u32::try_from(usable).unwrap_or(u32::MAX)
}

/// Whether the NVIDIA driver is there. Where it is not, there is nothing to warn of.
fn has_driver() -> bool {
    ["/dev/nvidiactl", "/dev/dxg"].iter().any(|path| Path::new(path).exists())
}

/// Opens a GPU with a stream of its own: candle's default one is another on each thread, and a step
/// runs on whichever thread is free.
fn open_gpu(ordinal: usize) -> Result<Device, DeviceError> {
    let unusable = |problem| DeviceError::Unusable { ordinal, problem };
    let device = without_panic(|| {
        let device = Device::new_cuda_with_stream(ordinal)?;
        // A driver that is older than the kernels, or a GPU that is, shows only when one is run.
        let tried = Tensor::zeros(1, DType::F32, &device)?.affine(1.0, 2.0)?.to_vec1::<f32>()?;
        if tried == [2.0] { Ok(device) } else { candle_core::bail!("0 + 2 came out as {tried:?}") }
    });
    let device = device.map_err(unusable)?.map_err(|error| unusable(error.to_string()))?;
    tracing::info!("computing on the GPU cuda:{ordinal}");
    Ok(device)
}

/// What the loader of the CUDA libraries says where one is missing: it panics, which by itself would
/// print a frightening message.
fn without_panic<T>(open: impl FnOnce() -> T + UnwindSafe) -> Result<T, String> {
    /// The hook is the whole process's.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let opened = panic::catch_unwind(open);
    panic::set_hook(hook);
    opened.map_err(|panicked| {
        let constant = panicked.downcast_ref::<&str>().copied();
        let message = panicked.downcast_ref::<String>().map(String::as_str).or(constant);
        let message = message.unwrap_or("the CUDA libraries could not be loaded");
        // The thirty names that it has tried help nobody.
        message.split(" - searched").next().unwrap_or(message).to_owned()
    })
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|ordinal| ordinal.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| DeviceError::Unknown(text.to_owned())),
        }
    }
}

impl Display for DeviceChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::Cpu => formatter.write_str("cpu"),
            Self::Cuda(ordinal) => write!(formatter, "cuda:{ordinal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for name in ["auto", "cpu", "cuda:0", "cuda:7"] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        for name in ["", "gpu", "cuda", "cuda:", "cuda:-1", "CPU"] {
            let error = name.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(error.contains("auto, cpu or cuda:N"), "{error}");
        }
    }

    #[test]
    fn what_a_loader_panics_with_is_an_error() {
        let error = without_panic(|| panic!("no \"{}\" - searched for: a, b", "cublas"));
        assert_eq!(error.map(|(): ()| ()).unwrap_err(), "no \"cublas\"");
        assert_eq!(without_panic(|| 1), Ok(1));
    }

    #[test]
    fn gpus_are_counted_as_cuda_sees_them() {
        let devices =
            ["nvidia0", "nvidia1", "nvidia3", "nvidiactl", "nvidia-uvm", "nvidia", "tty0"];
        let count = |allowed| gpus_among(devices.iter().map(|it| (*it).to_owned()), allowed);
        assert_eq!(count(None), 3);
        for (allowed, expected) in
            [("0,1", 2), ("", 0), ("-1", 0), ("0,-1,1", 1), ("0,1,2,3,4", 3), ("GPU-8932f937", 1)]
        {
            assert_eq!(count(Some(allowed)), expected, "{allowed}");
        }
        assert_eq!(count(Some("MIG-a,MIG-b,MIG-c,MIG-d")), 4);
        assert_eq!(gpus_among(std::iter::empty(), None), 0);
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_gpu_that_is_not_built_in_is_refused_and_auto_takes_the_cpu() {
        let error = DeviceChoice::Cuda(1).open().unwrap_err();
        assert_eq!(error, DeviceError::NotBuiltIn(1));
        assert!(error.to_string().contains("deploy/gpu/build"), "{error}");
        assert!(DeviceChoice::Auto.open().unwrap().is_cpu());
    }
}
