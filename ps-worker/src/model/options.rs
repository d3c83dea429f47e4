//! A model's own options, as texts from the command line or a hyperparameter file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Outputs of a layer, channels of a convolution, values of a row: more is a mistyped number, and would be found only when the
/// memory is full.
pub(super) const WIDTH_MAX: usize = 65_536;

/// Layers in a row, blocks in a stage.
pub(super) const DEPTH_MAX: u64 = 1_024;

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

    /// The same of a number that has bounds: one beyond them would need more memory than there is, or be no model.
    ///
    /// # Errors
    /// The text cannot be read as this type, or the number is beyond its bounds.
    pub fn take_within<T: FromStr + PartialOrd + Display>(
        &mut self,
        name: &str,
        default: T,
        bounds: RangeInclusive<T>,
    ) -> candle_core::Result<T> {
        let value = self.take(name, default)?;
        within(name, &value, &bounds)?;
        Ok(value)
    }

    /// The same of each value of an option with commas between them.
    ///
    /// # Errors
    /// As [`Self::take_within`].
    pub fn take_list_within<T: FromStr + PartialOrd + Display>(
        &mut self,
        name: &str,
        default: Vec<T>,
        bounds: RangeInclusive<T>,
    ) -> candle_core::Result<Vec<T>> {
        let values = self.take_list(name, default)?;
        values.iter().try_for_each(|value| within(name, value, &bounds))?;
        Ok(values)
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

fn within<T: PartialOrd + Display>(
    name: &str,
    value: &T,
    bounds: &RangeInclusive<T>,
) -> candle_core::Result<()> {
    if bounds.contains(value) {
        return Ok(());
    }
    let (least, most) = (bounds.start(), bounds.end());
    Err(candle_core::Error::Msg(format!(
        "option `{name}`: found `{value}`, expected {least} to {most}"
    )))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_their_bounds_are_refused_in_words() {
        let mut options: ModelOptions = [("width", "9"), ("hidden", "3,99")].into_iter().collect();
        let error = options.take_within("width", 1_usize, 1..=8).unwrap_err().to_string();
        assert!(error.contains("`width`: found `9`, expected 1 to 8"), "{error}");
        let error = options.take_list_within("hidden", vec![1_usize], 1..=8).unwrap_err();
        assert!(error.to_string().contains("`hidden`: found `99`, expected 1 to 8"), "{error}");
        assert_eq!(options.take_within("depth", 2_u64, 1..=8).unwrap(), 2);
    }
}
