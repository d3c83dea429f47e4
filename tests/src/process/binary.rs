//! The binary under test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The binary under test: built when it is first asked for, or named by `PS_TEST_PSRUN`.
///
/// # Panics
/// It cannot be built.
pub fn psrun() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("PS_TEST_PSRUN") {
        Some(path) => path.into(),
        None => build("--bin", "psrun"),
    })
}

/// psrun with a model that counts, of this crate's examples: built when it is first asked for.
///
/// # Panics
/// It cannot be built.
pub fn counting_model() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| build("--example", "counting_model"))
}

/// Builds with the whole workspace's features, so that what the tests were built with is reused.
fn build(kind: &str, name: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // What cargo says of this test would have a build script run again, and much after it.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            build.env_remove(&name);
        }
    }
    let output = build
        .args(["build", "--release", "--workspace", kind, name])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .stderr(Stdio::inherit())
        .output();
    let output = output.unwrap_or_else(|error| panic!("building {name}: {error}"));
    assert!(output.status.success(), "building {name}: {}", output.status);
    // Only cargo knows where it put it: the target folder can be configured in many ways.
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str(line).ok());
    let executable = artifacts
        .filter(|artifact: &serde_json::Value| artifact["target"]["name"] == name)
        .find_map(|artifact| Some(artifact["executable"].as_str()?.into()));
    executable.unwrap_or_else(|| panic!("building {name}: cargo named no executable:\n{messages}"))
}
