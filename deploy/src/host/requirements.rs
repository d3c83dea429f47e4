//! What a Python program needs beside what the image has: installed by pip before its workers start, as the
//! sagemaker-training toolkit does.

use crate::contract::program::{PYTHON, Program};
use crate::last_words::LastWords;
use crate::logs::LogDestination;
use crate::streams;
use ps_cli::orphans::Children;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use tokio::process::{Child, Command};

/// What pip's lines begin with in our log.
const PREFIX: &str = "[pip]";

/// Installs what the program's requirements.txt names, if it has one; dropped, it ends pip.
///
/// # Errors
/// There is no pip, or it fails: what it said last.
pub(super) async fn install(program: &Program, children: &Children) -> Result<(), String> {
    let Some(file) = &program.requirements else { return Ok(()) };
    tracing::info!("installing what {} names", file.display());
    let mut command = pip(file, &program.folder);
    let line = command
        .as_std()
        .get_args()
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ");
    let wrong =
        |why: String| format!("installing what {} names: `{PYTHON} {line}`: {why}", file.display());
    let started = children.spawn(|| command.spawn(), Child::id);
    let mut child =
        started.map_err(|error| wrong(format!("{error}; is {PYTHON} in the image?")))?;
    let pid = child.id();
    let last_words = LastWords::default();
    let is_ending = AtomicBool::new(false);
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let read_out = async {
        if let Some(out) = out {
            streams::read_stderr(
                out,
                &LogDestination::Forward,
                PREFIX,
                &is_ending,
                &LastWords::default(),
            )
            .await;
        }
    };
    let read_err = async {
        if let Some(err) = err {
            streams::read_stderr(err, &LogDestination::Forward, PREFIX, &is_ending, &last_words)
                .await;
        }
    };
    let (status, (), ()) = tokio::join!(child.wait(), read_out, read_err);
    children.waited_for(pid);
    let status = status.map_err(|error| wrong(error.to_string()))?;
    if status.success() {
        return Ok(());
    }
    Err(wrong(match error_line(&last_words) {
        Some(said) => format!("{status}: {said}"),
        None => status.to_string(),
    }))
}

fn pip(file: &Path, folder: &Path) -> Command {
    let mut command = Command::new(PYTHON);
    command
        .args(["-m", "pip", "install", "--disable-pip-version-check", "--progress-bar=off", "-r"])
        .arg(file);
    // Of an image that belongs to this job alone; a Debian refuses it without these words.
    command.env("PIP_BREAK_SYSTEM_PACKAGES", "1").env("PIP_ROOT_USER_ACTION", "ignore");
    command.current_dir(folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

/// The line that says what is wrong, among hints and notices after it.
fn error_line(said: &LastWords) -> Option<String> {
    let printed = said.printed();
    let error = printed.iter().rev().find(|line| line.starts_with("ERROR:"));
    error.cloned().or_else(|| said.message())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::environment::Variables;

    fn program(requirements: &str) -> (tempfile::TempDir, Program) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("requirements.txt");
        std::fs::write(&file, requirements).unwrap();
        let program = Program {
            folder: folder.path().to_owned(),
            line: "python3 train.py".to_owned(),
            variables: Variables::new(),
            requirements: Some(file),
        };
        (folder, program)
    }

    #[tokio::test]
    async fn nothing_to_install_is_no_trouble() {
        let (_folder, mut program) = program("");
        program.requirements = None;
        install(&program, &Children::default()).await.unwrap();
    }

    /// Without a network: what is not there is a file.
    #[tokio::test]
    async fn what_cannot_be_installed_is_told_in_pips_words() {
        let (folder, program) = program("./absent-1.0-py3-none-any.whl\n");
        let why = install(&program, &Children::default()).await.unwrap_err();
        let file = folder.path().join("requirements.txt").display().to_string();
        assert!(why.contains(&file) && why.contains("-m pip install"), "{why}");
        // A machine without pip says that.
        assert!(why.contains("absent-1.0-py3-none-any.whl") || why.contains("pip"), "{why}");
    }
}
