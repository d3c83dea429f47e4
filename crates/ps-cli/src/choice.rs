//! Options whose value is one of an enum's names.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use std::str::FromStr;
use strum::{EnumMessage, VariantArray};

/// Parses an enum by its names; the help shows each with the documentation of its variant.
pub fn choice<T>() -> impl TypedValueParser<Value = T>
where
    T: Copy + EnumMessage + FromStr + Into<&'static str> + VariantArray + Send + Sync + 'static,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let values = T::VARIANTS.iter().map(|&variant| {
        let value = PossibleValue::new(variant.into());
        match variant.get_documentation() {
            Some(documentation) => value.help(documentation.trim_end_matches('.')),
            None => value,
        }
    });
    PossibleValuesParser::new(values).try_map(|name| name.parse())
}
