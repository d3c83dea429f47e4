//! Which hyperparameters are options of ours. A program's are its arguments, all of them; those that have the name of an option
//! and could be its value are that, too.

use super::options::TrainArgs;
use crate::cli::{Cli, Command};
use crate::contract::environment::Contract;
use crate::contract::program::is_about_the_program;
use clap::Args as _;
use ps_cli::layers::{self, Layer};
use ps_cli::process::parse_with;

/// What their layer of options is called in messages.
pub(super) const SOURCE: &str = "hyperparameters";

/// The options with their values, and what people should know of those that are a program's alone.
pub(super) fn of_ours(contract: &Contract, has_program: bool) -> (Layer, Vec<String>) {
    let known = TrainArgs::augment_args(clap::Command::new("train"));
    let (mut values, mut notes) = (Vec::new(), Vec::new());
    for (name, value) in contract.hyperparameters.ours() {
        if is_about_the_program(name) || (has_program && !layers::has(&known, name)) {
            continue;
        }
        let value = (name.to_owned(), value.to_owned());
        if has_program && !is_value(&value) {
            notes.push(format!(
                "hyperparameter {}={}: for the program alone, as `psrun train --{}` takes no such value",
                value.0,
                value.1,
                value.0.replace('_', "-")
            ));
            continue;
        }
        values.push(value);
    }
    (Layer { source: SOURCE.to_owned(), values }, notes)
}

/// Whether the option of that name takes this value.
fn is_value(value: &(String, String)) -> bool {
    let layer = Layer { source: SOURCE.to_owned(), values: vec![value.clone()] };
    let words = ["psrun", "train"].map(std::ffi::OsString::from);
    match parse_with::<Cli>(words.to_vec(), &[layer]) {
        Ok(parsed) => match parsed.args.command {
            Command::Train(args) => args.job.training.settings().is_ok(),
            _ => false,
        },
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::environment::{self, BASE_VARIABLE, Variables};

    fn read(file: &str, has_program: bool) -> (Vec<(String, String)>, Vec<String>) {
        let base = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(base.path().join("input/config")).unwrap();
        std::fs::write(base.path().join("input/config/hyperparameters.json"), file).unwrap();
        let variables =
            Variables::from([(BASE_VARIABLE.to_owned(), base.path().display().to_string())]);
        let contract = environment::read(&variables).unwrap().unwrap();
        let (layer, notes) = of_ours(&contract, has_program);
        (layer.values, notes)
    }

    /// Found by a user: the script's `optimizer=Adam` ended the job before it began.
    #[test]
    fn regression_a_scripts_own_values_of_names_that_we_know_are_its_own() {
        let file = r#"{"optimizer": "Adam", "batch-size": "64,128", "keep": "all", "passes": "3",
                       "droput": "0.5", "entry_point": "train.py"}"#;
        let (values, notes) = read(file, true);
        assert_eq!(values, [("passes".to_owned(), "3".to_owned())]);
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert!(notes[2].contains("optimizer=Adam") && notes[2].contains("program alone"));
        // A model of ours has no arguments of its own: what is wrong is for the parser to say.
        let (values, notes) = read(file, false);
        assert_eq!((values.len(), notes.len()), (5, 0), "{values:?}");
    }
}
