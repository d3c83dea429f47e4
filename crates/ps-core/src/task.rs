//! What a model is to tell of a sample.

use serde::{Deserialize, Serialize};
use strum::{EnumMessage, EnumString, IntoStaticStr, VariantArray};

/// What a model tells.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    strum::Display,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Task {
    /// Which one of some classes a sample is of: an output for each.
    #[default]
    Classification,
    /// One number, or several: an output for each.
    Regression,
    /// Which of some labels a sample has, any number of them: an output for each.
    MultiLabel,
}

/// What the user says that a model is to tell.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, EnumMessage, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
pub enum TaskChoice {
    /// Found out from the labels, and told with the reason.
    #[default]
    Auto,
    /// Classification with two classes.
    Binary,
    /// One of some classes: each distinct label is one.
    Classification,
    /// A number that was measured or counted, or several (--label A,B).
    Regression,
    /// Any number of labels at once (--label A,B,..): columns of 0 and 1, no and yes, or false and true.
    MultiLabel,
}

/// What the user says that the label is; another way to say a [`TaskChoice`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, EnumMessage, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
pub enum LabelKind {
    /// Found out from its values.
    #[default]
    Auto,
    /// Each distinct value is a class, as of --task classification.
    Class,
    /// A number to come near to, as of --task regression.
    Number,
}

impl TaskChoice {
    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The task, where labels need not be looked at to know it.
    pub fn task(self) -> Option<Task> {
        match self {
            Self::Auto => None,
            Self::Binary | Self::Classification => Some(Task::Classification),
            Self::Regression => Some(Task::Regression),
            Self::MultiLabel => Some(Task::MultiLabel),
        }
    }

    /// What both say together.
    ///
    /// # Errors
    /// They contradict each other.
    pub fn with_label_kind(self, kind: LabelKind) -> Result<Self, String> {
        let said = match kind {
            LabelKind::Auto => return Ok(self),
            LabelKind::Class => Self::Classification,
            LabelKind::Number => Self::Regression,
        };
        match self {
            Self::Auto => Ok(said),
            own if own.task() == said.task() => Ok(own),
            own => Err(format!(
                "--task {} with --label-kind {}: they contradict each other; give one of them",
                own.name(),
                kind.name()
            )),
        }
    }
}

impl LabelKind {
    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_and_kind_of_label_say_the_same_or_stop() {
        let both = TaskChoice::with_label_kind;
        assert_eq!(both(TaskChoice::Auto, LabelKind::Number), Ok(TaskChoice::Regression));
        assert_eq!(both(TaskChoice::Binary, LabelKind::Class), Ok(TaskChoice::Binary));
        assert_eq!(both(TaskChoice::MultiLabel, LabelKind::Auto), Ok(TaskChoice::MultiLabel));
        for (task, kind) in [
            (TaskChoice::Binary, LabelKind::Number),
            (TaskChoice::Regression, LabelKind::Class),
            (TaskChoice::MultiLabel, LabelKind::Class),
        ] {
            assert!(both(task, kind).unwrap_err().contains("contradict"));
        }
    }
}
