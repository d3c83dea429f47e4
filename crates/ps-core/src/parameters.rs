//! Parameters that are trained otherwise than the rest, chosen by patterns of their names: groups with a rate or decay of
//! their own, and frozen ones.
//!
//! In a pattern `*` stands for any characters, `?` for one, `[ab]` for one of these; case counts.

use crate::Layout;
use glob::Pattern;
use ps_kernels::optimizer::Optimizer;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// The pattern that this name alone matches.
pub fn literal(name: &str) -> String {
    Pattern::escape(name)
}

/// Names that an error lists.
const NAMES_SHOWN_MAX: usize = 12;

/// Parameters with a rate or decay of their own: those whose names match.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterGroup {
    /// Of their names.
    pub pattern: String,
    /// What is different about them.
    pub rule: UpdateRule,
    /// No mistake where no name matches: it is not known yet which model it is for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub if_any: bool,
}

/// What the names of a linear path beside a model's layers begin with.
pub const LINEAR_PATH: &str = "linear-path";

/// How a parameter's gradients are applied, beside what the optimizer says for all.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateRule {
    /// The learning rate is multiplied by it.
    pub learning_rate_scale: f32,
    /// Instead of the optimizer's.
    pub weight_decay: Option<f32>,
}

impl Default for UpdateRule {
    /// As the optimizer says.
    fn default() -> Self {
        Self { learning_rate_scale: 1.0, weight_decay: None }
    }
}

impl UpdateRule {
    /// The optimizer for these parameters.
    pub fn optimizer(self, all: &Optimizer) -> Optimizer {
        Optimizer { weight_decay: self.weight_decay.unwrap_or(all.weight_decay), ..*all }
    }

    /// Whether both numbers are such that a step can be made with them.
    pub fn is_valid(self) -> bool {
        let is_valid = |number: f32| number.is_finite() && number >= 0.0;
        is_valid(self.learning_rate_scale) && self.weight_decay.is_none_or(is_valid)
    }
}

impl fmt::Display for UpdateRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lr-scale={}", self.learning_rate_scale)?;
        self.weight_decay.map_or(Ok(()), |decay| write!(f, ",weight-decay={decay}"))
    }
}

/// Elements that follow each other and have one rule.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleSpan {
    /// The elements.
    pub elements: Range<usize>,
    /// Their rule.
    pub rule: UpdateRule,
}

/// Why parameters cannot be told apart so.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("{option}: `{found}`: {reason}; {EXPECTED}")]
    Group { option: &'static str, found: String, reason: String },
    #[error("{option}: the pattern `{pattern}` cannot be read: {reason}")]
    Pattern { option: &'static str, pattern: String, reason: String },
    #[error(
        "{option}: no parameter's name matches `{pattern}`; `*` stands for any characters. The model's parameters: {names}"
    )]
    NoMatch { option: &'static str, pattern: String, names: String },
}

const EXPECTED: &str = "expected PATTERN:lr-scale=NUMBER,weight-decay=NUMBER with one or both, `,if-any` where the model may have no such parameter, groups separated by `;`, \
     for example `*.bias:weight-decay=0`";

/// The word for [`ParameterGroup::if_any`].
const IF_ANY: &str = "if-any";

/// The option of groups.
const GROUPS_OPTION: &str = "--parameter-groups";

/// The option of frozen parameters.
pub const FREEZE_OPTION: &str = "--freeze";

impl FromStr for ParameterGroup {
    type Err = Error;

    /// Reads `PATTERN:lr-scale=NUMBER,weight-decay=NUMBER`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let failed = |reason: &str| Error::Group {
            option: GROUPS_OPTION,
            found: text.to_owned(),
            reason: reason.to_owned(),
        };
        // A name may have a colon in it; what follows the last one is what is different.
        let (pattern, settings) = text.rsplit_once(':').ok_or_else(|| failed("no `:`"))?;
        let (mut rule, mut if_any) = (UpdateRule::default(), false);
        let mut set = Vec::new();
        for setting in settings.split(',') {
            if setting.trim() == IF_ANY {
                if_any = true;
                continue;
            }
            let (name, value) = setting.split_once('=').ok_or_else(|| failed("no `=`"))?;
            if set.contains(&name.trim()) {
                return Err(failed(&format!("`{}` is set twice; set it once", name.trim())));
            }
            set.push(name.trim());
            let number: f32 = value.trim().parse().map_err(|_| failed("not a number"))?;
            match name.trim() {
                "lr-scale" => rule.learning_rate_scale = number,
                "weight-decay" => rule.weight_decay = Some(number),
                other => return Err(failed(&format!("`{other}` is no setting of a group"))),
            }
        }
        let group = Self { pattern: pattern.trim().to_owned(), rule, if_any };
        group.validate()?;
        Ok(group)
    }
}

impl fmt::Display for ParameterGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.pattern, self.rule)?;
        if self.if_any { write!(f, ",{IF_ANY}") } else { Ok(()) }
    }
}

