//! What several label columns are together.

use super::label::{LabelSummary, Target};
use crate::task::TaskChoice;

/// What each label column is, and why that is thought. Several are numbers, or all of them say yes or no.
///
/// # Errors
/// They are not as asked, or of different kinds: the place among these columns, and what was found and what to say.
pub fn targets(
    labels: &[&LabelSummary],
    asked: TaskChoice,
) -> Result<(Vec<Target>, String), (usize, String)> {
    let asked = match (asked, labels) {
        (_, [label]) => {
            let (target, reason) = label.target(asked).map_err(|problem| (0, problem))?;
            return Ok((vec![target], reason));
        }
        (TaskChoice::Binary | TaskChoice::Classification, _) => {
            let problem = format!(
                "--task {} with {} label columns: a sample has one class; name one column with --label, or say --task \
                 multi-label or regression",
                asked.name(),
                labels.len()
            );
            return Err((0, problem));
        }
        (TaskChoice::Auto, _) => several(labels)?,
        (asked, _) => asked,
    };
    let mut all = Vec::with_capacity(labels.len());
    for (at, label) in labels.iter().enumerate() {
        all.push(label.target(asked).map_err(|problem| (at, problem))?.0);
    }
    Ok((all, format!("{} label columns, --task {}", labels.len(), asked.name())))
}

/// The task of several label columns by their values.
fn several(labels: &[&LabelSummary]) -> Result<TaskChoice, (usize, String)> {
    if labels.iter().all(|label| label.target(TaskChoice::MultiLabel).is_ok()) {
        return Ok(TaskChoice::MultiLabel);
    }
    match labels.iter().position(|label| label.texts > 0) {
        None => Ok(TaskChoice::Regression),
        Some(at) => {
            let problem = labels[at].target(TaskChoice::Regression).err().unwrap_or_default();
            Err((at, format!("{problem}; several label columns are numbers, or all say yes or no")))
        }
    }
}
