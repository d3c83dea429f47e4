//! Values of options that neither the command line nor the environment gives: from a configuration
//! file or a launcher. They become the defaults of the options of the same name, so that flags win
//! over `PS_*` variables and these over every layer, and one parser checks every value.

use clap::builder::{BoolishValueParser, TypedValueParser};
use clap::{Arg, ArgAction, Command};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

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

/// The programs that a file may have sections for.
const PROGRAMS: [&str; 4] = ["psrun", "ps-master", "ps-server", "ps-worker"];

/// Values from one source.
#[derive(Clone, Debug)]
pub struct Layer {
    /// What people know the source as.
    pub source: String,
    /// Names of options and what they are set to, as on a command line; `_` is read as `-`, and the
    /// last one of a name wins.
    pub values: Vec<(String, String)>,
}

/// The command with the values of the file that the command line or `PS_CONFIG` names, and above
/// them those of these layers, each above the ones before it.
pub(crate) fn apply(
    command: Command,
    args: &[OsString],
    layers: &[Layer],
) -> Result<Command, String> {
    let mut file = file(&command, args)?;
    if !command.has_subcommands() {
        let mut all = file.iter().chain(layers);
        return all.try_fold(command, |command, layer| layer.apply(command));
    }
    let chosen = args.iter().skip(1).find_map(|arg| command.find_subcommand(arg)).cloned();
    // Without one there is nothing to set, and clap says what is missing.
    let Some(chosen) = chosen else {
        return Ok(command);
    };
    let name = chosen.get_name().to_owned();
    // One file may be for several commands: what only another one has is not for this.
    if let Some(file) = &mut file {
        let is_others = |name: &str| command.get_subcommands().any(|other| has(other, name));
        file.values.retain(|(name, _)| has(&chosen, name) || !is_others(name));
    }
    let mut all = file.iter().chain(layers);
    let chosen = all.try_fold(chosen, |chosen, layer| layer.apply(chosen))?;
    Ok(command.mut_subcommand(name, |_| chosen))
}

impl Layer {
    /// Errors: every name that is no option, with the nearest one, and every value that its option
    /// refuses.
    fn apply(&self, mut command: Command) -> Result<Command, String> {
        let mut wrong = contradictions(&self.values);
        for (name, value) in &self.values {
            let long = name.replace('_', "-");
            match find(&command, &long).and_then(|option| checked(option, &long, value)) {
                Ok((id, value)) => {
                    command = command.mut_arg(id, |arg| arg.default_value(value).required(false));
                }
                Err(message) => wrong.push(format!("`{name}`: {message}")),
            }
        }
        if wrong.is_empty() {
            return Ok(command);
        }
        Err(format!("{}: {}", self.source, wrong.join("; ")))
    }
}

/// The variable of the option that others call so, as variables are written.
pub(crate) fn synonym(name: &str) -> Option<String> {
    let long = name.to_lowercase().replace('_', "-");
    let known = SYNONYMS.iter().find(|(other, _)| *other == long);
    known.map(|(_, ours)| crate::given::variable(ours))
}

/// Options that are given in two spellings, with two values: nobody knows which is meant.
fn contradictions(values: &[(String, String)]) -> Vec<String> {
    let pairs = values.iter().enumerate().flat_map(|(position, (name, value))| {
        values[..position].iter().filter_map(move |(other, its)| {
            let is_same = name != other && name.replace('_', "-") == other.replace('_', "-");
            (is_same && value != its).then(|| {
                format!(
                    "`{other}` and `{name}` are the same option, set to {its} and {value}: give one"
                )
            })
        })
    });
    pairs.collect()
}

/// Whether a layer may set an option of this name; `_` is read as `-`.
pub fn has(command: &Command, name: &str) -> bool {
    find(command, &name.replace('_', "-")).is_ok()
}

/// Whether a table may be the value of the option of this name.
fn takes_pairs(command: &Command, name: &str) -> bool {
    let found = find(command, &name.replace('_', "-")).ok();
    let names = found.and_then(|option| option.get_value_names()).unwrap_or_default();
    names.iter().any(|name| name.as_str() == "NAME=VALUE")
}

fn find<'a>(command: &'a Command, long: &str) -> Result<&'a Arg, String> {
    let named = |name: &str| options(command).find(|arg| arg.get_long() == Some(name));
    named(long).ok_or_else(|| {
        let synonym = SYNONYMS.iter().find(|(other, ours)| *other == long && named(ours).is_some());
        let known = options(command).filter_map(Arg::get_long);
        let nearest = synonym
            .map(|(_, ours)| *ours)
            .or_else(|| known.min_by_key(|known| strsim::damerau_levenshtein(known, long)));
        match nearest {
            Some(nearest) => format!("no such option; the nearest is `{nearest}`"),
            None => "no such option".to_owned(),
        }
    })
}

