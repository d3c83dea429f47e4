//! A model's own options, as texts from the command line or a hyperparameter file.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// Options by name. A model takes those it knows; what is left over is an error, so that a
/// misspelt option does not silently train another model than meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelOptions {
    given: BTreeMap<String, String>,
    known: BTreeSet<String>,
}

impl ModelOptions {
    /// The value of an option, or the default if it was not given.
    ///
    /// # Errors
    /// The text cannot be read as this type.
    pub fn take<T: FromStr>(&mut self, name: &str, default: T) -> candle_core::Result<T> {
        self.known.insert(name.to_owned());
        match self.given.remove(name) {
            None => Ok(default),
            Some(text) => read(name, text.trim()),
        }
    }

    /// The values of an option with commas between them; an empty text is an empty list.
    ///
    /// # Errors
    /// A part cannot be read as this type.
    pub fn take_list<T: FromStr>(
        &mut self,
        name: &str,
        default: Vec<T>,
    ) -> candle_core::Result<Vec<T>> {
        self.known.insert(name.to_owned());
        match self.given.remove(name) {
            None => Ok(default),
            Some(text) if text.trim().is_empty() => Ok(Vec::new()),
            Some(text) => text.split(',').map(|part| read(name, part.trim())).collect(),
        }
    }

    /// What is wrong with the options that no one took, in words.
    pub(super) fn left_over(&self) -> Option<String> {
        let name = self.given.keys().next()?;
        let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
        Some(match known.as_slice() {
            [] => format!("no option `{name}`; this model has no options"),
            known => format!("no option `{name}`; it has: {}", known.join(", ")),
        })
    }
}

fn read<T: FromStr>(name: &str, text: &str) -> candle_core::Result<T> {
    // Tuning jobs, and Python, write whole numbers so.
    let whole = || text.strip_suffix(".0").and_then(|whole| whole.parse().ok());
    text.parse().ok().or_else(whole).ok_or_else(|| {
        let expected = match std::any::type_name::<T>() {
            "f32" | "f64" => "a number",
            "bool" => "true or false",
            _ => "one whole number that is not negative",
        };
        candle_core::Error::Msg(format!("option `{name}`: found `{text}`, expected {expected}"))
    })
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for ModelOptions {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(options: I) -> Self {
        let given = options.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { given, known: BTreeSet::new() }
    }
}