impl ParameterGroup {
    /// What the default optimizer does to a linear path, if the model has one: it gets where it is going in fewer steps, and has
    /// the L2 that the model gives it instead of a decay (docs/adr/0035-small-sets.md).
    pub fn of_linear_path() -> Self {
        let rule = UpdateRule { learning_rate_scale: 3.0, weight_decay: Some(0.0) };
        Self { pattern: format!("{LINEAR_PATH}.*"), rule, if_any: true }
    }

    /// Checks pattern and numbers.
    ///
    /// # Errors
    /// One of them is not what it must be.
    pub fn validate(&self) -> Result<(), Error> {
        compiled(GROUPS_OPTION, &self.pattern)?;
        if self.rule.is_valid() {
            return Ok(());
        }
        let reason = "a number that is not finite, or below 0".to_owned();
        Err(Error::Group { option: GROUPS_OPTION, found: self.to_string(), reason })
    }
}

/// Checks a pattern of frozen parameters.
///
/// # Errors
/// It cannot be read.
pub fn validate_frozen(pattern: &str) -> Result<(), Error> {
    compiled(FREEZE_OPTION, pattern).map(|_| ())
}

fn compiled(option: &'static str, pattern: &str) -> Result<Pattern, Error> {
    let failed = |reason: String| Error::Pattern { option, pattern: pattern.to_owned(), reason };
    if pattern.is_empty() {
        return Err(failed("it is empty".to_owned()));
    }
    Pattern::new(pattern).map_err(|error| failed(error.msg.to_owned()))
}

/// By tensor of the layout: whether its name matches one of these patterns.
///
/// # Errors
/// A pattern that cannot be read, or that no name matches: it would change nothing, silently.
pub fn frozen(
    option: &'static str,
    patterns: &[String],
    layout: &Layout,
) -> Result<Vec<bool>, Error> {
    let found = matches(option, patterns.iter().map(|it| (it.as_str(), false)), layout)?;
    Ok(found.iter().map(Option::is_some).collect())
}

/// By tensor of the layout: the place of the first pattern that its name matches; beside each, whether it need not match any.
fn matches<'p>(
    option: &'static str,
    patterns: impl IntoIterator<Item = (&'p str, bool)>,
    layout: &Layout,
) -> Result<Vec<Option<usize>>, Error> {
    let mut found = vec![None; layout.tensors().len()];
    for (number, (text, if_any)) in patterns.into_iter().enumerate() {
        let (pattern, mut any) = (compiled(option, text)?, if_any);
        for (place, tensor) in found.iter_mut().zip(layout.tensors()) {
            if pattern.matches(&tensor.name) {
                any = true;
                place.get_or_insert(number);
            }
        }
        if !any {
            let pattern = text.to_owned();
            return Err(Error::NoMatch { option, pattern, names: names(layout) });
        }
    }
    Ok(found)
}

fn names(layout: &Layout) -> String {
    let tensors = layout.tensors();
    let shown = tensors.iter().take(NAMES_SHOWN_MAX).map(|tensor| format!("`{}`", tensor.name));
    let mut names = shown.collect::<Vec<_>>().join(", ");
    if tensors.len() > NAMES_SHOWN_MAX {
        names += &format!(" and {} more", tensors.len() - NAMES_SHOWN_MAX);
    }
    names
}

/// By tensor of the layout: its rule; empty where all have the optimizer's.
///
/// # Errors
/// As of [`frozen`].
pub fn rules(groups: &[ParameterGroup], layout: &Layout) -> Result<Vec<UpdateRule>, Error> {
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let patterns = groups.iter().map(|group| (group.pattern.as_str(), group.if_any));
    let found = matches(GROUPS_OPTION, patterns, layout)?;
    if found.iter().all(Option::is_none) {
        return Ok(Vec::new());
    }
    let rule = |place: Option<usize>| place.map_or_else(UpdateRule::default, |it| groups[it].rule);
    Ok(found.into_iter().map(rule).collect())
}

/// A range of the model by its rules, as ranges within it; empty where all of it has the optimizer's.
pub fn spans(layout: &Layout, rules: &[UpdateRule], range: &Range<usize>) -> Vec<RuleSpan> {
    let mut spans: Vec<RuleSpan> = Vec::new();
    for position in layout.tensors_in(range) {
        let tensor = layout.range(position);
        let elements = tensor.start.max(range.start)..tensor.end.min(range.end);
        let elements = elements.start - range.start..elements.end - range.start;
        let rule = rules.get(position).copied().unwrap_or_default();
        match spans.last_mut().filter(|last| last.rule == rule) {
            Some(last) => last.elements.end = elements.end,
            None => spans.push(RuleSpan { elements, rule }),
        }
    }
    let is_plain = spans.iter().all(|span| span.rule == UpdateRule::default());
    if is_plain { Vec::new() } else { spans }
}

#[cfg(test)]
mod tests;
