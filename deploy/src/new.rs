//! `psrun new`: a crate with a model of one's own, which is `psrun` with one more model.

use anyhow::{Context, bail};
use clap::Args;
use std::path::{Path, PathBuf};

/// The program that the crate begins with; also compiled as an example, so that it always builds.
const PROGRAM: &str = include_str!("../examples/own_model.rs");

/// Where the documentation of the example ends: what is above it is about this repository.
const ABOUT_EXAMPLE: &str = "//!";

/// A crate of one's own.
#[derive(Args, Clone, Debug)]
pub struct NewArgs {
    /// Folder to make; its last part is the crate's name.
    #[arg(value_name = "NAME")]
    pub folder: PathBuf,
    /// Where psrun's sources are: a folder, or the URL of a git repository [default: the folder that this program was
    /// built in].
    #[arg(long, value_name = "DIR|URL")]
    pub source: Option<String>,
}

/// Writes the crate; what to do next, for people.
///
/// # Errors
/// The folder is there already, its name is no name of a crate, or nobody knows where psrun's sources are.
pub fn run(args: &NewArgs) -> anyhow::Result<String> {
    let name = crate_name(&args.folder)?;
    let source = match &args.source {
        Some(source) => Source::parse(source)?,
        None => Source::of_this_program().context(
            "nobody knows where psrun's sources are: this program does not lie where it was built; name them \
             with --source DIR|URL",
        )?,
    };
    let folder = &args.folder;
    if folder.exists() {
        bail!("{}: it is there already; choose another name", folder.display());
    }
    let written = |file: &str| format!("writing {}", folder.join(file).display());
    std::fs::create_dir_all(folder.join("src")).with_context(|| written("src"))?;
    let files = [("Cargo.toml", manifest(&name, &source)), ("src/main.rs", program())];
    for (file, text) in files.iter().map(|(file, text)| (*file, text)) {
        std::fs::write(folder.join(file), text).with_context(|| written(file))?;
    }
    if let Source::Folder(workspace) = &source {
        // The versions that psrun is tested with.
        let lock = workspace.join("Cargo.lock");
        std::fs::copy(&lock, folder.join("Cargo.lock")).with_context(|| written("Cargo.lock"))?;
    }
    let shown = folder.display();
    Ok(format!(
        "{shown}: a model `two-layers` in src/main.rs; next:\n  cd {shown}\n  \
         cargo run --release -- local --model two-layers --passes 10"
    ))
}

/// Where psrun's sources are.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    /// The folder of the workspace.
    Folder(PathBuf),
    Git(String),
}

impl Source {
    fn parse(text: &str) -> anyhow::Result<Self> {
        if text.contains("://") || text.starts_with("git@") {
            return Ok(Self::Git(text.to_owned()));
        }
        let folder = Path::new(text);
        let found = workspace(folder).with_context(|| {
            format!(
                "--source {text}: psrun's sources are not there: no deploy/Cargo.toml with its name"
            )
        })?;
        Ok(Self::Folder(found))
    }

    /// The workspace around this program's file, if it lies where cargo put it.
    fn of_this_program() -> Option<Self> {
        let program = std::env::current_exe().ok()?;
        program.ancestors().find_map(workspace).map(Self::Folder)
    }
}

/// The folder as the workspace that it is.
fn workspace(folder: &Path) -> Option<PathBuf> {
    let manifest = std::fs::read_to_string(folder.join("deploy/Cargo.toml")).ok()?;
    let table: toml::Table = manifest.parse().ok()?;
    let is_psrun = table.get("package")?.get("name")?.as_str()? == "psrun";
    is_psrun.then(|| folder.canonicalize().ok()).flatten()
}

/// The name of a crate, which the compiler must like, too.
fn crate_name(folder: &Path) -> anyhow::Result<String> {
    let name =
        folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !begins_well || !name.chars().all(is_letter) || name == "psrun" {
        bail!(
            "`{name}`: expected a crate's name: letters, digits, `-` and `_`, a letter first, and not psrun"
        );
    }
    Ok(name)
}

fn manifest(name: &str, source: &Source) -> String {
    let dependency = match source {
        Source::Folder(workspace) => {
            let path = workspace.join("deploy").to_string_lossy().into_owned();
            format!("{{ path = {} }}", toml::Value::String(path))
        }
        Source::Git(url) => format!("{{ git = {} }}", toml::Value::String(url.clone())),
    };
    format!(
        r#"[package]
name = "{name}"
version = "0.1.0"
edition = "2024"

[dependencies]
# Everything that a model needs: layers (psrun::nn), candle, data, settings. With GPUs: features = ["cuda"].
psrun = {dependency}

[profile.release]
debug = "line-tables-only"

# Of its own, also inside another workspace.
[workspace]
"#
    )
}

/// The example without what it says of itself as an example.
fn program() -> String {
    let about = "//! `psrun` with one more model: this program becomes every process of the job by starting itself.\n//!\n\
                 //! cargo run --release -- local --model two-layers --model-option width=128 --passes 10\n";
    let code = PROGRAM.lines().skip_while(|line| line.starts_with(ABOUT_EXAMPLE));
    let code: Vec<&str> = code.collect();
    format!("{about}{}\n", code.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
    }

    fn new(folder: PathBuf, source: Option<&str>) -> anyhow::Result<String> {
        run(&NewArgs { folder, source: source.map(str::to_owned) })
    }

    /// Cargo takes it for a crate whose one dependency is there; .ci/long builds and runs it.
    #[test]
    fn the_crate_is_one_that_cargo_understands() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("my-model");
        let next = new(folder.clone(), Some(here().to_str().unwrap())).unwrap();
        assert!(next.contains("cargo run --release -- local --model two-layers"), "{next}");
        let output = std::process::Command::new(env!("CARGO"))
            .args(["metadata", "--format-version=1", "--offline", "--no-deps"])
            .current_dir(&folder)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let package = &metadata["packages"][0];
        assert_eq!(package["name"], "my-model");
        let dependencies = package["dependencies"].as_array().unwrap();
        assert_eq!(dependencies.len(), 1);
        assert_eq!(dependencies[0]["path"], here().join("deploy").to_str().unwrap());
        let program = std::fs::read_to_string(folder.join("src/main.rs")).unwrap();
        assert!(program.starts_with("//! `psrun` with one more model"), "{program}");
        assert!(
            !program.contains("--example") && program.contains("psrun::main_with"),
            "{program}"
        );
        assert!(folder.join("Cargo.lock").is_file());
        // Nothing that is there is written over.
        let again = new(folder, Some(here().to_str().unwrap())).unwrap_err().to_string();
        assert!(again.contains("there already"), "{again}");
    }

    #[test]
    fn mistakes_are_named() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["9lives", "mein modell", "psrun", "x.y"] {
            let error = new(parent.path().join(name), None).unwrap_err().to_string();
            assert!(error.contains("a crate's name"), "{name}: {error}");
            assert!(!parent.path().join(name).exists());
        }
        let nowhere = parent.path().to_str().unwrap();
        let error = new(parent.path().join("fine"), Some(nowhere)).unwrap_err().to_string();
        assert!(error.contains("--source"), "{error}");
    }

    #[test]
    fn sources_may_be_in_a_repository() {
        let source = Source::parse("https://example.com/psrun.git").unwrap();
        assert!(
            manifest("x", &source).contains(r#"psrun = { git = "https://example.com/psrun.git" }"#)
        );
    }
}