/// The options that a layer may set: those that people see and that have a variable. The others are
/// about one call.
fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !arg.is_hide_set() && arg.get_env().is_some())
}

/// The option's id and the value as it takes it.
fn checked(option: &Arg, long: &str, value: &str) -> Result<(String, String), String> {
    let id = option.get_id().to_string();
    if matches!(option.get_action(), ArgAction::SetTrue) {
        let parser = BoolishValueParser::new();
        let is_so = parser.parse_ref(&Command::new(""), None, OsStr::new(value));
        let is_so = is_so.map_err(|_| format!("expected true or false, found `{value}`"))?;
        return Ok((id, is_so.to_string()));
    }
    // By itself: what else the command requires is for the whole command line to have.
    let alone = Arg::new("value")
        .long(long.to_owned())
        .value_parser(option.get_value_parser().clone())
        .value_names(option.get_value_names().unwrap_or_default().to_vec())
        .value_delimiter(option.get_value_delimiter());
    let parse = |value: &str| {
        let line = [String::new(), format!("--{long}={value}")];
        Command::new("").arg(alone.clone()).try_get_matches_from(line)
    };
    match (parse(value), whole_number(value)) {
        (Ok(_), _) => Ok((id, value.to_owned())),
        // Tuning jobs, and Python, write whole numbers so.
        (Err(_), Some(whole)) if parse(&whole).is_ok() => Ok((id, whole)),
        (Err(error), _) => Err(crate::unparsed::Unparsed::Clap(Box::new(error)).to_string()),
    }
}

/// `10.0` or `1e3` as the whole number that it is.
fn whole_number(text: &str) -> Option<String> {
    let number: f64 = text.trim().parse().ok()?;
    // Above, not every whole number is a number of this kind.
    let is_whole = number.fract() == 0.0 && number.abs() < 2_f64.powi(53);
    is_whole.then(|| format!("{number:.0}"))
}

/// What the file has for every program, and then what it has for this one.
fn file(command: &Command, args: &[OsString]) -> Result<Option<Layer>, String> {
    let Some(path) = path(args) else {
        return Ok(None);
    };
    let program = command.get_name();
    let source = format!("configuration file {}", path.to_string_lossy());
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("{source}: it cannot be read: {error}"))?;
    let table: toml::Table = text.parse().map_err(|error| format!("{source}: {error}"))?;
    let takes_pairs = |name: &str| {
        let mut all = std::iter::once(command).chain(command.get_subcommands());
        all.any(|command| takes_pairs(command, name))
    };
    let (sections, common): (Vec<_>, Vec<_>) =
        table.into_iter().partition(|(name, value)| value.is_table() && !takes_pairs(name));
    let names: Vec<&str> = sections.iter().map(|(name, _)| name.as_str()).collect();
    let is_known = |name: &str| name == program || PROGRAMS.contains(&name);
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        let programs = PROGRAMS.join(", ");
        return Err(format!("{source}: section [{unknown}]: sections are for {programs}"));
    }
    if !names.is_empty() && !names.contains(&program) {
        return Err(format!(
            "{source}: its sections are for {}, none is for {program}",
            names.join(", ")
        ));
    }
    let own = sections.into_iter().filter(|(name, _)| name == program);
    let own = own.flat_map(|(_, section)| section.as_table().cloned().unwrap_or_default());
    let texts = |table: Vec<(String, toml::Value)>| -> Vec<(String, String)> {
        table.into_iter().map(|(name, value)| (name, plain(&value))).collect()
    };
    let (common, own) = (texts(common), texts(own.collect()));
    // A section may say otherwise than what stands above it, however it spells the name.
    if let Some(wrong) = contradictions(&common).into_iter().chain(contradictions(&own)).next() {
        return Err(format!("{source}: {wrong}"));
    }
    let values = common.into_iter().chain(own);
    let values = values.map(|(name, value)| (name.replace('_', "-"), value)).collect();
    Ok(Some(Layer { source, values }))
}

/// A value as it would stand on the command line; lists and pairs are joined by commas.
fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        toml::Value::Table(pairs) => {
            let pairs = pairs.iter().map(|(name, value)| format!("{name}={}", plain(value)));
            pairs.collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}

fn path(args: &[OsString]) -> Option<OsString> {
    let mut rest = args.iter().skip(1);
    while let Some(arg) = rest.next() {
        match arg.as_bytes() {
            b"--" => break,
            b"--config" => return rest.next().cloned(),
            other => {
                if let Some(path) = other.strip_prefix(b"--config=") {
                    return Some(OsStr::from_bytes(path).to_owned());
                }
            }
        }
    }
    std::env::var_os("PS_CONFIG").filter(|path| !path.is_empty())
}

#[cfg(test)]
mod tests;
