//! The options that say how wide and deep a built-in model is, and those of models of one's own.

use crate::given::values;
use std::collections::BTreeMap;

/// Widths and depths; a model refuses those that it does not have.
#[derive(clap::Args, Clone, Debug, Default, serde::Serialize)]
#[command(next_help_heading = "Model and data")]
pub struct ShapeArgs {
    /// mlp: widths of the hidden layers [default: 512,512 for images, 64,32 for rows of values]; lenet: width of the one [default: 512].
    #[arg(long, env = "PS_HIDDEN", value_name = "WIDTHS")]
    pub hidden: Option<String>,
    /// Channels of lenet's convolutions [default: 32,64], of resnet-tiny's stages [default:
    /// 16,32,64].
    #[arg(long, env = "PS_CHANNELS", value_name = "COUNTS")]
    pub channels: Option<String>,
    /// resnet-tiny: residual blocks in each stage [default: 1].
    #[arg(long, env = "PS_BLOCKS", value_name = "N")]
    pub blocks: Option<String>,
    /// transformer-tiny: width of its layers [default: 256].
    #[arg(long, env = "PS_WIDTH", value_name = "N")]
    pub width: Option<String>,
    /// transformer-tiny: how many layers [default: 4].
    #[arg(long, env = "PS_LAYERS", value_name = "N")]
    pub layers: Option<String>,
    /// transformer-tiny: heads of its attention, which share the width evenly [default: 4].
    #[arg(long, env = "PS_HEADS", value_name = "N")]
    pub heads: Option<String>,
    /// transformer-tiny: share of the values that are dropped while training [default: 0].
    #[arg(long, env = "PS_DROPOUT", value_name = "SHARE")]
    pub dropout: Option<String>,
    /// An option of a model of your own, which asks for it by this name; again, or after a comma, for more of them:
    /// rows=200,widths=64,32. What follows a comma without a name belongs to the value before it.
    #[arg(long, env = "PS_MODEL_OPTION", value_name = "NAME=VALUE")]
    #[serde(skip)]
    pub model_option: Vec<String>,
}

impl ShapeArgs {
    /// All options of the model by name.
    ///
    /// # Errors
    /// An option of a model of one's own without a name, or one that is given twice.
    pub fn options(&self) -> Result<BTreeMap<String, String>, String> {
        let mut options: BTreeMap<String, String> = values(self).into_iter().collect();
        for (name, value) in named_values("--model-option", &self.model_option)? {
            if options.insert(name.clone(), value).is_some() {
                return Err(format!("--model-option {name}: it is given twice; give it once"));
            }
        }
        Ok(options)
    }
}

/// The names and values of an option that is `NAME=VALUE`, again or after a comma for more of them.
///
/// # Errors
/// A value without a name.
pub fn named_values(option: &str, texts: &[String]) -> Result<Vec<(String, String)>, String> {
    let mut options: Vec<(String, String)> = Vec::new();
    for part in texts.iter().flat_map(|text| text.split(',')) {
        match (part.split_once('='), options.last_mut()) {
            (Some((name, value)), _) if !name.trim().is_empty() => {
                options.push((name.trim().to_owned(), value.trim().to_owned()));
            }
            (None, Some((_, list))) => {
                list.push(',');
                list.push_str(part.trim());
            }
            _ => {
                return Err(format!(
                    "{option}: expected NAME=VALUE, such as rows=200, found `{part}`"
                ));
            }
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        shape: ShapeArgs,
    }

    #[test]
    fn every_option_has_the_name_that_models_know_it_by() {
        let names = ["hidden", "channels", "blocks", "width", "layers", "heads", "dropout"];
        for name in names {
            let command = Command::parse_from(["", &format!("--{name}=3")]);
            let expected = BTreeMap::from([(name.to_owned(), "3".to_owned())]);
            assert_eq!(command.shape.options(), Ok(expected));
        }
    }

    fn options(line: &[&str]) -> Result<Vec<(String, String)>, String> {
        let line = std::iter::once("").chain(line.iter().copied());
        Ok(Command::parse_from(line).shape.options()?.into_iter().collect())
    }

    #[test]
    fn options_of_ones_own_are_given_one_by_one_or_together() {
        let expected = [("hidden", "8"), ("rows", "200"), ("widths", "64,32")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        for line in [
            &["--hidden=8", "--model-option", "rows=200", "--model-option", "widths=64,32"][..],
            &["--model-option=rows=200,widths=64,32", "--hidden=8"],
            &["--model-option", "rows = 200, widths = 64, 32, hidden=8"],
        ] {
            assert_eq!(options(line).unwrap(), expected, "{line:?}");
        }
        // A value may be anything, and nothing.
        let odd = options(&["--model-option=a=b=c,d="]).unwrap();
        assert_eq!(odd, [("a".into(), "b=c".into()), ("d".into(), String::new())]);
    }

    #[test]
    fn what_is_no_option_is_refused_in_words() {
        for (line, words) in [
            (&["--model-option=rows"][..], "NAME=VALUE"),
            (&["--model-option==3"], "found `=3`"),
            (&["--model-option="], "NAME=VALUE"),
            (&["--model-option=rows=1,rows=2"], "rows: it is given twice"),
            (&["--hidden=8", "--model-option=hidden=9"], "hidden: it is given twice"),
        ] {
            let error = options(line).unwrap_err();
            assert!(error.contains(words), "{line:?}: {error}");
        }
    }
}
