//! All columns of a table while its files are read.

mod adding;
mod sums;

pub(super) use sums::told;

use std::path::{Path, PathBuf};

use ps_core::limits::CATEGORIES_MAX;
use ps_core::schema::{
    Column, ColumnKind, ColumnSummary, ColumnUse, Doubt, EmbeddingRule, LabelSummary, Target,
    ValueRules, targets,
};

use super::errors::{column_name, file_error, value_error};
use super::looks::{are_decimal_commas, have_thousands};
use crate::table_options::TableOptions;
use crate::{ColumnChoice, EmbedChoice, Error};

/// What people call the column that they want to be told.
const LABEL_NAMES: [&str; 5] = ["label", "target", "class", "y", "outcome"];

/// A file and a line in it.
type FileLine = (PathBuf, u64);

/// Where a text is, and the text.
type FirstText = (FileLine, String);

/// Why nothing is looked up, should that be so, and what to say instead.
fn why_not(embed: &EmbedChoice) -> &'static str {
    match embed {
        EmbedChoice::Never => "and --embed none says that nothing is: leave that out, or",
        _ => "which this model does not: take one that does (--model mlp, linear or wide-deep), or",
    }
}

/// What the user says of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Numeric,
    Categorical,
    Ignored,
    Label,
}

/// The columns.
pub(super) struct Table {
    rules: ValueRules,
    /// By their places, in order.
    labels: Vec<(usize, LabelSummary)>,
    /// The first line without a label, and the label's place.
    unlabelled: Option<(FileLine, usize)>,
    columns: Vec<(Said, ColumnSummary)>,
    /// Of each column, should it hold texts.
    embedding: Vec<EmbeddingRule>,
    /// Why nothing is looked up, where it is not.
    why_not: &'static str,
    /// The first text of each column that has numbers as well.
    first_texts: Vec<Option<FirstText>>,
    /// The numbers of a line's columns; NaN where it has none.
    numbers: Vec<f64>,
    samples: u64,
}

impl Table {
    /// The columns of a file with this first line.
    ///
    /// # Errors
    /// A column that is chosen is not there, or is chosen for two things.
    pub(super) fn new(path: &Path, first: &[&str], options: &TableOptions) -> Result<Self, Error> {
        let wrong = |problem| file_error(path, problem);
        let labels = options.label_places(first).map_err(wrong)?;
        let mut said = vec![Said::Nothing; first.len()];
        labels.iter().for_each(|label| said[*label] = Said::Label);
        if labels.len() == first.len() {
            return Err(wrong(
                "--label: every column is a label; expected at least one input".to_owned(),
            ));
        }
        let lists: [(&str, Said, &[ColumnChoice]); 4] = [
            ("--numeric", Said::Numeric, &options.numeric),
            ("--categorical", Said::Categorical, &options.categorical),
            ("--embed", Said::Categorical, options.embed.columns()),
            ("--ignore", Said::Ignored, &options.ignore),
        ];
        for (option, what, choices) in lists {
            for choice in choices {
                let position = choice.position(option, first).map_err(wrong)?;
                if said[position] == Said::Label {
                    let problem =
                        format!("{option} {choice}: this column is the label; see --label");
                    return Err(wrong(problem));
                }
                if ![Said::Nothing, what].contains(&said[position]) {
                    let problem =
                        format!("{option} {choice}: the column is named by another option, too");
                    return Err(wrong(problem));
                }
                said[position] = what;
            }
        }
        if !said.iter().any(|said| ![Said::Label, Said::Ignored].contains(said)) {
            let problem = format!(
                "--ignore: of {} columns {} is the label and all others are ignored; expected at least one input: ignore \
                 fewer, or look whether --label and --ignore name what is meant",
                said.len(),
                labels.iter().map(|at| format!("`{}`", first[*at])).collect::<Vec<_>>().join(", ")
            );
            return Err(wrong(problem));
        }
        Ok(Self {
            embedding: options.embed.of_columns(options.embedding, first).map_err(wrong)?,
            why_not: why_not(&options.embed),
            rules: options.value_rules(),
            labels: labels.into_iter().map(|label| (label, LabelSummary::default())).collect(),
            unlabelled: None,
            first_texts: vec![None; said.len()],
            numbers: vec![f64::NAN; said.len()],
            columns: said
                .into_iter()
                .map(|said| (said, ColumnSummary::of_columns(first.len())))
                .collect(),
            samples: 0,
        })
    }

