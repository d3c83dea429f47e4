//! Options as texts: what was given, for another process that has the same options.

use clap::{ArgAction, ArgMatches, Command};
use serde::Serialize;
use serde_json::{Map, Value};
use std::ffi::{OsStr, OsString};

/// An option with a value that is not its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenOption {
    /// Its long name.
    pub name: String,
    /// Its `PS_*` variable.
    pub variable: OsString,
    /// Whether it is set by its name alone.
    pub is_flag: bool,
    /// What it was set to; several values are joined by commas.
    pub value: OsString,
}

/// The options of `command` that the matches, which may be another command's, have another value for
/// than its default, from wherever; those without a variable are about one call and not among them.
pub fn given(mut command: Command, matches: &ArgMatches) -> Vec<GivenOption> {
    command.build();
    let matches = matches.subcommand().map_or(matches, |(_, chosen)| chosen);
    let given = command.get_arguments().filter_map(|arg| {
        let (id, name, variable) = (arg.get_id().as_str(), arg.get_long()?, arg.get_env()?);
        let mut values: Vec<&OsStr> = matches.try_get_raw(id).ok()??.collect();
        let is_flag = matches!(arg.get_action(), ArgAction::SetTrue);
        if is_flag {
            // Variables say it in many ways.
            let is_set = *matches.try_get_one::<bool>(id).ok()??;
            values = vec![OsStr::new(if is_set { "true" } else { "false" })];
        }
        (values != arg.get_default_values()).then(|| GivenOption {
            name: name.to_owned(),
            variable: variable.to_owned(),
            is_flag,
            value: values.join(OsStr::new(",")),
        })
    });
    given.collect()
}

/// The options in a group of options that have a value, by their long names.
pub fn values(group: &impl Serialize) -> Vec<(String, String)> {
    // By way of text, where an `f32` is as short as it can be.
    let read = |text: String| serde_json::from_str::<Map<String, Value>>(&text);
    let values = serde_json::to_string(group).and_then(read);
    let values = values.unwrap_or_else(|error| unreachable!("options are plain values: {error}"));
    let given = values.into_iter().filter_map(|(name, value)| {
        let value = match value {
            Value::Null => return None,
            Value::String(text) => text,
            Value::Number(number) if number.is_f64() => number.as_f64()?.to_string(),
            other => other.to_string(),
        };
        Some((name.replace('_', "-"), value))
    });
    given.collect()
}

/// The variable of an option.
pub(crate) fn variable(name: &str) -> String {
    format!("PS_{}", name.to_uppercase().replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[derive(Parser)]
    struct Known {
        #[arg(long, env = "PS_UNIT_PATH", default_value = "here")]
        _path: OsString,
        #[arg(long, env = "PS_UNIT_SHARDED")]
        _sharded: bool,
        #[arg(long, env = "PS_UNIT_NAMES", value_delimiter = ',')]
        _names: Vec<String>,
        #[arg(long)]
        _once: Option<String>,
    }

    fn options(command: Command, args: &[&str]) -> Vec<(String, OsString)> {
        let line = std::iter::once("program").chain(args.iter().copied());
        let given = given(Known::command(), &command.get_matches_from(line));
        given.into_iter().map(|option| (option.name, option.value)).collect()
    }

    #[test]
    fn what_differs_from_the_defaults_was_given() {
        assert_eq!(options(Known::command(), &[]), []);
        assert_eq!(options(Known::command(), &["--path=here", "--once=x"]), []);
        let all = ["--path=there", "--sharded", "--names=a,b"];
        let expected = [("path", "there"), ("sharded", "true"), ("names", "a,b")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.into()));
        assert_eq!(options(Known::command(), &all), expected);
        // A layer is nothing but other defaults.
        let layered = Known::command().mut_arg("_path", |arg| arg.default_value("there"));
        assert_eq!(options(layered, &[]), expected[..1]);
        assert_eq!(options(Command::new("another"), &[]), []);
    }

    #[test]
    fn variables_are_named_after_options() {
        assert_eq!(variable("batch-size"), "PS_BATCH_SIZE");
        assert_eq!(variable("sharded"), "PS_SHARDED");
    }
}
