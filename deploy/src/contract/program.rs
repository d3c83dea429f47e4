//! A program of the user's instead of a model: which one, and where it is.
//!
//! As with the sagemaker-training toolkit it lies in a folder of its own, runs there, and gets the
//! hyperparameters as arguments, as the toolkit writes them.

use super::Error;
use super::environment::{self, Contract, Variables};
use super::script_mode::{self, Told};
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Names the program, as a command line in the code folder.
const ENTRY_POINT: &str = "entry_point";
/// What the SDKs' `entry_point` argument becomes.
const SDK_PROGRAM: &str = "sagemaker_program";
/// Names the program to itself, in the sagemaker-training toolkit.
const STARTED_BY_TOOLKIT: &str = "SM_USER_ENTRY_POINT";
/// Where the SDKs have put the code.
const SUBMITTED: &str = "sagemaker_submit_directory";

/// What Python programs need beside what is installed, in the folder of the code.
const REQUIREMENTS: &str = "requirements.txt";

/// Names of a folder that a message has.
const NAMES_MAX: usize = 8;

/// Has Python write what it prints at once.
const UNBUFFERED: &str = "PYTHONUNBUFFERED";

/// The program that runs Python programs.
pub const PYTHON: &str = "python3";

/// What a worker of this host runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Where it runs.
    pub folder: PathBuf,
    /// Its command line there, for a shell.
    pub line: String,
    /// What it is told by variables.
    pub variables: Variables,
    /// What is to be installed before it runs, if it is a Python program that says so.
    pub requirements: Option<PathBuf>,
}

impl Program {
    /// The line that the hyperparameters name as the program, and what people should know of the
    /// choice.
    pub fn named(contract: &Contract, variables: &Variables) -> (Option<String>, Vec<String>) {
        let hyperparameters = &contract.hyperparameters;
        let named = hyperparameters.get(ENTRY_POINT).or_else(|| hyperparameters.get("entry-point"));
        // The toolkit has started that program already, and it is us or has started us.
        let is_started = variables.contains_key(STARTED_BY_TOOLKIT);
        let from_sdk = hyperparameters.get(SDK_PROGRAM).filter(|_| !is_started);
        match (named, from_sdk, hyperparameters.get("model")) {
            (None, Some(program), Some(model)) => {
                let note = format!(
                    "{SDK_PROGRAM} {program} is not run: the hyperparameter model={model} says what \
                     is trained; leave model out to run the program"
                );
                (None, vec![note])
            }
            (named, from_sdk, _) => (named.or(from_sdk).map(str::to_owned), Vec::new()),
        }
    }

    /// The program that this line names, on a host with so many GPUs. `fetch` brings code that is in S3 or in an archive
    /// into a folder.
    ///
    /// # Errors
    /// It is nowhere, or cannot be fetched.
    pub fn find(
        line: &str,
        contract: &Contract,
        given: &Variables,
        gpus: u32,
        fetch: impl Fn(&str) -> Result<PathBuf, String>,
    ) -> Result<Self, Error> {
        let hyperparameters = &contract.hyperparameters;
        let submitted = match hyperparameters.get(SUBMITTED) {
            Some(place) if place.starts_with("s3://") || place.ends_with(".tar.gz") => {
                Some(fetch(place).map_err(|why| Error::new(format!("{SUBMITTED}: {why}")))?)
            }
            place => place.map(|place| PathBuf::from(place.trim_start_matches("file://"))),
        };
        let folder = folder(submitted, &environment::base(given), line)?;
        let (file, own) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let named = hyperparameters.arguments().filter(|(name, _)| !is_about_the_program(name));
        let arguments: Vec<String> = named
            .flat_map(|(name, value)| {
                let dashes = if name.len() > 1 { "--" } else { "-" };
                [format!("{dashes}{name}"), value]
            })
            .collect();
        let told = Told { entry_point: file, folder: &folder, arguments: &arguments, gpus };
        let mut variables = script_mode::variables(contract, given, &told);
        let is_python = file.ends_with(".py") && folder.join(file).is_file();
        if is_python && !given.contains_key(UNBUFFERED) {
            // What it prints is read by us, not by a terminal: it is to be seen when it is printed.
            variables.insert(UNBUFFERED.to_owned(), "1".to_owned());
        }
        let requirements = folder.join(REQUIREMENTS);
        let requirements = (is_python && requirements.exists()).then_some(requirements);
        let quoted = arguments.iter().map(|word| quoted(word));
        let words = [started(&folder, file), own.trim().to_owned()].into_iter().chain(quoted);
        let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
        Ok(Self { folder, line, variables, requirements })
    }

