//! What can be found wrong before a process is started: said once, by one process.

use crate::cli::{LocalArgs, OnServerLoss};
use crate::job_args::JobArgs;
use anyhow::bail;
use ps_data::SharedDataset;
use ps_worker::config::ModelArgs;
use ps_worker::device::DeviceChoice;
use ps_worker::model::Models;
use std::path::Path;

/// Processes of a job come back within about a second, and wait longer where they are killed again and again.
const CHAOS_S_MIN: f64 = 1.0;

/// Checks the values of options.
///
/// # Errors
/// The first bad one, in words for people.
pub fn usage(job: &JobArgs) -> Result<(), String> {
    job.training.settings().map_err(|error| error.to_string())?;
    job.durability.check_job()?;
    job.server.check(job.durability.has_journals())?;
    job.model.check()
}

/// Checks when checkpoints are written, if there are any.
///
/// # Errors
/// There are none.
pub fn checkpoint_times(job: &JobArgs, checkpoints: Option<&Path>) -> Result<(), String> {
    job.checkpoint_every.check(checkpoints.is_some())
}

/// Checks that what a host keeps is where somebody finds it.
///
/// # Errors
/// Nobody says where.
pub fn kept_journals(job: &JobArgs) -> Result<(), String> {
    match (job.durability.keep_journal, &job.durability.journal) {
        (true, None) => Err(
            "--keep-journal (or PS_KEEP_JOURNAL): say with --journal DIR where, for else a host has its journals in a temporary \
             folder; `psrun replay` wants those of all hosts in one folder"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

/// Checks what no job on one machine can have.
///
/// # Errors
/// Evaluations of a program's model, which nobody here can measure. A share of its own for each worker, where all of them read the same files: each sample would be
/// trained on as often as there are workers.
pub fn one_machine(args: &LocalArgs) -> Result<(), String> {
    if args.job.model.read.pipe && args.program.is_empty() && args.instances > 2 {
        return Err(
            "--pipe (or PS_PIPE): a FIFO has one reader, so a job on this machine has one worker then; say --instances 2"
                .into(),
        );
    }
    if args.job.model.read.sharded && args.program.is_empty() {
        return Err(
            "--sharded (or PS_SHARDED): here all workers read the same --data and share it \
                    among them; leave it out, or start the processes of each host by themselves"
                .into(),
        );
    }
    if args.chaos.is_some() && (!args.job.durability.has_journals() || !args.program.is_empty()) {
        return Err(
            "--chaos (or PS_CHAOS): who is killed comes back only with --durability wal, and without a program of your own"
                .into(),
        );
    }
    if let Some(seconds) = args.chaos.filter(|seconds| *seconds < CHAOS_S_MIN) {
        return Err(format!(
            "--chaos (or PS_CHAOS): found {seconds}, expected at least {CHAOS_S_MIN}: who was killed would not come back in time to get on"
        ));
    }
    continues(args)?;
    if !args.program.is_empty() {
        let settings = args.job.training.settings().map_err(|error| error.to_string())?;
        let every = settings.evaluation.option_about_models();
        let split =
            args.job.model.read.validation_split.map(|share| format!("--validation-split {share}"));
        if let Some(option) = every.or(split) {
            return Err(format!(
                "{option} with a program: it reads its data itself, and nobody else can measure its model; leave it out (it can say \
                 itself what it measured, psrun.report in Python: --early-stop-after and --keep best go by that)"
            ));
        }
    }
    Ok(())
}

/// Checks what a server could go back to alone.
fn continues(args: &LocalArgs) -> Result<(), String> {
    let is_wanted = args.on_server_loss == OnServerLoss::Continue;
    if !is_wanted || args.job.durability.has_journals() {
        return Ok(());
    }
    let missing = match (args.checkpoints.is_some(), args.program.is_empty()) {
        (false, _) => {
            "a server that is killed goes back to a checkpoint: say with --checkpoints DIR where they are"
        }
        (_, false) => {
            "a program of your own is not told to begin anew, as workers are then; use --durability wal, or back or stop"
        }
        (true, true) => return Ok(()),
    };
    Err(format!("--on-server-loss continue (or PS_ON_SERVER_LOSS): {missing}"))
}

/// Checks what the options point to, by doing once what every worker would do: the data are read, and
/// the model is built for them. The data are there for the workers then.
///
/// # Errors
/// The data is not there or damaged, the model cannot be built for it, or the device cannot be used.
pub async fn environment(
    models: &Models,
    args: &LocalArgs,
) -> anyhow::Result<Option<SharedDataset>> {
    let model = &args.job.model;
    if let Some(data) = &model.data
        && !data.exists()
        // The beginning of the FIFOs' names.
        && !model.read.pipe
        // What the program's own data take it for, they know.
        && model.dataset.dataset.is_none()
    {
        bail!("--data {}: there is no such file or folder", data.display());
    }
    // Says which device the workers take: their own lines are in files.
    model.device.open().map(drop)?;
    if model.read.pipe {
        // A FIFO can be read once, and what the test data mean follows from it.
        return Ok(None);
    }
    // Building needs no speed, and the workers may need all of a GPU's memory.
    let on_cpu = ModelArgs { device: DeviceChoice::Cpu, ..model.clone() };
    let data = ps_worker::process::data(models, &on_cpu).await?;
    // Gigabytes take a while.
    let shared = tokio::task::spawn_blocking(move || SharedDataset::new(&data)).await?;
    let shared = shared.map_err(|error| {
        tracing::warn!(
            "no memory for all processes together ({error}): each reads the data itself"
        );
    });
    Ok(shared.ok())
}
