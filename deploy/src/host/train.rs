//! `psrun train`: reads what the launcher says, waits for the other hosts, runs this host's part,
//! and says why when it fails.

use super::plan::Work;
use super::setting::{Setting, Site};
use super::{failure_file, hyperparameters, names, plan, requirements};
use crate::cli::{Cli, Command};
use crate::contract::Error;
use crate::contract::environment::{self, Variables};
use crate::host::options::TrainArgs;
use crate::job;
use crate::logs::Logs;
use crate::outcome::Outcome;
use crate::plan::{DEFAULT_JOB, Plan};
use crate::workers_per_instance::usable_gpus;
use crate::{check, model_name, terminal};
use anyhow::Context;
use clap::ArgMatches;
use ps_cli::layers::Layer;
use ps_cli::orphans::{Children, Orphans};
use ps_cli::process::{EXIT_USAGE, Parsed, Tasks, Unparsed, parse_with};
use ps_runtime::member::report_failure;
use ps_runtime::{Outside, Shutdown};
use ps_worker::model::Models;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// The whole of `psrun train`, given its command line and the variables of the process.
pub fn main_with(models: &Models, args: Vec<OsString>, variables: &Variables) -> ExitCode {
    match prepare(models, args, variables) {
        Ok(host) if host.args.host.dry_run => match host.show() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => host.start_error(&error).report(),
        },
        Ok(host) => host.run(),
        Err(error) => error.report(),
    }
}

/// A host that knows what to do.
struct Host {
    args: TrainArgs,
    matches: ArgMatches,
    setting: Setting,
    site: Site,
    job: String,
    /// Where the failure file goes, if anywhere.
    output: Option<PathBuf>,
    /// What workers run instead of a model, as the launcher names it.
    program: Option<String>,
    /// GPUs that workers here can use.
    gpus: u32,
    variables: Variables,
    /// What people should know of that choice.
    notes: Vec<String>,
}

/// Why nothing is started.
struct StartError {
    unparsed: Option<Unparsed>,
    sentence: String,
    code: u8,
    output: Option<PathBuf>,
}

impl StartError {
    fn report(&self) -> ExitCode {
        if let Some(unparsed) = &self.unparsed
            && unparsed.exit_code() == 0
        {
            return unparsed.print();
        }
        terminal::print(&format!("error: psrun train: {}", self.sentence));
        clear_failure(self.output.as_deref());
        write_failure(self.output.as_deref(), &self.sentence);
        ExitCode::from(self.code)
    }
}

fn clear_failure(output: Option<&Path>) {
    let Some(output) = output else { return };
    if let Err(error) = failure_file::clear(output) {
        let line = format!("removing the failure file of an earlier start: {error}");
        terminal::print(&format!("error: psrun train: {line}"));
    }
}

fn write_failure(output: Option<&Path>, sentence: &str) {
    let Some(output) = output else { return };
    if let Err(error) = failure_file::write(output, sentence) {
        terminal::print(&format!("error: psrun train: writing the failure file: {error}"));
    }
}

/// Everything that can be found wrong before a process is started.
fn prepare(
    models: &Models,
    args: Vec<OsString>,
    variables: &Variables,
) -> Result<Host, StartError> {
    let in_container = environment::has_configuration(variables)
        || variables.keys().any(|name| name.starts_with("SM_"));
    let output = in_container.then(|| environment::output_folder(variables));
    let start_error = |host: &str, code: u8, what: String| StartError {
        unparsed: None,
        sentence: if host.is_empty() { what } else { format!("{host}: {what}") },
        code,
        output: output.clone(),
    };
    if variables.contains_key("PS_INCARNATION") {
        let what = "started by a program that psrun started: it would start that program again, \
                    without end; a program that is a worker starts `psrun ps-worker`";
        return Err(start_error("", EXIT_USAGE, what.to_owned()));
    }
    let setting =
        Setting::read(variables).map_err(|error| start_error("", 1, error.to_string()))?;
    let host = setting.as_ref().map(Setting::host).unwrap_or_default().to_owned();
    let chosen = setting.as_ref().map(|setting| setting.program(variables));
    let (program, mut notes) = chosen.unwrap_or_default();
    let (args, matches, of_hyperparameters) = parse(setting.as_ref(), program.is_some(), args)
        .map_err(|unparsed| StartError {
            sentence: format!("{host}: {unparsed}").trim_start_matches(": ").to_owned(),
            code: unparsed.exit_code(),
            unparsed: Some(unparsed),
            output: output.clone(),
        })?;
    notes.extend(of_hyperparameters);
    let setting = setting.ok_or_else(|| start_error("", EXIT_USAGE, nobody(variables)))?;
    setting.check_switch().map_err(|what| start_error(&host, 1, what))?;
    let usage = |what| start_error(&host, EXIT_USAGE, what);
    check::usage(&args.job).and_then(|()| check::kept_journals(&args.job)).map_err(usage)?;
    if program.is_none() {
        setting.check_channels().map_err(|what| start_error(&host, 1, what))?;
        model_name::check(models, &args.job.model.model).map_err(usage)?;
    }
    let gpus = usable_gpus(args.job.model.device, program.is_some());
    let each = args.job.workers.workers_per_instance;
    let site = setting.site(&args.host, each, gpus).map_err(usage)?;
    if site.layout.workers_each > 1 && args.job.model.read.pipe {
        let what = "workers-per-instance: a pipe has one reader, so that a host has one worker; leave it out, or give \
                    the channel the input mode File or FastFile";
        return Err(usage(what.to_owned()));
    }
    let asked = Some(args.job.process.job_id.as_str()).filter(|id| *id != DEFAULT_JOB);
    let job = asked.or_else(|| setting.job()).unwrap_or(DEFAULT_JOB).to_owned();
    let variables = variables.clone();
    Ok(Host { args, matches, setting, site, job, output, program, gpus, variables, notes })
}

