//! Which of its machine's workers a process is.

use clap::builder::RangedU64ValueParser;

/// A worker among those that its machine has: they share its GPUs, and what data only it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 0.
    pub index: u32,
    /// How many there are.
    pub workers: u32,
}

impl Default for Place {
    fn default() -> Self {
        Self { index: 0, workers: 1 }
    }
}

impl Place {
    /// The GPU that it takes of so many, where nobody names one.
    pub fn gpu(self, gpus: u32) -> usize {
        (self.index % gpus.max(1)) as usize
    }
}

/// The options that say it.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct PlaceArgs {
    /// Which of this machine's workers it is, from 0: with --device auto it takes the GPU of this number, with
    /// --sharded its part of what is here.
    #[arg(long, env = "PS_LOCAL_INDEX", default_value_t = 0, value_name = "K")]
    pub local_index: u32,
    /// How many workers this machine has.
    #[arg(long, env = "PS_LOCAL_WORKERS", default_value_t = 1, value_name = "N",
        value_parser = RangedU64ValueParser::<u32>::new().range(1..))]
    pub local_workers: u32,
}

impl PlaceArgs {
    /// The place.
    ///
    /// # Errors
    /// There is no such place, in words.
    pub fn place(self) -> Result<Place, String> {
        let Self { local_index: index, local_workers: workers } = self;
        if index < workers {
            return Ok(Place { index, workers });
        }
        Err(format!(
            "--local-index {index} of --local-workers {workers}: expected an index below the number"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// As long as there are enough, each worker has a GPU to itself; else they are shared out evenly.
        #[test]
        fn gpus_are_shared_out(workers in 1..64_u32, gpus in 1..16_u32) {
            let mut users = vec![0_u32; gpus as usize];
            for index in 0..workers {
                users[Place { index, workers }.gpu(gpus)] += 1;
            }
            let (most, least) = (users.iter().max().unwrap(), users.iter().min().unwrap());
            prop_assert!(most - least <= 1);
        }
    }

    #[test]
    fn a_place_beyond_the_last_is_refused() {
        let place = |local_index, local_workers| PlaceArgs { local_index, local_workers }.place();
        assert_eq!(place(1, 2), Ok(Place { index: 1, workers: 2 }));
        assert!(place(2, 2).unwrap_err().contains("--local-index 2"));
        assert_eq!(Place::default().gpu(0), 0);
    }
}