    /// How many lines there were.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// What is known of each column.
    pub(super) fn summaries(&self) -> Vec<&ColumnSummary> {
        self.columns.iter().map(|(_, summary)| summary).collect()
    }

    /// What becomes of each column.
    ///
    /// # Errors
    /// Nobody can say, or a label is missing.
    pub(super) fn columns(
        self,
        path: &Path,
        names: Option<&[String]>,
        options: &TableOptions,
    ) -> Result<Vec<Column>, Error> {
        let name = |at: usize| names.and_then(|names| names.get(at)).map(String::as_str);
        if let Some(((path, line), label)) = &self.unlabelled {
            let problem = "the label is missing; a sample without one teaches nothing: remove it, or \
                           name another column with --label";
            return Err(value_error(path, *line, *label, name(*label), problem.to_owned()));
        }
        if let Some(names) = names.filter(|_| options.has_default_label()) {
            self.doubt_label(path, names)?;
        }
        let summaries: Vec<&LabelSummary> = self.labels.iter().map(|(_, labels)| labels).collect();
        let (targets, reason) = targets(&summaries, options.task).map_err(|(at, problem)| {
            let label = self.labels.get(at).map_or(0, |(label, _)| *label);
            // The first that is no number is what people look for.
            let stray =
                self.first_texts[label].as_ref().filter(|_| self.labels[at].1.numbers.count > 0);
            match stray {
                Some(((path, line), text)) => value_error(
                    path,
                    *line,
                    label,
                    name(label),
                    format!("label `{text}`: {problem}"),
                ),
                None => {
                    let column = column_name(label, name(label));
                    file_error(path, format!("label in {column}: {problem}"))
                }
            }
        })?;
        self.check_names(path, &name)?;
        let has_classes = matches!(targets[..], [Target::Classes(_)]);
        let mut targets = targets.into_iter();
        let mut columns = Vec::with_capacity(self.columns.len());
        for (at, (said, summary)) in self.columns.iter().enumerate() {
            let usage = match said {
                Said::Label => targets.next().map_or(ColumnUse::Ignored, Into::into),
                Said::Ignored => ColumnUse::Ignored,
                _ => self.usage(at, summary).map_err(|(text, problem)| match text {
                    Some(((path, line), _)) => value_error(path, *line, at, name(at), problem),
                    None => file_error(path, format!("{}: {problem}", column_name(at, name(at)))),
                })?,
            };
            columns.push(Column {
                name: name(at).unwrap_or_default().to_owned(),
                usage,
                missing: summary.missing,
                texts_are_missing: *said == Said::Numeric,
            });
        }
        self.tell(&reason, has_classes, name);
        Ok(columns)
    }

