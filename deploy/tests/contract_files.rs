//! Files and variables that SageMaker's own SDKs and toolkit wrote.

#![allow(clippy::unwrap_used)] // A test fails by panicking, its helpers too.

use psrun::contract::environment::{self, Contract, Variables};
use std::path::{Path, PathBuf};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// What each host of a job reads, in the order of the hosts' names.
fn hosts(launcher: &str) -> Vec<Contract> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(fixtures().join(launcher))
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    folders.sort();
    let read = |folder: &PathBuf| {
        let base = tempfile::tempdir().unwrap();
        let config = base.path().join("input/config");
        std::fs::create_dir_all(&config).unwrap();
        for file in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            std::fs::copy(file.path(), config.join(file.file_name())).unwrap();
        }
        let base = base.path().display().to_string();
        let variables = Variables::from([("SAGEMAKER_BASE_DIR".to_owned(), base)]);
        environment::read(&variables).unwrap().unwrap()
    };
    folders.iter().map(read).collect()
}

#[test]
fn all_launchers_mean_the_same() {
    for launcher in ["sdk_v2_local_generic_hp", "sdk_v2_local_tf", "sdk_v3_local_none"] {
        let contracts = hosts(launcher);
        assert_eq!(contracts.len(), 3, "{launcher}");
        for (position, contract) in contracts.iter().enumerate() {
            assert!(contract.has_parameter_servers(), "{launcher}");
            assert_eq!(contract.resources.current_host, contract.resources.hosts[position]);
            let ours: Vec<_> = contract.hyperparameters.ours().collect();
            for expected in [("lr", "0.1"), ("name", "mlp"), ("hidden", "64,32")] {
                assert!(ours.contains(&expected), "{launcher}: no {expected:?} in {ours:?}");
            }
            let shuffle = ours.iter().find(|(name, _)| *name == "shuffle").unwrap().1;
            assert!(shuffle.eq_ignore_ascii_case("true"), "{launcher}: {shuffle}");
            assert!(ours.iter().all(|(name, _)| !name.starts_with("sagemaker_")), "{ours:?}");
            let names: Vec<_> = contract.channels.iter().map(|it| it.name.as_str()).collect();
            assert!(names.contains(&"training"), "{launcher}: {names:?}");
        }
    }
    let job = hosts("sdk_v2_local_tf")[0].job.clone();
    assert_eq!(job.as_deref(), Some("parameter-server-2026-11-20-22-11-41-084"));
}

#[test]
fn the_toolkits_variables_are_enough() {
    let text = std::fs::read_to_string(fixtures().join("toolkit_env.txt")).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let variables: Variables = pairs.map(|(name, value)| (name.into(), value.into())).collect();
    let contract = environment::read(&variables).unwrap().unwrap();
    assert_eq!(contract.resources.hosts, ["algo-1", "algo-2", "algo-3"]);
    assert_eq!(contract.resources.groups["homogeneousCluster"].len(), 3);
    assert_eq!(contract.job.as_deref(), Some("job-1"));
    assert!(contract.has_parameter_servers());
    let ours: Vec<_> = contract.hyperparameters.ours().collect();
    // A null is as good as not given.
    let expected = [
        ("batch-size", "128"),
        ("epochs", "3"),
        ("hidden", "64,32"),
        ("lr", "0.1"),
        ("name", "mlp"),
        ("opt", "a=1"),
        ("shuffle", "true"),
    ];
    assert_eq!(ours, expected);
    assert_eq!(contract.channels.len(), 1);
    assert!(contract.channels[0].is_sharded);
    assert_eq!(contract.channels[0].path, Path::new("HOST_PATH"));
}
