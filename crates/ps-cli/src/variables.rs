//! Environment variables of options: which there are, what an empty one means, and those that are probably misspelt.

use clap::builder::Resettable;
use clap::{Arg, Command};

/// Every variable that a program of ours reads: who starts several of them may set all of them for each. A test keeps it complete.
pub const KNOWN: &[&str] = &[
    "PS_ADVERTISE",
    "PS_ATTEMPT_MS",
    "PS_AUGMENT_SHIFT",
    "PS_BARRIER_TIMEOUT_S",
    "PS_BATCH_SIZE",
    "PS_BLOCKS",
    "PS_BUFFER_MIB",
    "PS_CATEGORICAL",
    "PS_CHANNELS",
    "PS_CHAOS",
    "PS_CHECKPOINTS",
    "PS_CHECKPOINT_EVERY_PASSES",
    "PS_CHECKPOINT_EVERY_S",
    "PS_CHECKPOINT_EVERY_STEPS",
    "PS_CLASSES",
    "PS_CLASS_WEIGHTS",
    "PS_CLIP_NORM",
    "PS_CONFIG",
    "PS_CONNECTIONS",
    "PS_CONTEXT",
    "PS_COSINE_MINIMUM",
    "PS_CUT_MEMORY",
    "PS_DATA",
    "PS_DATASET",
    "PS_DATASET_OPTION",
    "PS_DECIMAL",
    "PS_DELIMITER",
    "PS_DEVICE",
    "PS_DIVERGENCE",
    "PS_DROPOUT",
    "PS_DURABILITY",
    "PS_EARLY_STOP_AFTER",
    "PS_EMBED",
    "PS_EPOCH",
    "PS_EVALUATE_EVERY",
    "PS_EVALUATION_TIMEOUT_S",
    "PS_FAIL_POINT",
    "PS_FAIL_POINTS",
    "PS_FORMAT",
    "PS_FREEZE",
    "PS_HEADER",
    "PS_HEADS",
    "PS_HIDDEN",
    "PS_HOST_NAME",
    "PS_HUBER_DELTA",
    "PS_IGNORE",
    "PS_IGNORE_FILES",
    "PS_INCARNATION",
    "PS_INITIAL_MODEL",
    "PS_INSTANCES",
    "PS_JOB_ID",
    "PS_JOURNAL",
    "PS_JOURNAL_MIB",
    "PS_KEEP",
    "PS_KEEP_IN",
    "PS_KEEP_JOURNAL",
    "PS_KEEP_MEASURE",
    "PS_LABEL",
    "PS_LABEL_KIND",
    "PS_LAYERS",
    "PS_LEASE_MS",
    "PS_LISTEN",
    "PS_LISTEN_HOST",
    "PS_LOAD_TIMEOUT_S",
    "PS_LOCAL_INDEX",
    "PS_LOCAL_WORKERS",
    "PS_LOG",
    "PS_LOSS",
    "PS_LR",
    "PS_MASTER",
    "PS_MASTER_PORT",
    "PS_MASTER_TRAINS",
    "PS_MISSING",
    "PS_MODEL",
    "PS_MODEL_OPTION",
    "PS_MOMENTUM",
    "PS_NUMERIC",
    "PS_ON_SERVER_LOSS",
    "PS_OPTIMIZER",
    "PS_OUT",
    "PS_PARAMETER_GROUPS",
    "PS_PASSES",
    "PS_PATIENCE_MS",
    "PS_PIPE",
    "PS_PIPELINE_DEPTH",
    "PS_POSITIVE_WEIGHT",
    "PS_PROGRAM_MASTER",
    "PS_RESOLVE_TIMEOUT_S",
    "PS_RESUMED_CHECKPOINT",
    "PS_RESUMED_PASS",
    "PS_ROLE",
    "PS_SCHEDULE",
    "PS_SCHEMA",
    "PS_SCHEMA_SAMPLES",
    "PS_SEED",
    "PS_SERVERS",
    "PS_SERVER_ADDRESSES",
    "PS_SERVER_AWAY_S",
    "PS_SERVER_GROUPS",
    "PS_SERVER_PORT",
    "PS_SERVE_BODY_MIB",
    "PS_SERVE_LISTEN",
    "PS_SERVE_MODEL",
    "PS_SERVE_REQUESTS",
    "PS_SERVE_SAMPLES",
    "PS_SETTINGS",
    "PS_SHARD",
    "PS_SHARDED",
    "PS_SHUFFLE_BUFFER",
    "PS_STALENESS_BOUND",
    "PS_STALENESS_CORRECTION",
    "PS_START_TIMEOUT_S",
    "PS_STATE",
    "PS_STEPS_MIN",
    "PS_STEP_EVERY",
    "PS_STEP_FACTOR",
    "PS_STEP_TIMEOUT_S",
    "PS_STOP_TIMEOUT_S",
    "PS_STREAM",
    "PS_TASK",
    "PS_TEST",
    "PS_TEST_PIPE",
    "PS_THREADS",
    "PS_TOP_K",
    "PS_UNREAD_MS",
    "PS_VALIDATION",
    "PS_VALIDATION_SEED",
    "PS_VALIDATION_SPLIT",
    "PS_WARMUP",
    "PS_WEIGHT_DECAY",
    "PS_WIDTH",
    "PS_WIRE",
    "PS_WIRE_PULL",
    "PS_WORKERS",
    "PS_WORKERS_PER_INSTANCE",
    "PS_WORKER_GROUPS",
    "PS_WORKER_INDEX",
    "PS_WRAPPER",
    "PS_WRITE_SCHEMA",
];

