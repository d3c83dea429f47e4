//! What programs have beside their work: options, configuration, logging, signals, exit codes.

mod choice;
mod evaluation_args;
pub mod fail_points;
pub mod given;
pub mod layers;
mod loss_args;
pub mod orphans;
pub mod process;
mod shape_args;
pub mod terminal;
mod training_args;
mod unparsed;
pub mod variables;

pub use choice::choice;
pub use evaluation_args::EvaluationArgs;
pub use loss_args::LossArgs;
pub use shape_args::{ShapeArgs, named_values};
pub use training_args::TrainingArgs;