    /// What follows `--` on a worker's command line.
    pub fn command(&self) -> Vec<OsString> {
        let script = format!("cd {} && exec {}", quoted(&self.folder.to_string_lossy()), self.line);
        ["/bin/sh", "-c", &script].map(OsString::from).to_vec()
    }
}

/// Whether a hyperparameter says which program, not how it should work.
pub fn is_about_the_program(name: &str) -> bool {
    name.replace('-', "_") == ENTRY_POINT
}

/// Where the program is: the folder that was submitted, or where launchers put code.
fn folder(submitted: Option<PathBuf>, base: &Path, line: &str) -> Result<PathBuf, Error> {
    let usual = [base.join("code"), base.join("input/data/code")];
    let places: Vec<PathBuf> = submitted.into_iter().chain(usual).collect();
    let file = line.split_whitespace().next().unwrap_or_default();
    let found = places.iter().find(|place| place.join(file).is_file());
    // A command that is in the image needs no code folder.
    let is_command = Path::new(file).extension().is_none() || Path::new(file).is_absolute();
    let command = || places.iter().find(|place| is_command && place.is_dir());
    found.or_else(command).cloned().ok_or_else(|| {
        let looked: Vec<_> = places.iter().map(|place| looked_in(place)).collect();
        Error::new(format!("the program `{line}` is nowhere: looked in {}", looked.join(", ")))
    })
}

/// A folder and what is there instead.
fn looked_in(place: &Path) -> String {
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let (more, shown) = (names.len() > NAMES_MAX, names.len().min(NAMES_MAX));
    let there = if names.is_empty() { "nothing".to_owned() } else { names[..shown].join(", ") };
    format!("{} (there: {there}{})", place.display(), if more { ", .." } else { "" })
}

/// How a shell starts the file: Python programs by Python, files of the folder as they are.
fn started(folder: &Path, file: &str) -> String {
    let path = folder.join(file);
    if !path.is_file() {
        return file.to_owned();
    }
    if file.ends_with(".py") {
        return format!("{PYTHON} {}", quoted(file));
    }
    make_executable(&path);
    quoted(&format!("./{file}"))
}

