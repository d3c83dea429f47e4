//! The options that say how tables are to be read.

use ps_core::schema::{ColumnUse, Schema};
use ps_core::task::{LabelKind, TaskChoice};
use ps_data::{ColumnChoice, EmbedChoice, HeaderChoice, Mark, TableOptions};

/// What a table's lines and columns are, where that is not found out.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Tables")]
pub struct TableArgs {
    /// The label's column in CSV: last, a number from 1, or a name in the header; several are labels of each sample
    /// [default: last].
    #[arg(long, env = "PS_LABEL", value_name = "COLUMN,..", value_delimiter = ',')]
    pub label: Vec<ColumnChoice>,
    /// What a model is to tell of a sample; auto looks at the labels and says what it takes them for.
    #[arg(long, env = "PS_TASK", value_parser = ps_cli::choice::<TaskChoice>(), default_value = "auto")]
    pub task: TaskChoice,
    /// What the label is: another way to say --task.
    #[arg(long, env = "PS_LABEL_KIND", value_parser = ps_cli::choice::<LabelKind>(), default_value = "auto")]
    pub label_kind: LabelKind,
    /// Whether the first line has the columns' names; auto looks at all lines, and asks where there are signs for both.
    #[arg(long, env = "PS_HEADER", value_parser = ps_cli::choice::<HeaderChoice>(), default_value = "auto")]
    pub header: HeaderChoice,
    /// What stands between two values: a character, or tab, comma, semicolon, pipe, space [default: a comma; a tab in
    /// files that end in .tsv].
    #[arg(long, env = "PS_DELIMITER", value_name = "CHAR")]
    pub delimiter: Option<Mark>,
    /// What stands before a number's fraction: point or comma [default: point].
    #[arg(long, env = "PS_DECIMAL", value_name = "CHAR")]
    pub decimal: Option<Mark>,
    /// Values that mean that nothing is known, beside an empty one, NA, N/A, #N/A, NaN, null, none and ?.
    #[arg(
        long,
        env = "PS_MISSING",
        value_name = "VALUE,..",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    pub missing: Vec<String>,
    /// Columns of numbers, by name or number: what is none there is missing.
    #[arg(long, env = "PS_NUMERIC", value_name = "COLUMN,..", value_delimiter = ',')]
    pub numeric: Vec<ColumnChoice>,
    /// Columns of categories, by name or number, though they look like numbers.
    #[arg(long, env = "PS_CATEGORICAL", value_name = "COLUMN,..", value_delimiter = ',')]
    pub categorical: Vec<ColumnChoice>,
    /// Columns of categories that the model looks up in a table of its own (an embedding), instead of one input for each
    /// category: auto, none, all, or columns by name or number. auto: as the model says; those with more than 256
    /// categories, with mlp and linear, and all with wide-deep.
    #[arg(long, env = "PS_EMBED", default_value_t = EmbedChoice::Auto, value_name = "COLUMN,..")]
    pub embed: EmbedChoice,
    /// Columns that are not used, by name or number.
    #[arg(long, env = "PS_IGNORE", value_name = "COLUMN,..", value_delimiter = ',')]
    pub ignore: Vec<ColumnChoice>,
}

impl TableArgs {
    /// How tables are read.
    pub fn options(&self) -> TableOptions {
        TableOptions {
            labels: self.label.clone(),
            // What contradicts itself was refused before.
            task: self.task.with_label_kind(self.label_kind).unwrap_or(self.task),
            header: self.header,
            delimiter: self.delimiter,
            decimal: self.decimal,
            missing: self.missing.clone(),
            numeric: self.numeric.clone(),
            categorical: self.categorical.clone(),
            ignore: self.ignore.clone(),
            embed: self.embed.clone(),
            ..TableOptions::default()
        }
    }

