//! What is strange about data that can be trained on all the same: labels that are all the same, columns that tell nothing.

use ps_core::schema::{Column, ColumnUse, Schema, output_names};

use crate::{Dataset, Features, Labels, Samples};

/// Columns that a warning names.
const NAMED_MAX: usize = 5;

impl Dataset {
    /// What is strange about these data, for people.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let sets =
            [("training", &self.train), ("validation", &self.validation), ("test", &self.test)];
        let names = output_names(self.schema.as_deref(), self.outputs);
        for (set, samples) in sets.into_iter().filter(|(_, samples)| !samples.is_empty()) {
            warnings.extend(label_warnings(set, samples.labels(), &names));
        }
        if let Some(schema) = &self.schema {
            let (missing, constant) = useless(schema, &self.train);
            let missing = columns(schema, &missing);
            let constant = columns(schema, &constant);
            warnings.extend(missing.map(|columns| {
                format!("without a single value in training, and of no use: {columns}; leave such out with --ignore")
            }));
            warnings.extend(constant.map(|columns| {
                format!(
                    "with the same value in all training samples, and of no use: {columns}; leave such out with --ignore"
                )
            }));
        }
        warnings
    }
}

/// Labels that are all the same tell nothing apart.
fn label_warnings(set: &str, labels: &Labels, names: &[String]) -> Vec<String> {
    let name = |at: usize| names.get(at).cloned().unwrap_or_else(|| at.to_string());
    match labels {
        Labels::Classes(classes) => {
            let first = classes.first().filter(|first| classes.iter().all(|it| it == *first));
            let told = first.map(|class| {
                format!(
                    "all {} {set} samples are of one class, `{}`: there is nothing to tell apart",
                    classes.len(),
                    name(*class as usize)
                )
            });
            Vec::from_iter(told)
        }
        Labels::Numbers { each, values } => {
            let constant = (0..*each).filter(|at| is_constant(values, *each, *at));
            let told = constant.map(|at| {
                let value = values[at];
                format!(
                    "the label `{}` is {value} in all {set} samples: there is nothing to learn",
                    name(at)
                )
            });
            told.collect()
        }
    }
}

/// Whether one of `each` values has the same value everywhere; most columns show at once that they have not.
fn is_constant(values: &[f32], each: usize, at: usize) -> bool {
    let mut values = values.iter().skip(at).step_by(each.max(1));
    values.next().is_some_and(|first| values.all(|value| value == first))
}

/// Columns that are never there, and others that are always the same: where the samples are in memory.
fn useless(schema: &Schema, train: &Samples) -> (Vec<usize>, Vec<usize>) {
    let (mut missing, mut constant) = (Vec::new(), Vec::new());
    let (mut input, each) = (0, train.features_per_sample());
    let values: &[f32] = match train.features() {
        Features::Floats(values) if each == schema.width() => values,
        _ => &[],
    };
    for (at, column) in schema.columns.iter().enumerate() {
        let width = column.width();
        if width > 0 && schema.samples > 0 && column.missing >= schema.samples {
            missing.push(at);
        } else if width > 0 && is_input(column) {
            let is_same = (input..input + width).all(|at| is_constant(values, each, at));
            constant.extend(is_same.then_some(at));
        }
        input += width;
    }
    (missing, constant)
}

fn is_input(column: &Column) -> bool {
    matches!(column.usage, ColumnUse::Numeric { .. } | ColumnUse::Categorical { .. })
}

/// These columns in words, if there are any.
fn columns(schema: &Schema, places: &[usize]) -> Option<String> {
    let name = |at: &usize| format!("`{}`", schema.column_name(*at));
    let few: Vec<String> = places.iter().take(NAMED_MAX).map(name).collect();
    let more = match places.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let what = if places.len() == 1 { "column" } else { "columns" };
    (!places.is_empty()).then(|| format!("{what} {}{more}", few.join(", ")))
}
