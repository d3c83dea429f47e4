//! The configuration file: its values become the defaults of the options of the same name, so that
//! flags win over the environment, the environment over the file, and the file over the defaults.

use clap::{Command, Id};
use std::ffi::OsString;

/// Applies the file that `--config` or `PS_CONFIG` names, if any.
///
/// # Errors
/// The file cannot be read or parsed, or names an option that does not exist.
pub(crate) fn apply(command: Command, args: &[OsString]) -> Result<Command, String> {
    let Some(path) = path(args) else {
        return Ok(command);
    };
    let shown = path.to_string_lossy().into_owned();
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("reading the configuration file {shown}: {error}"))?;
    let table: toml::Table =
        text.parse().map_err(|error| format!("configuration file {shown}: {error}"))?;
    let chosen = args.iter().skip(1).find_map(|arg| {
        let subcommand = command.find_subcommand(arg)?;
        Some(subcommand.get_name().to_owned())
    });
    table.iter().try_fold(command, |command, (name, value)| {
        let long = name.replace('_', "-");
        let option = find(&command, &long).ok_or_else(|| {
            format!("configuration file {shown}: no option --{long}; see --help for the options")
        })?;
        Ok(set_default(command, chosen.as_deref(), &option, &plain(value)))
    })
}

fn set_default(command: Command, chosen: Option<&str>, option: &Id, value: &str) -> Command {
    let set = |command: Command| {
        if command.get_arguments().any(|arg| arg.get_id() == option) {
            command.mut_arg(option, |arg| arg.default_value(value.to_owned()).required(false))
        } else {
            command
        }
    };
    match chosen {
        Some(chosen) => set(command).mut_subcommand(chosen, set),
        None => set(command),
    }
}

/// A value as it would stand on the command line; lists are joined by commas.
fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// The option with this long name, in the command or a subcommand.
fn find(command: &Command, long: &str) -> Option<Id> {
    let own = command.get_arguments().find(|arg| arg.get_long() == Some(long));
    own.map(|arg| arg.get_id().clone())
        .or_else(|| command.get_subcommands().find_map(|subcommand| find(subcommand, long)))
}

fn path(args: &[OsString]) -> Option<OsString> {
    let mut rest = args.iter().skip(1);
    while let Some(arg) = rest.next() {
        let text = arg.to_string_lossy();
        match text.as_ref() {
            "--" => break,
            "--config" => return rest.next().cloned(),
            other => {
                if let Some(path) = other.strip_prefix("--config=") {
                    return Some(path.into());
                }
            }
        }
    }
    std::env::var_os("PS_CONFIG").filter(|path| !path.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, FromArgMatches, Parser};

    #[derive(Parser, Debug)]
    struct Options {
        #[arg(long, default_value_t = 1)]
        passes: u64,
        #[arg(long)]
        must: String,
        #[arg(long)]
        config: Option<String>,
        #[arg(long, value_delimiter = ',')]
        servers: Vec<String>,
    }

    fn parse(file: &str, args: &[&str]) -> Result<Options, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("job.toml");
        std::fs::write(&path, file).unwrap();
        let config = format!("--config={}", path.display());
        let args = ["program", &config].into_iter().chain(args.iter().copied());
        let args: Vec<OsString> = args.map(OsString::from).collect();
        let command = apply(Options::command(), &args)?;
        let matches = command.try_get_matches_from(args).map_err(|error| error.to_string())?;
        Options::from_arg_matches(&matches).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let options = parse("passes = 5\nmust = 'x'\nservers = ['a', 'b']", &[]).unwrap();
        assert_eq!((options.passes, options.must.as_str()), (5, "x"));
        assert_eq!(options.servers, ["a", "b"]);
        assert!(options.config.is_some());
        let options = parse("passes = 5\nmust = 'x'", &["--passes", "7"]).unwrap();
        assert_eq!(options.passes, 7);
        assert_eq!(parse("must = 'x'", &[]).unwrap().passes, 1);
    }

    #[test]
    fn mistakes_in_the_file_are_named() {
        assert!(parse("pases = 5", &[]).unwrap_err().contains("--pases"));
        assert!(parse("passes 5", &[]).unwrap_err().contains("job.toml"));
        assert!(parse("passes = 'many'\nmust = 'x'", &[]).unwrap_err().contains("many"));
    }
}