fn nobody(variables: &Variables) -> String {
    let base = environment::base(variables);
    format!(
        "nobody says what this host is: there is no {}/input/config, no SM_HOSTS, no SM_CURRENT_HOST \
         and no TF_CONFIG; for a job on this machine alone use `psrun local`",
        base.display()
    )
}

/// The options: flags over `PS_*` variables over hyperparameters over channels over defaults.
/// And what people should know of a program's hyperparameters.
fn parse(
    setting: Option<&Setting>,
    has_program: bool,
    mut args: Vec<OsString>,
) -> Result<(TrainArgs, ArgMatches, Vec<String>), Unparsed> {
    ps_cli::variables::tell_misspelt();
    let Some(Setting::SageMaker(contract, from_channels)) = setting else {
        let (args, matches) = parse_with(args, &[]).and_then(train_args)?;
        return Ok((args, matches, Vec::new()));
    };
    let named = |arg: &OsString| arg.to_string_lossy().starts_with("--config");
    if let Some(file) = contract.hyperparameters.get("config")
        && !args.iter().any(named)
    {
        args.push(format!("--config={file}").into());
    }
    let text = |(name, value): &(&str, String)| ((*name).to_owned(), value.clone());
    let values = from_channels.options.iter().map(text).collect();
    let (hyperparameters, notes) = hyperparameters::of_ours(contract, has_program);
    let layers = [Layer { source: "channels".to_owned(), values }, hyperparameters];
    let (args, matches) = parse_with(args, &layers).and_then(train_args)?;
    Ok((args, matches, notes))
}

fn train_args(parsed: Parsed<Cli>) -> Result<(TrainArgs, ArgMatches), Unparsed> {
    match parsed.args.command {
        Command::Train(mut args) => {
            args.job.process.plain = true;
            Ok((*args, parsed.matches))
        }
        _ => Err(Unparsed::Other("expected the command `train`".into())),
    }
}

impl Host {
    fn plan(&self, work: &Work) -> Plan {
        plan::plan(&self.site, &self.args, &self.matches, &self.job, work)
    }

    /// What the workers do; finding a program may wait for a network.
    fn find_work(&self) -> Result<Work, Error> {
        match &self.program {
            None => Ok(Work::Model),
            Some(_) if self.site.layout.rank.is_none() => Ok(Work::ProgramElsewhere),
            Some(line) => {
                self.setting.find_program(line, &self.variables, self.gpus).map(Work::Program)
            }
        }
    }

    fn start_error(&self, error: &Error) -> StartError {
        let sentence = format!("{}: {error}", self.setting.host());
        StartError { unparsed: None, sentence, code: 1, output: self.output.clone() }
    }