    /// Whether predictions can be told apart by the names of their columns.
    fn check_names<'a>(
        &self,
        path: &Path,
        name: &impl Fn(usize) -> Option<&'a str>,
    ) -> Result<(), Error> {
        let named = |at: usize| self.labels.get(at).and_then(|(label, _)| name(*label));
        for at in 0..self.labels.len() {
            let mut before = (0..at).filter_map(named);
            if let Some(twice) = named(at).filter(|one| before.any(|other| other == *one)) {
                let problem = format!(
                    "two labels are called `{twice}`: nobody could tell their predictions apart; rename one"
                );
                return Err(file_error(path, problem));
            }
        }
        Ok(())
    }

    /// The last column is the label where nobody says, but not where another is called so.
    fn doubt_label(&self, path: &Path, names: &[String]) -> Result<(), Error> {
        let is_called = |name: &String| LABEL_NAMES.iter().any(|it| name.eq_ignore_ascii_case(it));
        let label = self.labels.first().map_or(0, |(label, _)| *label);
        let called = names.iter().position(is_called).filter(|_| !is_called(&names[label]));
        let Some(called) = called else { return Ok(()) };
        let problem = format!(
            "{} may be the label by its name, but {} is the last; say --label {} or --label {}",
            column_name(called, Some(&names[called])),
            column_name(label, Some(&names[label])),
            called + 1,
            label + 1
        );
        Err(file_error(path, problem))
    }

    /// What a column becomes.
    fn usage(
        &self,
        at: usize,
        summary: &ColumnSummary,
    ) -> Result<ColumnUse, (Option<&FirstText>, String)> {
        let stray = self.first_texts[at].as_ref();
        let text = stray.map_or("", |(_, text)| text.as_str());
        let (number, is_unsaid) = (at + 1, self.columns[at].0 == Said::Nothing);
        let problem = match summary.kind() {
            Ok(ColumnKind::Categorical) if is_unsaid && have_thousands(&summary.distinct) => {
                format!(
                    "`{text}` and others look like numbers with commas between thousands, which are not read: take the commas out, \
                     or say --categorical {number} or --ignore {number}"
                )
            }
            Ok(ColumnKind::Categorical)
                if is_unsaid && are_decimal_commas(&summary.distinct, &self.rules) =>
            {
                format!(
                    "`{text}` and others look like numbers with a decimal comma; say --decimal , or --categorical {number}"
                )
            }
            Ok(ColumnKind::Numeric { mean, deviation }) => {
                return Ok(ColumnUse::Numeric { mean, deviation });
            }
            Ok(ColumnKind::Categorical) => {
                match summary.categories(self.embedding[at], !is_unsaid) {
                    Ok(usage) => return Ok(usage),
                    Err(doubt) => self.too_many(doubt, summary, number),
                }
            }
            Err(doubt @ (Doubt::ManyTexts | Doubt::ManyCategories)) => {
                self.too_many(doubt, summary, number)
            }
            Err(Doubt::StrayTexts) => {
                let (numbers, all) = (summary.numbers.count, summary.numbers.count + summary.texts);
                format!(
                    "`{text}` is not a finite number, as {numbers} of {all} values of this column are; correct it, or say \
                     --missing '{text}' if nothing was known there, --categorical {number}, --numeric {number} (what is no \
                     number is missing) or --ignore {number}{}",
                    if stray.is_some_and(|((_, line), _)| *line == 1) {
                        "; is it the header of another table?"
                    } else {
                        ""
                    }
                )
            }
            Err(Doubt::LateTexts) => format!(
                "`{text}` is not a finite number, but only numbers came before it; say --categorical {number} or --numeric \
                 {number}"
            ),
        };
        Err((stray, problem))
    }

    /// Why so many texts cannot be used.
    fn too_many(&self, doubt: Doubt, summary: &ColumnSummary, number: usize) -> String {
        let distinct = &summary.distinct;
        let (count, few) = (distinct.len_min(), distinct.examples());
        let count =
            if distinct.len().is_some() { count.to_string() } else { format!("more than {count}") };
        match doubt {
            Doubt::ManyTexts => format!(
                "{count} distinct texts in {} values, such as {few}: names, or free text? leave it out with --ignore {number}, or \
                 say --categorical {number} if they are categories",
                summary.numbers.count + summary.texts
            ),
            _ => format!(
                "{count} categories, such as {few}; more than {CATEGORIES_MAX} have to be looked up, {} leave the column out \
                 with --ignore {number}",
                self.why_not
            ),
        }
    }

    fn tell<'a>(&self, reason: &str, has_classes: bool, name: impl Fn(usize) -> Option<&'a str>) {
        let columns: Vec<String> =
            self.labels.iter().map(|(label, _)| column_name(*label, name(*label))).collect();
        let verb = if columns.len() == 1 { "is the label" } else { "are the labels" };
        tracing::info!("{} {verb}: {reason}", columns.join(", "));
        for (label, _) in self.labels.iter().filter(|(_, labels)| labels.classes.len() == Some(1)) {
            let column = column_name(*label, name(*label));
            tracing::warn!("{column}: all labels are the same: there is nothing to learn");
        }
        let respelt = |labels: &LabelSummary| has_classes && !labels.respelt.is_empty();
        for (_, labels) in self.labels.iter().filter(|(_, labels)| respelt(labels)) {
            let respelt = labels.respelt.examples();
            tracing::info!(
                "labels such as {respelt} are taken for the class without blanks, final point or zeros"
            );
        }
    }
}