/// What only tests and benchmarks read.
const OURS: [&str; 4] = ["PS_TEST_", "PS_SIM_", "PS_BENCH_", "PS_UNIT_"];

/// Letters that may be wrong in a name that is taken for another one; in a long one, a quarter of them.
const WRONG_MAX: usize = 2;

/// A variable that is set to nothing is one that is not set: scripts and manifests cannot always leave one out.
pub(crate) fn without_empty(command: Command) -> Command {
    let is_empty = |arg: &Arg| {
        let value = arg.get_env().and_then(std::env::var_os);
        value.is_some_and(|value| value.is_empty())
    };
    let command =
        command.mut_args(|arg| if is_empty(&arg) { arg.env(Resettable::Reset) } else { arg });
    command.mut_subcommands(without_empty)
}

/// Tells people of variables of the environment that no option has, and that one nearly has.
pub fn tell_misspelt() {
    let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    for line in misspelt(names) {
        eprintln!("warning: {line}");
    }
}

/// What there is to say of these names.
fn misspelt(names: impl Iterator<Item = String>) -> Vec<String> {
    let is_strange = |name: &String| {
        let is_ours = OURS.iter().any(|start| name.starts_with(start));
        name.starts_with("PS_") && !is_ours && !KNOWN.contains(&name.as_str())
    };
    let mut lines: Vec<String> = names
        .filter(is_strange)
        .filter_map(|name| {
            let known = nearest(&name)?;
            Some(format!("the variable {name} does nothing; is {known} meant?"))
        })
        .collect();
    lines.sort();
    lines
}

/// The variable that this name probably is; other programs have variables that begin as ours do.
fn nearest(name: &str) -> Option<&'static str> {
    if let Some(ours) = crate::layers::synonym(&name["PS_".len()..]) {
        return KNOWN.iter().copied().find(|known| *known == ours);
    }
    let by_distance = |known: &&&str| strsim::damerau_levenshtein(known, name);
    let known = KNOWN.iter().min_by_key(by_distance)?;
    let wrong_max = WRONG_MAX.max((name.len() - "PS_".len()) / 4);
    (by_distance(&known) <= wrong_max).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str) -> Option<String> {
        misspelt(std::iter::once(name.to_owned())).pop()
    }

    /// Found by newcomers: a variable with a letter too few changed nothing, and nobody said so.
    #[test]
    fn regression_a_misspelt_variable_is_told_with_the_nearest() {
        for (wrong, meant) in [
            ("PS_PASES", "PS_PASSES"),
            ("PS_BATCHSIZE", "PS_BATCH_SIZE"),
            ("PS_LEARNING_RATE", "PS_LR"),
            ("PS_EPOCHS", "PS_PASSES"),
            ("PS_VALIDATON_SPLTI", "PS_VALIDATION_SPLIT"),
        ] {
            let line = told(wrong).unwrap();
            assert!(line.contains(wrong) && line.contains(meant), "{line}");
        }
        for right in ["PS_PASSES", "PS_EPOCH", "PS_SIM_SEEDS", "PS_PERSONALITY", "PATH", "PS1"] {
            assert_eq!(told(right), None);
        }
    }
}