    /// Prints what was understood, `name=value` lines, and the command lines.
    fn show(&self) -> Result<(), Error> {
        let plan = self.plan(&self.find_work()?);
        let mut lines = Vec::new();
        if let Setting::SageMaker(contract, from_channels) = &self.setting {
            for (name, value) in contract.hyperparameters.ours() {
                lines.push(format!("hyperparameter {name}={value}"));
            }
            for (name, value) in &from_channels.options {
                lines.push(format!("channel {name}={value}"));
            }
        }
        lines.push(format!("job={}", self.job));
        lines.push(format!("layout={}", plan.summary));
        lines.extend(plan.command_lines());
        let printed = lines.iter().try_for_each(|line| terminal::print_metrics(line));
        printed.map_err(|error| Error::new(format!("writing to standard output: {error}")))
    }

    fn run(self) -> ExitCode {
        clear_failure(self.output.as_deref());
        let process = self.args.job.process.clone();
        let this = Arc::new(self);
        ps_cli::process::supervise(
            "psrun train",
            &process,
            Tasks::ThreadPerCore,
            |outside, shutdown| async move {
                let result = this.clone().work(outside, shutdown).await;
                let host = this.setting.host();
                let outcome = result.unwrap_or_else(|error| Outcome {
                    verdict: Err(error),
                    failed: Vec::new(),
                    lost: None,
                });
                let Some(reason) = outcome.failure_reason(host) else { return outcome.verdict };
                write_failure(this.output.as_deref(), &reason);
                // The last line is the cause, not what followed from it.
                let code = outcome.verdict.map_err(|_| anyhow::Error::msg(reason.clone()))?;
                terminal::print(&format!("error: psrun train: {reason}"));
                Ok(code)
            },
        )
    }

    /// Waits for the others, and runs the processes of this host to their end.
    async fn work(
        self: Arc<Self>,
        outside: Outside,
        shutdown: Shutdown,
    ) -> anyhow::Result<Outcome> {
        // What channels are to a model of ours is nothing to a program.
        let of_channels = if self.program.is_none() { self.setting.notes() } else { &[] };
        for note in of_channels.iter().chain(&self.notes) {
            tracing::warn!("{note}");
        }
        let children = Children::default();
        let adopting = tokio::spawn(children.clone().adopt_orphans(Orphans::Kill));
        let mut stop = shutdown.clone();
        let work = tokio::select! {
            biased;
            signal = stop.wait() => Err(signal),
            work = self.clone().ready(&outside, &children) => Ok(work),
        };
        let work = match work {
            Ok(work) => work,
            Err(signal) => {
                // What pip had started.
                children.end_descendants().await;
                return Ok(Outcome::of_signal(signal));
            }
        };
        let mut plan = self.plan(&work.map_err(anyhow::Error::msg)?);
        // A container may have no folder to write to but those of its launcher, and what is there is kept.
        plan.say_options();
        for line in plan.command_lines() {
            tracing::info!("{line}");
        }
        // Itself again: whatever models it was built with, its workers have them too.
        let program = std::env::current_exe().context("finding the program that runs")?;
        let ended =
            job::run_part(&program, &plan, &Logs::Forward, outside, shutdown, children).await;
        adopting.abort();
        ended
    }

    /// Waits for the others and for the program; without it, they are told that they wait in vain.
    async fn ready(
        self: Arc<Self>,
        outside: &Outside,
        children: &Children,
    ) -> Result<Work, String> {
        self.wait_for_others().await?;
        let work = self.clone().prepare_work(children).await;
        if let Err(error) = &work
            && !self.site.layout.has_master
        {
            let reason = format!("{}: {error}", self.setting.host());
            let master = self.site.master();
            let told = report_failure(outside, &master, &self.job, &reason, Vec::new()).await;
            if let Err(error) = told {
                tracing::warn!("the master could not be told why this host fails: {error}");
            }
        }
        work
    }

    /// Finds the program, and installs what it needs.
    async fn prepare_work(self: Arc<Self>, children: &Children) -> Result<Work, String> {
        let (found, finding) = tokio::sync::oneshot::channel();
        // A thread that nobody waits for: a signal must not wait for a network.
        std::thread::spawn(move || found.send(self.find_work()));
        let lost = |_| "finding the program ended without a word".to_owned();
        let work = finding.await.map_err(lost)?.map_err(|error| error.to_string())?;
        if let Work::Program(program) = &work {
            requirements::install(program, children).await?;
        }
        Ok(work)
    }

    async fn wait_for_others(&self) -> Result<(), String> {
        let timeout = Duration::from_secs(self.args.host.resolve_timeout_s);
        names::resolve(&self.site.wait_for, timeout).await?;
        let layout = &self.site.layout;
        if !layout.has_master {
            names::reach(&self.site.master(), timeout).await?;
        }
        Ok(())
    }
}