/// As the toolkit does; where the folder is read-only, the file is as it is.
fn make_executable(path: &Path) {
    if let Ok(metadata) = std::fs::metadata(path) {
        let mode = metadata.permissions().mode() | 0o111;
        let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
    }
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(base: &Path, file: &str) -> Result<(Option<Program>, Vec<String>), Error> {
        std::fs::create_dir_all(base.join("input/config")).unwrap();
        std::fs::write(base.join("input/config/hyperparameters.json"), file).unwrap();
        let name = environment::BASE_VARIABLE.to_owned();
        let variables: Variables = [(name, base.display().to_string())].into();
        let contract = environment::read(&variables).unwrap().unwrap();
        let (line, notes) = Program::named(&contract, &variables);
        let found = line
            .map(|line| Program::find(&line, &contract, &variables, 0, |it| Err(it.to_owned())));
        Ok((found.transpose()?, notes))
    }

    /// The toolkit starts `go.sh`, that starts `psrun train`, and that would start `go.sh`: without
    /// end.
    #[test]
    fn a_program_that_starts_us_is_not_started_again() {
        let base = tempfile::tempdir().unwrap();
        std::fs::create_dir(base.path().join("code")).unwrap();
        std::fs::write(base.path().join("code/go.sh"), "").unwrap();
        let file = r#"{"sagemaker_program": "go.sh"}"#;
        assert!(find(base.path(), file).unwrap().0.is_some());
        let name = environment::BASE_VARIABLE.to_owned();
        let mut variables: Variables = [(name, base.path().display().to_string())].into();
        let contract = environment::read(&variables).unwrap().unwrap();
        variables.insert(STARTED_BY_TOOLKIT.to_owned(), "go.sh".to_owned());
        assert_eq!(Program::named(&contract, &variables), (None, Vec::new()));
    }

    #[test]
    fn a_program_gets_the_hyperparameters_as_the_toolkit_gives_them() {
        let base = tempfile::tempdir().unwrap();
        std::fs::create_dir(base.path().join("code")).unwrap();
        std::fs::write(base.path().join("code/train.sh"), "").unwrap();
        let file = r#"{"sagemaker_program": "\"train.sh\"", "bb": "it's", "a": "1", "c": "true",
                       "list": "[1, \"x\"]", "none": "null", "sagemaker_job_name": "\"j\""}"#;
        let (program, notes) = find(base.path(), file).unwrap();
        let program = program.unwrap();
        let arguments =
            r"'-a' '1' '--bb' 'it'\''s' '-c' 'True' '--list' '[1, '\''x'\'']' '--none' ''";
        assert_eq!(program.line, format!("'./train.sh' {arguments}"));
        assert_eq!((program.folder, notes.len()), (base.path().join("code"), 0));
        let mode = std::fs::metadata(base.path().join("code/train.sh")).unwrap().permissions();
        assert_eq!(mode.mode() & 0o111, 0o111);
    }

    #[test]
    fn a_model_wins_over_the_sdks_program_and_says_so() {
        let base = tempfile::tempdir().unwrap();
        let file = r#"{"sagemaker_program": "train.sh", "model": "mlp"}"#;
        let (program, notes) = find(base.path(), file).unwrap();
        assert_eq!(program, None);
        assert!(notes[0].contains("train.sh is not run"), "{notes:?}");
        assert_eq!(find(base.path(), "{}").unwrap(), (None, Vec::new()));
    }

    #[test]
    fn python_runs_by_python_and_commands_of_the_image_as_they_are() {
        let base = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(base.path().join("input/data/code")).unwrap();
        std::fs::write(base.path().join("input/data/code/go.py"), "").unwrap();
        let program = |file| find(base.path(), file).unwrap().0.unwrap();
        let python = program(r#"{"entry_point": "go.py --fast", "lr": "0.1"}"#);
        assert_eq!(python.line, "python3 'go.py' --fast '--lr' '0.1'");
        assert_eq!(python.variables["PYTHONUNBUFFERED"], "1");
        assert_eq!(python.requirements, None);
        let requirements = base.path().join("input/data/code/requirements.txt");
        std::fs::write(&requirements, "").unwrap();
        let python = program(r#"{"entry_point": "go.py"}"#);
        assert_eq!(python.requirements, Some(requirements));
        // What is of the image and not of the code asks for nothing.
        let command = program(r#"{"entry_point": "env"}"#);
        assert_eq!((command.line.as_str(), command.requirements), ("env", None));
    }

    #[test]
    fn code_that_cannot_be_had_is_named() {
        let base = tempfile::tempdir().unwrap();
        let missing = |file| find(base.path(), file).unwrap_err().to_string();
        assert!(missing(r#"{"sagemaker_program": "train.sh"}"#).contains("train.sh"));
        // Found by a user: a name with a slip was a command that no shell knew.
        std::fs::create_dir(base.path().join("code")).unwrap();
        std::fs::write(base.path().join("code/train.py"), "").unwrap();
        let why = missing(r#"{"sagemaker_program": "trian.py"}"#);
        assert!(why.contains("`trian.py` is nowhere") && why.contains("there: train.py"), "{why}");
        let file =
            r#"{"sagemaker_program": "t.sh", "sagemaker_submit_directory": "s3://b/c.tar.gz"}"#;
        assert!(find(base.path(), file).unwrap_err().to_string().contains("s3://b/c.tar.gz"));
    }
}
