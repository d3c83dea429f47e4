//! Which crate of the workspace may depend on which, and on what from elsewhere that is kept apart.

use crate::files::root;
use serde_json::Value;
use std::process::Command;

/// What a crate may use in what it ships, of the workspace and of [`APART`], and why no more.
/// Another edge needs a decision in docs/adr.
const MAY_USE: [(&str, &[&str], &str); 14] = [
    ("ps-kernels", &[], "arithmetic on slices"),
    ("ps-core", &["ps-kernels"], "the logic, which knows no wire, no task and no file"),
    ("ps-proto", &["ps-core", "ps-kernels", "tonic"], "the wire's form of what the logic knows"),
    (
        "ps-runtime",
        &["ps-proto", "ps-core", "ps-kernels", "tokio", "tonic"],
        "what moves messages; knows no role and no option",
    ),
    (
        "ps-client",
        &["ps-runtime", "ps-proto", "ps-core", "ps-kernels", "tokio", "tonic"],
        "a worker's side, linked by programs in other languages: no models, no options",
    ),
    (
        "ps-cli",
        &["ps-runtime", "ps-core", "ps-kernels", "clap", "tokio"],
        "options and exit codes, for programs only",
    ),
    ("ps-data", &["ps-core", "tokio"], "from files to samples; knows no wire and no model"),
    ("ps-nn", &["ps-core", "candle"], "layers; knows no wire and no data"),
    ("ps-server", SERVICE, "a role knows no other role, and this one no models"),
    ("ps-master", SERVICE, "a role knows no other role, and this one no models and no data"),
    (
        "ps-worker",
        &[
            "ps-client",
            "ps-data",
            "ps-nn",
            "ps-cli",
            "ps-runtime",
            "ps-proto",
            "ps-core",
            "ps-kernels",
            "candle",
            "clap",
            "mimalloc",
            "tokio",
            "tonic",
        ],
        "a role knows no other role",
    ),
    (
        "psrun",
        &[
            "ps-server",
            "ps-worker",
            "ps-master",
            "ps-cli",
            "ps-data",
            "ps-nn",
            "ps-runtime",
            "ps-core",
            "clap",
            "mimalloc",
            "tokio",
        ],
        "starts every role, and is the one crate that a program with a model of its own needs; knows no wire",
    ),
    (
        "ps-python",
        &["ps-client", "ps-runtime", "ps-core", "ps-kernels", "tokio"],
        "a worker's side as a module of Python: no models, no options, no allocator (docs/adr/0044)",
    ),
    (
        "ps-tests",
        &[
            "psrun",
            "ps-server",
            "ps-worker",
            "ps-master",
            "ps-client",
            "ps-data",
            "ps-nn",
            "ps-cli",
            "ps-runtime",
            "ps-proto",
            "ps-core",
            "ps-kernels",
            "candle",
            "mimalloc",
            "tokio",
            "tonic",
        ],
        "tests all of it",
    ),
];
const SERVICE: &[&str] = &[
    "ps-cli",
    "ps-runtime",
    "ps-proto",
    "ps-core",
    "ps-kernels",
    "clap",
    "mimalloc",
    "tokio",
    "tonic",
];

/// What a crate's tests and examples may use beside that.
const TESTS_MAY_USE: [(&str, &[&str], &str); 1] =
    [("ps-proto", &["tokio"], "the codec is tested on streams")];

/// Families of crates from elsewhere that not everybody may use: candle for models, clap and mimalloc
/// for programs, tokio and tonic for what waits and talks. A name belongs to the family that it
/// starts with.
const APART: [&str; 5] = ["candle", "clap", "mimalloc", "tokio", "tonic"];

/// Families that must not be linked into a crate in any way.
const UNREACHABLE: [(&str, &[&str]); 7] = [
    ("ps-kernels", PURE),
    ("ps-core", PURE),
    ("ps-client", &["candle", "clap", "mimalloc"]),
    ("ps-python", &["candle", "clap", "mimalloc"]),
    ("ps-server", &["candle"]),
    ("ps-master", &["candle"]),
    ("ps-data", &["candle", "clap", "mimalloc", "tonic"]),
];
const PURE: &[&str] =
    &["candle", "clap", "mimalloc", "tokio", "tonic", "hyper", "h2", "mio", "socket2"];

fn cargo(arguments: &[&str]) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    let output = cargo.args(arguments).arg("--offline").current_dir(root()).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {arguments:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The crates of the workspace as cargo describes them.
fn packages() -> Vec<Value> {
    let metadata = cargo(&["metadata", "--format-version=1", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Where a crate's targets begin: its library, its programs, its tests.
pub(crate) fn target_roots() -> Vec<String> {
    let targets = packages().into_iter().flat_map(|it| it["targets"].as_array().unwrap().clone());
    targets.map(|target| target["src_path"].as_str().unwrap().to_owned()).collect()
}

fn listed<'a>(list: &[(&str, &'a [&'a str], &'a str)], name: &str) -> (&'a [&'a str], &'a str) {
    let found = list.iter().find(|(listed, ..)| *listed == name);
    found.map_or((&[], "it is in no list"), |(_, may_use, why)| (may_use, why))
}

/// What is wrong with what a crate says it depends on.
fn wrong_dependencies(package: &Value, members: &[&str]) -> Vec<String> {
    let name = package["name"].as_str().unwrap();
    let (may_use, why) = listed(&MAY_USE, name);
    let (tests_may_use, _) = listed(&TESTS_MAY_USE, name);
    let mut wrong = Vec::new();
    for dependency in package["dependencies"].as_array().unwrap() {
        let used = dependency["name"].as_str().unwrap();
        let family = APART.into_iter().find(|family| used.starts_with(family));
        let family = family.or(members.contains(&used).then_some(used));
        let is_allowed = |family| match dependency["kind"].as_str() {
            None => may_use.contains(&family),
            Some("dev") => may_use.contains(&family) || tests_may_use.contains(&family),
            // What builds a crate is not linked into it.
            Some(_) => true,
        };
        if family.is_some_and(|family| !is_allowed(family)) {
            let kind = dependency["kind"].as_str().unwrap_or("normal");
            wrong.push(format!("{name} -> {used} ({kind}); {name}: {why}"));
        }
    }
    wrong
}

#[test]
fn crates_use_what_they_may() {
    let packages = packages();
    let members: Vec<_> = packages.iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert!(members.contains(&"ps-client"), "{members:?}");
    let wrong = packages.iter().flat_map(|package| wrong_dependencies(package, &members));
    let wrong: Vec<_> = wrong.collect();
    assert!(wrong.is_empty(), "edges that the list in tests/tests/house lacks: {wrong:#?}");
}

#[test]
fn libraries_link_no_models_and_no_command_line() {
    for (name, families) in UNREACHABLE {
        let tree = cargo(&["tree", "-p", name, "--edges=normal", "--prefix=none", "--format={p}"]);
        let linked = tree.lines().filter_map(|line| line.split(' ').next());
        let wrong = linked.filter(|linked| families.iter().any(|it| linked.starts_with(it)));
        let wrong: Vec<_> = wrong.collect();
        let how = format!("cargo tree -p {name} --edges normal --invert NAME says by which way");
        assert!(wrong.is_empty(), "{name} links {wrong:?}; {how}");
    }
}
