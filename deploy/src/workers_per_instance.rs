//! How many workers an instance has, and what each has of its cores and GPUs.

use clap::Args;
use ps_core::limits::WORKERS_MAX;
use ps_worker::device::{self, DeviceChoice};
use std::fmt;
use std::str::FromStr;

/// What `--workers-per-instance` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkersPerInstance {
    /// One for each GPU, else one.
    Auto,
    /// So many.
    Count(u32),
}

/// The option.
#[derive(Args, Clone, Copy, Debug)]
pub struct WorkersPerInstanceArgs {
    /// Workers of each instance that has any: a number, or auto for one a GPU, else one. They share out its cores, and
    /// with --device auto worker k takes GPU k.
    #[arg(long, env = "PS_WORKERS_PER_INSTANCE", default_value = "1", value_name = "K|auto")]
    pub workers_per_instance: WorkersPerInstance,
}

impl FromStr for WorkersPerInstance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let count = text.parse().ok().filter(|count| (1..=WORKERS_MAX).contains(count));
        let count =
            count.ok_or_else(|| format!("expected auto or a number from 1 to {WORKERS_MAX}"));
        count.map(Self::Count)
    }
}

impl fmt::Display for WorkersPerInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Count(count) => count.fmt(f),
        }
    }
}

impl WorkersPerInstance {
    /// How many that is on an instance with so many GPUs.
    pub fn count(self, gpus: u32) -> u32 {
        match self {
            Self::Auto => gpus.max(1),
            Self::Count(count) => count,
        }
    }
}

/// The GPUs that workers here can use: those of the machine, unless neither this program nor one of the user's takes any.
pub fn usable_gpus(device: DeviceChoice, has_program: bool) -> u32 {
    match device {
        DeviceChoice::Auto if device::has_gpu_support() || has_program => device::visible_gpus(),
        _ => 0,
    }
}

/// Workers of a job on one machine, whose instances share its GPUs as they share its cores.
pub fn local_workers(instances: u32, each: WorkersPerInstance, gpus: u32) -> u32 {
    let with_workers = instances.saturating_sub(1).max(1);
    with_workers.saturating_mul(each.count(gpus / with_workers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_and_auto_are_read() {
        for text in ["auto", "1", "8"] {
            assert_eq!(text.parse::<WorkersPerInstance>().unwrap().to_string(), text);
        }
        for text in ["", "0", "-1", "all", "1.5", "1000000"] {
            let error = text.parse::<WorkersPerInstance>().unwrap_err();
            assert!(error.contains("auto or a number"), "{error}");
        }
    }

    #[test]
    fn auto_is_one_a_gpu_else_one() {
        let auto = WorkersPerInstance::Auto;
        assert_eq!([0, 1, 8].map(|gpus| auto.count(gpus)), [1, 1, 8]);
        assert_eq!(WorkersPerInstance::Count(3).count(8), 3);
        // Three instances of one machine with four GPUs: two workers each of the two that have any.
        assert_eq!(local_workers(3, auto, 4), 4);
        assert_eq!(local_workers(3, auto, 0), 2);
        assert_eq!(usable_gpus(DeviceChoice::Cpu, true), 0);
        assert_eq!(usable_gpus(DeviceChoice::Cuda(1), true), 0);
    }

    proptest! {
        #[test]
        fn as_many_as_the_instances_have(instances in 1..=1024_u32, each in 1..=64_u32) {
            let workers = local_workers(instances, WorkersPerInstance::Count(each), 0);
            prop_assert_eq!(workers, instances.saturating_sub(1).max(1) * each);
        }

        /// With auto no GPU has two workers as long as there is one for each instance, and none is without
        /// one but for a remainder.
        #[test]
        fn auto_shares_the_gpus_out(instances in 1..32_u32, gpus in 0..64_u32) {
            let with_workers = instances.saturating_sub(1).max(1);
            let workers = local_workers(instances, WorkersPerInstance::Auto, gpus);
            prop_assert!(workers >= with_workers);
            if gpus >= with_workers {
                prop_assert!(workers <= gpus && gpus - workers < with_workers);
            }
        }
    }
}
