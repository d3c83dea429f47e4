//! Jobs of shell scripts: how processes are started, heard, signalled and waited for.

#![allow(clippy::unwrap_used)] // A test fails by panicking, its helpers too.

use clap::{ArgMatches, Parser};
use ps_runtime::{Connector, Outside, Shutdown, Signal, SystemClock};
use psrun::cli::{Cli, Command, LocalArgs};
use psrun::logs::Logs;
use psrun::output::Output;
use psrun::plan::Plan;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Members that do nothing until their standard input ends, as on the death of psrun, or a SIGTERM.
const PATIENT: &str = "trap 'exit 143' TERM; cat > /dev/null & wait; exit 143";

/// A job whose roles are these scripts.
struct Job {
    folder: tempfile::TempDir,
    program: PathBuf,
}

impl Job {
    fn new(master: &str, server: &str, worker: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        // Without the redirection, `cat &` would read nothing: a shell gives it /dev/null.
        let script = format!(
            "#!/bin/sh\nexec 3<&0\necho \"$$ $*\" >> {log}\ncase \"$*\" in\n\
             ps-master*) echo 'role=master; listening=127.0.0.1:9;'; {master} ;;\n\
             ps-server*) {server} ;;\n*) {worker} ;;\nesac\n",
            log = folder.path().join("started").display(),
        );
        std::fs::write(&program, script.replace("cat > /dev/null", "cat <&3 > /dev/null")).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        Self { folder, program }
    }

    async fn run(&self, shutdown: Shutdown) -> anyhow::Result<u8> {
        let args = args(self.folder.path());
        let output = Output::create(args.out.as_deref())?;
        let plan = Plan::new(&args, &ArgMatches::default(), "job".into(), &output);
        let (connector, clock) = (Connector::tcp(), SystemClock::start());
        let outside = Outside { connector, clock, seed: 1, metrics: Arc::new(|_| ()) };
        psrun::job::run(&self.program, &plan, &Logs::Files(output), outside, shutdown).await?.result
    }

    /// Process ids and command lines of everything that was started.
    fn started(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("started")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn expect_nobody_left(&self) {
        for line in self.started() {
            let pid = line.split(' ').next().unwrap();
            assert!(!Path::new("/proc").join(pid).exists(), "left: {line}");
        }
    }
}

fn args(out: &Path) -> LocalArgs {
    let out = out.join("out");
    let cli = Cli::try_parse_from([
        "psrun".as_ref(),
        "local".as_ref(),
        "--out".as_ref(),
        out.as_os_str(),
    ]);
    match cli.unwrap().command {
        Command::Local(args) => *args,
        other => panic!("{other:?}"),
    }
}

fn no_signal() -> Shutdown {
    Shutdown::new().1
}

#[tokio::test]
async fn the_masters_code_is_the_answer() {
    let job = Job::new("sleep 0.3; exit 7", PATIENT, PATIENT);
    assert_eq!(job.run(no_signal()).await.unwrap(), 7);
    // One master, three servers, an evaluator, two workers.
    assert_eq!(job.started().len(), 7);
    job.expect_nobody_left();
}

#[tokio::test]
async fn a_server_that_dies_is_named_with_its_log() {
    let dying = format!(
        "case \"$*\" in *shard=1*) echo ' 0.1s ERROR no' >&2; kill -9 $$;; esac; {PATIENT}"
    );
    let job = Job::new(PATIENT, &dying, PATIENT);
    let error = job.run(no_signal()).await.unwrap_err().to_string();
    for word in ["server 1", "pid ", "signal 9", "server-1.log"] {
        assert!(error.contains(word), "no `{word}`: {error}");
    }
    let log = job.folder.path().join("out/logs/server-1.log");
    assert_eq!(std::fs::read_to_string(log).unwrap(), " 0.1s ERROR no\n");
    job.expect_nobody_left();
}

#[tokio::test]
async fn a_job_whose_workers_all_fail_fails() {
    let job = Job::new(PATIENT, PATIENT, "exit 1");
    let error = job.run(no_signal()).await.unwrap_err().to_string();
    assert!(error.contains("no worker is left"), "{error}");
    job.expect_nobody_left();
}

#[tokio::test]
async fn a_signal_reaches_everybody() {
    let job = Job::new(PATIENT, PATIENT, PATIENT);
    let (trigger, shutdown) = Shutdown::new();
    let signal = async {
        while job.started().len() < 7 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Time for the last one to set its trap.
        tokio::time::sleep(Duration::from_millis(200)).await;
        trigger.trigger(Signal::Terminate);
        std::future::pending::<()>().await;
    };
    let start = Instant::now();
    let code = tokio::select! {
        code = job.run(shutdown) => code,
        () = signal => unreachable!(),
    };
    assert_eq!(code.unwrap(), 143);
    assert!(start.elapsed() < Duration::from_secs(5), "killed, not asked");
    job.expect_nobody_left();
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_named() {
    let mut job = Job::new("", "", "");
    job.program = job.folder.path().join("missing");
    let error = job.run(no_signal()).await.unwrap_err().to_string();
    assert!(error.contains("starting master") && error.contains("missing"), "{error}");
}
