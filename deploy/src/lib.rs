//! One command that runs a whole job, and the one crate that a program with a model of its own depends on.
//!
//! `psrun new NAME` writes such a program. It implements [`model::Model`] and calls [`main_with`]:
//!
//! ```no_run
//! use psrun::candle_core::{Result, Tensor};
//! use psrun::candle_nn::VarBuilder;
//! use psrun::model::{Batch, DataShape, Model, ModelOptions, Models};
//! use psrun::nn::Linear;
//!
//! struct OneLayer(Linear);
//!
//! impl Model for OneLayer {
//!     fn build(vars: VarBuilder, shape: &DataShape, _: &mut ModelOptions) -> Result<Self> {
//!         Ok(Self(Linear::new(shape.inputs(), shape.outputs, vars.pp("layer"))?))
//!     }
//!
//!     fn outputs(&self, batch: &Batch) -> Result<Option<Tensor>> {
//!         self.0.forward(&batch.features.flatten_from(1)?).map(Some)
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     psrun::main_with(Models::built_in().with::<OneLayer>("one-layer"), std::env::args_os())
//! }
//! ```
//!
//! Or it keeps its candle loop and swaps the optimizer: [`optimizer::AsyncOptimizer`], with [`settings`]. The rest of this crate is what
//! becomes a process where:
//!
//! - [`cli`]: the command line; `commands`: those that are no job.
//! - [`check`] and [`output`]: everything that can be found wrong before a process is started.
//! - [`job_options`]: what of the options goes to which role, and the file that it goes by.
//! - [`job_args`]: the options of every job; [`process`]: a process to start.
//! - `left`: a job that was cut off with all of its processes, and goes on.
//! - [`workers_per_instance`]: how many workers an instance has, on which GPUs.
//! - [`plan`]: from a number of instances to a list of processes with their arguments; pure.
//! - [`name`] and [`exit`]: who a process is, and how it ended.
//! - [`fail_points`]: where processes kill themselves, in tests.
//! - [`supervision`]: what follows from a process that ends or a signal that comes; pure.
//! - [`job`], [`child`] and `signals`: the processes themselves; [`outcome`]: how all of it ended.
//! - [`streams`], [`log_line`], [`last_words`], [`logs`] and [`terminal`]: what processes say.
//! - [`contract`] and [`host`]: a SageMaker container, or one of Kubeflow, as one host of a job.
//! - [`new`]: a crate of one's own; [`show`]: what is understood of some data.
//! - [`mod@evaluate`], [`predict`] and [`serve`]: a trained model in use; [`used_model`]: which, and on what.
//! - [`checkpoint`]: checkpoints, without a job; [`replay`]: what its servers' journals say of one.
//! - [`roles`]: how this one binary is every role.

pub mod check;
pub mod checkpoint;
pub mod child;
pub mod cli;
mod commands;
pub mod contract;

pub mod evaluate;
pub mod exit;
pub mod fail_points;
pub mod host;
pub mod job;
pub mod job_args;
pub mod job_options;
pub mod last_words;
mod left;
pub mod local;
pub mod log_line;
pub mod logs;
pub mod model_name;
pub mod name;
pub mod new;
pub mod outcome;
pub mod output;
pub mod plan;
pub mod predict;
pub mod prediction;
pub mod process;
pub mod replay;
pub mod roles;
pub mod s3;
pub mod serve;
pub mod show;
mod signals;
pub mod streams;
pub mod supervision;
pub mod target;
pub mod terminal;
pub mod used_model;
pub mod workers_per_instance;

pub use mimalloc;
pub use ps_data as data;
pub use ps_nn as nn;
pub use ps_worker::{candle_core, candle_nn, model, optimizer, settings};

use std::ffi::OsString;
use std::process::ExitCode;

/// The whole program `psrun`, given the models that workers can train and a command line.
///
/// A program of your own becomes every role of the job through this call: it starts itself again as
/// server, worker, evaluator and master.
pub fn main_with(
    models: ps_worker::model::Models,
    args: impl IntoIterator<Item = OsString>,
) -> ExitCode {
    // Not generic, so that it is compiled here, and not once more in every program.
    main_of(models, args.into_iter().collect())
}

fn main_of(models: ps_worker::model::Models, args: Vec<OsString>) -> ExitCode {
    if let Some((role, args)) = roles::named(&args) {
        return role.main_with(models, args);
    }
    let variables = host::setting::variables();
    let in_container = contract::environment::has_configuration(&variables);
    let args = cli::with_default_command(args, in_container);
    if args.get(1).is_some_and(|word| word == "train") {
        return host::train::main_with(&models, args, &variables);
    }
    let parsed = match ps_cli::process::parse::<cli::Cli>(args) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    match parsed.args.command {
        cli::Command::Local(args) => local::main_with(&models, *args, &parsed.matches),
        cli::Command::Data(args) => commands::show(&models, &args),
        cli::Command::Serve(args) => commands::serve(models, *args),
        cli::Command::Evaluate(args) => commands::evaluate(&models, &args),
        cli::Command::Predict(args) => commands::predict(&models, &args),
        cli::Command::Checkpoint(args) => commands::checkpoint(args),
        cli::Command::Replay(args) => commands::replay(&args),
        cli::Command::New(args) => match new::run(&args) {
            Ok(next) => {
                terminal::print(&next);
                ExitCode::SUCCESS
            }
            Err(error) => {
                terminal::print(&format!("error: psrun new: {}", ps_cli::process::causes(&error)));
                ExitCode::FAILURE
            }
        },
        // Taken above: with what a launcher says, and before clap looks at options that are not ours.
        cli::Command::Train(_) | cli::Command::Role(_) => {
            ExitCode::from(ps_cli::process::EXIT_USAGE)
        }
    }
}
