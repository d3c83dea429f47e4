//! What a launcher says becomes defaults of our options, so that flags and `PS_*` variables win
//! over it, and one parser checks every value.

use crate::contract::hyperparameters::boolean;
use clap::{Arg, ArgAction, Command};

/// What people write in other systems, and what it is called here.
const SYNONYMS: [(&str, &str); 8] = [
    ("epochs", "passes"),
    ("num-epochs", "passes"),
    ("learning-rate", "lr"),
    ("eta", "lr"),
    ("mini-batch-size", "batch-size"),
    ("hidden-units", "hidden"),
    ("hidden-layers", "hidden"),
    ("random-seed", "seed"),
];

/// The command with these values as defaults of its options of the same name; `_` is read as `-`.
///
/// # Errors
/// Every name that is no option, with the nearest one, and every value that its option refuses.
pub fn apply<'a>(
    mut command: Command,
    values: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Command, String> {
    let mut wrong = Vec::new();
    for (name, value) in values {
        match checked(&command, name, value) {
            Ok((id, value)) => {
                command = command.mut_arg(id, |arg| arg.default_value(value));
            }
            Err(message) => wrong.push(format!("`{name}`: {message}")),
        }
    }
    if wrong.is_empty() { Ok(command) } else { Err(wrong.join("; ")) }
}

/// Whether there is such an option.
pub fn has(command: &Command, name: &str) -> bool {
    options(command).any(|arg| arg.get_long() == Some(name))
}

/// The option of this name and the value as it takes it.
fn checked(command: &Command, name: &str, value: &str) -> Result<(String, String), String> {
    let long = name.replace('_', "-");
    let option = options(command).find(|arg| arg.get_long() == Some(&long));
    let Some(option) = option else {
        return Err(unknown(command, &long));
    };
    let id = option.get_id().to_string();
    if matches!(option.get_action(), ArgAction::SetTrue) {
        let is_so = boolean(value);
        let is_so = is_so.ok_or_else(|| format!("expected true or false, found `{value}`"))?;
        return Ok((id, is_so.to_string()));
    }
    let line = [command.get_name().to_owned(), format!("--{long}={value}")];
    match command.clone().try_get_matches_from(line) {
        Ok(_) => Ok((id, value.to_owned())),
        Err(error) => Err(ps_cli::process::Unparsed::Clap(Box::new(error)).to_string()),
    }
}

/// The options that a launcher may set: those that people see, but for what is about one call.
fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    shown
        .filter(|arg| !["help", "version", "dry-run"].contains(&arg.get_id().as_str()))
        .filter(|arg| arg.get_long() != Some("dry-run"))
}

/// A name that is none, with the nearest that is.
fn unknown(command: &Command, name: &str) -> String {
    let synonym = SYNONYMS.iter().find(|(other, _)| *other == name).map(|(_, ours)| *ours);
    let known = options(command).filter_map(Arg::get_long);
    let nearest = synonym
        .filter(|ours| has(command, ours))
        .or_else(|| known.min_by_key(|known| strsim::damerau_levenshtein(known, name)));
    match nearest {
        Some(nearest) => format!("no such option; the nearest is `{nearest}`"),
        None => "no such option".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::options::TrainArgs;
    use clap::{Args, FromArgMatches};

    fn parse(values: &[(&str, &str)], flags: &[&str]) -> Result<TrainArgs, String> {
        let command = TrainArgs::augment_args(Command::new("train"));
        let command = apply(command, values.iter().copied())?;
        let line = std::iter::once("train").chain(flags.iter().copied());
        let matches = command.try_get_matches_from(line).map_err(|error| error.to_string())?;
        TrainArgs::from_arg_matches(&matches).map_err(|error| error.to_string())
    }

    #[test]
    fn values_become_options_and_flags_win() {
        let values = [
            ("lr", "0.5"),
            ("batch_size", "16"),
            ("staleness-bound", "none"),
            ("master_trains", "True"),
            ("server-groups", "a,b"),
            ("hidden", "64,32"),
            ("resolve_timeout_s", "3"),
        ];
        let args = parse(&values, &["--lr=0.25"]).unwrap();
        assert_eq!((args.training.lr, args.training.batch_size), (Some(0.25), Some(16)));
        assert_eq!(args.training.staleness_bound.as_deref(), Some("none"));
        assert!(args.host.master_trains);
        assert_eq!(args.host.server_groups, ["a", "b"]);
        assert_eq!(args.model.shape.hidden.as_deref(), Some("64,32"));
        assert_eq!(args.host.resolve_timeout_s, 3);
        assert!(!parse(&[("master-trains", "false")], &[]).unwrap().host.master_trains);
        assert!(
            parse(&[("master-trains", "false")], &["--master-trains"]).unwrap().host.master_trains
        );
    }

    #[test]
    fn all_mistakes_are_named_at_once() {
        let values = [
            ("batch_sise", "16"),
            ("epochs", "3"),
            ("lr", "fast"),
            ("passes", "-1"),
            ("master_trains", "perhaps"),
            ("seed", "7"),
        ];
        let error = parse(&values, &[]).unwrap_err();
        for words in [
            "`batch_sise`: no such option; the nearest is `batch-size`",
            "`epochs`: no such option; the nearest is `passes`",
            "`lr`: invalid value 'fast'",
            "`passes`: ",
            "`master_trains`: expected true or false, found `perhaps`",
        ] {
            assert!(error.contains(words), "no {words}: {error}");
        }
        assert!(!error.contains("seed"), "{error}");
    }

    #[test]
    fn what_is_about_one_call_is_no_hyperparameter() {
        for name in ["help", "dry-run", "exit-with-parent", "listen-host"] {
            assert!(
                parse(&[(name, "true")], &[]).unwrap_err().contains("no such option"),
                "{name}"
            );
        }
    }
}
