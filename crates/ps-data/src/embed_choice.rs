//! Which columns of categories are looked up, as the user says it.

use std::convert::Infallible;
use std::fmt::{self, Display};
use std::str::FromStr;

use ps_core::schema::EmbeddingRule;

use crate::ColumnChoice;

/// Which columns of categories are looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EmbedChoice {
    /// As the model says.
    #[default]
    Auto,
    /// None.
    Never,
    /// All.
    All,
    /// These, whatever they look like, and others that have too many categories to be an input each.
    Columns(Vec<ColumnChoice>),
}

impl EmbedChoice {
    /// Those that are chosen, which hold categories by that.
    pub(crate) fn columns(&self) -> &[ColumnChoice] {
        match self {
            Self::Columns(columns) => columns,
            Self::Auto | Self::Never | Self::All => &[],
        }
    }

    /// The rule of each column of a file with this first line; `model` is the rule where nobody says.
    ///
    /// # Errors
    /// A column that is chosen is not there, or the model cannot look anything up.
    pub(crate) fn of_columns(
        &self,
        model: EmbeddingRule,
        first: &[&str],
    ) -> Result<Vec<EmbeddingRule>, String> {
        if model == EmbeddingRule::Never && matches!(self, Self::All | Self::Columns(_)) {
            return Err(format!(
                "--embed {self}: this model looks nothing up; take --model mlp, linear or wide-deep, or let your own say \
                 `Model::embedding`"
            ));
        }
        let all = match self {
            Self::Auto => model,
            Self::Never => EmbeddingRule::Never,
            Self::All => EmbeddingRule::All,
            Self::Columns(_) => EmbeddingRule::Large,
        };
        let mut rules = vec![all; first.len()];
        for column in self.columns() {
            rules[column.position("--embed", first)?] = EmbeddingRule::All;
        }
        Ok(rules)
    }
}

impl FromStr for EmbedChoice {
    type Err = Infallible;

    /// `auto`, `none`, `all`, or columns with commas between them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "auto" => Self::Auto,
            "none" => Self::Never,
            "all" => Self::All,
            columns => Self::Columns(columns.split(',').map(str::parse).collect::<Result<_, _>>()?),
        })
    }
}

impl Display for EmbedChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => formatter.write_str("auto"),
            Self::Never => formatter.write_str("none"),
            Self::All => formatter.write_str("all"),
            Self::Columns(columns) => {
                let columns: Vec<String> = columns.iter().map(ToString::to_string).collect();
                formatter.write_str(&columns.join(","))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use EmbeddingRule::{All, Large, Never};

    fn rules(text: &str, model: EmbeddingRule) -> Result<Vec<EmbeddingRule>, String> {
        let choice: EmbedChoice = text.parse().unwrap();
        assert_eq!(choice.to_string(), text);
        choice.of_columns(model, &["city", "age"])
    }

    #[test]
    fn who_says_nothing_has_what_the_model_says() {
        for rule in [Never, Large, All] {
            assert_eq!(rules("auto", rule), Ok(vec![rule; 2]));
        }
        assert_eq!(rules("none", All), Ok(vec![Never; 2]));
        assert_eq!(rules("all", Large), Ok(vec![All; 2]));
        assert_eq!(rules("city", Large), Ok(vec![All, Large]));
        assert_eq!(rules("2,city", All), Ok(vec![All, All]));
    }

    #[test]
    fn columns_and_models_that_cannot_be_are_named() {
        assert!(rules("town", Large).unwrap_err().contains("`town`"));
        assert!(rules("city", Never).unwrap_err().contains("looks nothing up"));
        assert!(rules("all", Never).unwrap_err().contains("--embed all"));
    }
}
