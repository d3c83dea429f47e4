//! Choosing the device that a worker computes on.
//!
//! GPUs need the cargo feature `cuda`, which needs the CUDA toolkit when building; a program built
//! with it runs on machines without a GPU, too.

use std::fmt::{self, Display};
use std::path::Path;
use std::str::FromStr;

use candle_core::Device;

/// What `--device` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first GPU if the program can use one and the machine has one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The NVIDIA GPU of this number.
    Cuda(usize),
}

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// Not the name of a device.
    #[error("`{0}` is no device; expected auto, cpu or cuda:N, such as cuda:0")]
    Unknown(String),
    /// A GPU was asked for, but the program cannot use any.
    #[error(
        "device cuda:{0} was asked for, but this program was built without GPU support; build it \
         with `cargo build --release --features cuda` where the CUDA toolkit (nvcc) is installed, \
         or use --device cpu"
    )]
    NotBuiltIn(usize),
    /// The GPU cannot be used.
    #[error(
        "device cuda:{ordinal} cannot be used: {problem}; check `nvidia-smi`, and in a container \
         that it was started with its GPUs, or use --device cpu"
    )]
    Unusable {
        /// Number of the GPU.
        ordinal: usize,
        /// What the driver or its loader said.
        problem: String,
    },
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// A GPU that was asked for by number and cannot be used.
    pub fn open(self) -> Result<Device, DeviceError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(ordinal) if !cfg!(feature = "cuda") => Err(DeviceError::NotBuiltIn(ordinal)),
            Self::Cuda(ordinal) => open_gpu(ordinal),
            Self::Auto if !cfg!(feature = "cuda") || !has_driver() => Ok(Device::Cpu),
            Self::Auto => Ok(open_gpu(0).unwrap_or_else(|error| {
                tracing::warn!(%error, "computing on the CPU");
                Device::Cpu
            })),
        }
    }
}

/// Whether the NVIDIA driver is there. Asked first, because the loader of the CUDA libraries panics
/// where they are missing, which would print a frightening message for no reason.
fn has_driver() -> bool {
    ["/dev/nvidiactl", "/dev/dxg"].iter().any(|path| Path::new(path).exists())
}

fn open_gpu(ordinal: usize) -> Result<Device, DeviceError> {
    let unusable = |problem| DeviceError::Unusable { ordinal, problem };
    match std::panic::catch_unwind(|| Device::new_cuda(ordinal)) {
        Ok(Ok(device)) => Ok(device),
        Ok(Err(error)) => Err(unusable(error.to_string())),
        Err(_) => Err(unusable("the CUDA libraries could not be loaded".to_owned())),
    }
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

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_gpu_that_is_not_built_in_is_refused_and_auto_takes_the_cpu() {
        let error = DeviceChoice::Cuda(1).open().unwrap_err();
        assert_eq!(error, DeviceError::NotBuiltIn(1));
        assert!(error.to_string().contains("--features cuda"), "{error}");
        assert!(DeviceChoice::Auto.open().unwrap().is_cpu());
    }
}
