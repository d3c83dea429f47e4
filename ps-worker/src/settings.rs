//! How a job trains: everything that [`AsyncOptimizerConfig::settings`](crate::optimizer::AsyncOptimizerConfig) is made of.
//!
//! ```
//! use ps_worker::settings::{LearningRate, Optimizer, TrainingSettings};
//!
//! let settings = TrainingSettings {
//!     optimizer: Optimizer::parse("adam", None, None)?,
//!     learning_rate: LearningRate::constant(0.001),
//!     staleness_bound: Some(4),
//!     ..TrainingSettings::default()
//! };
//! # let _ = settings;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub use ps_core::correction::Correction;
pub use ps_core::learning::DivergenceAction;
pub use ps_core::schedule::{LearningRate, Schedule};
pub use ps_core::settings::{TrainingSettings, Wire};
pub use ps_kernels::encoding::Encoding;
pub use ps_kernels::optimizer::{Optimizer, OptimizerKind};