    /// The first option that says anything of columns, if there is one.
    pub(crate) fn about_columns(&self) -> Option<&'static str> {
        self.first_given(None)
    }

    /// The first option that says of the columns something else than a schema does.
    pub(crate) fn contradiction(&self, schema: &Schema) -> Option<&'static str> {
        self.first_given(Some(schema))
    }

    /// The first option about columns that is given, and says something else than this schema, if there is one.
    fn first_given(&self, schema: Option<&Schema>) -> Option<&'static str> {
        let differs = |is_given: bool, is_other: &dyn Fn(&Schema) -> bool| {
            is_given && schema.is_none_or(is_other)
        };
        let columns = |chosen: &[ColumnChoice], is: fn(&ColumnUse) -> bool| {
            differs(!chosen.is_empty(), &|schema| !are_all(chosen, schema, is))
        };
        let mark = |mark: Option<Mark>, its: fn(&Schema) -> char| {
            differs(mark.is_some(), &|schema| {
                mark.is_some_and(|Mark(it)| it as char != its(schema))
            })
        };
        let task = self.task.with_label_kind(self.label_kind);
        let own_task = task.as_ref().map_or(self.task, |task| *task).task();
        let said = [
            ("--label", differs(!self.label.is_empty(), &|it| self.has_other_labels(it))),
            (
                "--task",
                differs(task != Ok(TaskChoice::Auto), &|schema| {
                    own_task.is_some_and(|task| task != schema.task())
                }),
            ),
            (
                "--header",
                differs(self.header != HeaderChoice::Auto, &|schema| {
                    (self.header == HeaderChoice::Yes) != schema.header
                }),
            ),
            ("--delimiter", mark(self.delimiter, |schema| schema.delimiter)),
            ("--decimal", mark(self.decimal, |schema| schema.decimal)),
            ("--missing", differs(!self.missing.is_empty(), &|it| self.missing != it.missing)),
            ("--numeric", columns(&self.numeric, |it| matches!(it, ColumnUse::Numeric { .. }))),
            ("--categorical", columns(&self.categorical, is_categorical)),
            (
                "--embed",
                differs(self.embed != EmbedChoice::Auto, &|schema| !embeds(&self.embed, schema)),
            ),
            ("--ignore", columns(&self.ignore, |it| matches!(it, ColumnUse::Ignored))),
        ];
        said.into_iter().find(|(_, is_said)| *is_said).map(|(option, _)| option)
    }

    fn has_other_labels(&self, schema: &Schema) -> bool {
        let mut labels: Vec<Option<usize>> =
            self.label.iter().map(|choice| place(choice, schema)).collect();
        labels.sort_unstable();
        labels != schema.labels().map(|(at, _)| Some(at)).collect::<Vec<_>>()
    }

    /// What contradicts itself, in one sentence.
    ///
    /// # Errors
    /// One character cannot be two things.
    pub fn check(&self) -> Result<(), String> {
        self.task.with_label_kind(self.label_kind)?;
        let (delimiter, decimal) = (self.delimiter.unwrap_or(Mark(b',')), self.decimal);
        if decimal.is_some_and(|Mark(mark)| !b".,".contains(&mark)) {
            return Err("--decimal: expected point or comma".to_owned());
        }
        if decimal == Some(delimiter) {
            return Err(format!(
                "--decimal {delimiter} with the same delimiter: say what separates the values with --delimiter, such as \
                 semicolon or tab"
            ));
        }
        Ok(())
    }
}

/// The column of a schema that is meant, if it has it.
fn place(choice: &ColumnChoice, schema: &Schema) -> Option<usize> {
    match choice {
        ColumnChoice::Last => schema.columns.len().checked_sub(1),
        ColumnChoice::Number(number) => number.checked_sub(1),
        ColumnChoice::Name(name) => schema.columns.iter().position(|it| it.name == *name),
    }
}

/// Whether all these columns became what is asked for.
fn are_all(chosen: &[ColumnChoice], schema: &Schema, is: fn(&ColumnUse) -> bool) -> bool {
    let column = |choice| place(choice, schema).and_then(|at| schema.columns.get(at));
    chosen.iter().all(|choice| column(choice).is_some_and(|it| is(&it.usage)))
}

fn is_categorical(usage: &ColumnUse) -> bool {
    matches!(usage, ColumnUse::Categorical { .. }) || is_looked_up(usage)
}

fn is_looked_up(usage: &ColumnUse) -> bool {
    matches!(usage, ColumnUse::Embedded { .. } | ColumnUse::Hashed { .. })
}

/// Whether a schema looks up what this choice does.
fn embeds(choice: &EmbedChoice, schema: &Schema) -> bool {
    let mut usages = schema.columns.iter().map(|column| &column.usage);
    match choice {
        EmbedChoice::Auto => true,
        EmbedChoice::Never => !usages.any(is_looked_up),
        EmbedChoice::All => !usages.any(|it| matches!(it, ColumnUse::Categorical { .. })),
        EmbedChoice::Columns(columns) => are_all(columns, schema, is_looked_up),
    }
}
