//! A program of the user's that does a worker's work: `ps-worker -- CMD ARGS...`.

use crate::compute::ComputeError;
use crate::train::{Program, ProgramRun};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessGroup};
use ps_cli::TrainingArgs;
use ps_cli::orphans::{Children, end_with_thread};
use ps_client::environment;
use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::process::Command;

const SIGTERM: i32 = 15;

/// A program to run, and what it is told beside its place in the job.
#[derive(Clone, Debug)]
pub struct UserProgram {
    /// The program and its arguments; at least one word.
    command: Vec<OsString>,
    /// More variables: where the data are.
    variables: Vec<(OsString, OsString)>,
    /// How long it may take to end once it was told to.
    grace: Duration,
    /// Who waits for which process.
    children: Children,
}

impl UserProgram {
    /// The program named by the first word, with the rest as its arguments.
    pub fn new(
        command: Vec<OsString>,
        variables: Vec<(OsString, OsString)>,
        grace: Duration,
        children: Children,
    ) -> Self {
        Self { command, variables, grace, children }
    }

    fn start(&self, run: &ProgramRun) -> Result<Running, ComputeError> {
        let (program, arguments) = self
            .command
            .split_first()
            .ok_or_else(|| ComputeError("no program after `--`".to_owned()))?;
        let mut command = Command::new(program);
        command.args(arguments);
        // What we were told is not what it is told.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PS_") {
                command.env_remove(name);
            }
        }
        command.envs(run.environment.to_variables());
        // Under the names that our own options have: who starts `ps-worker` need not repeat them.
        command.envs(TrainingArgs::from(&run.settings).to_variables());
        let settings = serde_json::to_string(&run.settings)
            .map_err(|error| ComputeError(format!("the job's settings as JSON: {error}")))?;
        command.env(environment::SETTINGS, settings);
        command.envs(self.variables.iter().cloned());
        let name = program.to_string_lossy().into_owned();
        end_with_thread(&mut command);
        let mut command = CommandWrap::from(command);
        let command = command.wrap(ProcessGroup::leader());
        let child = self.children.spawn(|| command.spawn(), |child| child.id());
        let child = child.map_err(|error| {
            ComputeError(format!("starting the program {name}: {error}; is it there, with x set?"))
        })?;
        let pid = child.id();
        tracing::info!("started the program {name} (pid {})", pid.unwrap_or_default());
        Ok(Running { child, name, pid, children: self.children.clone() })
    }
}

impl Program for UserProgram {
    fn run<'a>(&'a mut self, run: ProgramRun) -> BoxFuture<'a, Result<u8, ComputeError>> {
        async move {
            let mut running = self.start(&run)?;
            // For it alone: where we adopt processes, others of its group may stay for good.
            let waited = |error| ComputeError(format!("waiting for the program: {error}"));
            let status = tokio::select! {
                biased;
                status = running.child.inner_mut().wait() => status.map_err(waited)?,
                () = run.stop => {
                    // It may have ended just now.
                    let _ = running.child.signal(SIGTERM);
                    let grace = self.grace;
                    match tokio::time::timeout(grace, running.child.inner_mut().wait()).await {
                        Ok(status) => status.map_err(waited)?,
                        Err(_) => {
                            tracing::warn!("the program {} did not end in {grace:?}", running.name);
                            let _ = running.child.start_kill();
                            running.child.inner_mut().wait().await.map_err(waited)?
                        }
                    }
                }
            };
            tracing::info!("the program {} ended: {status}", running.name);
            Ok(exit_code(status))
        }
        .boxed()
    }
}

/// What a shell would say: the code, or 128 and the signal's number.
fn exit_code(status: ExitStatus) -> u8 {
    let signal = status.signal().map(|signal| 128 + signal);
    let code = status.code().or(signal).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// A program that runs; whatever it started ends with it, as far as it has stayed in its group.
struct Running {
    child: Box<dyn ChildWrapper>,
    name: String,
    pid: Option<u32>,
    children: Children,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        // Whoever waits for orphans waits for it, too, if we have not.
        self.children.waited_for(self.pid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ps_client::WorkerEnvironment;
    use std::path::PathBuf;

    fn run_of(stop: BoxFuture<'static, ()>) -> ProgramRun {
        let environment = WorkerEnvironment {
            job: "j".into(),
            servers: vec!["a:1".into(), "b:2".into()],
            worker: 1,
            workers: 2,
            incarnation: 7,
            epoch: 3,
            master: None,
            resumed: None,
        };
        let args = TrainingArgs { lr: Some(0.1), ..TrainingArgs::default() };
        let settings = args.settings().unwrap();
        ProgramRun { environment, settings, stop }
    }

    async fn shell(script: &str, stop: BoxFuture<'static, ()>) -> Result<u8, ComputeError> {
        let command = ["/bin/sh", "-c", script].map(OsString::from).to_vec();
        let variables = vec![("PS_DATA".into(), "/data".into())];
        let grace = Duration::from_secs(6);
        UserProgram::new(command, variables, grace, Children::default()).run(run_of(stop)).await
    }

    fn never() -> BoxFuture<'static, ()> {
        std::future::pending().boxed()
    }

    #[tokio::test]
    async fn a_program_knows_its_place_and_its_code_is_ours() {
        let script = r#"test "$PS_SERVER_ADDRESSES $PS_WORKER_INDEX/$PS_WORKERS $PS_INCARNATION \
$PS_EPOCH $PS_DATA $PS_LR" = "a:1,b:2 1/2 7 3 /data 0.1" || exit 9
case "$PS_SETTINGS" in *'"batch_size":32'*) exit 3;; esac"#;
        assert_eq!(shell(script, never()).await.unwrap(), 3);
        assert_eq!(shell("kill -9 $$", never()).await.unwrap(), 137);
        assert_eq!(shell("exit 0", never()).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_program_that_is_to_end_is_told_so() {
        let soon = || tokio::time::sleep(Duration::from_millis(300)).boxed();
        let polite = "trap 'exit 5' TERM; while :; do sleep 0.05; done";
        assert_eq!(shell(polite, soon()).await.unwrap(), 5);
        assert_eq!(shell("sleep 60", soon()).await.unwrap(), 143);
    }

    #[tokio::test]
    async fn what_a_program_leaves_behind_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 60 & echo $! > {}", file.display());
        assert_eq!(shell(&script, never()).await.unwrap(), 0);
        let pid = std::fs::read_to_string(&file).unwrap();
        // A zombie, if whoever has it now does not wait for it, has no command line.
        let line = PathBuf::from("/proc").join(pid.trim()).join("cmdline");
        for _ in 0..100 {
            if std::fs::read(&line).unwrap_or_default().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("left: {pid}");
    }

    #[tokio::test]
    async fn what_is_not_there_is_named() {
        let mut program = UserProgram::new(
            vec!["/no/such/program".into()],
            Vec::new(),
            Duration::ZERO,
            Children::default(),
        );
        let error = program.run(run_of(never())).await.unwrap_err().to_string();
        assert!(error.contains("/no/such/program"), "{error}");
    }
}
