//! Lines of a table become samples, as a schema says.

use std::collections::{BTreeMap, HashMap};

use ps_core::schema::{
    Column, ColumnUse, Scale, Schema, UNKNOWN_ID, Value, ValueRules, class_name, flag, hashed_id,
};

use super::row::Row;
use crate::{Inputs, Label};

/// Encodes lines.
pub(super) struct Encoder {
    rules: ValueRules,
    columns: Vec<EncodedColumn>,
    labels: Vec<(usize, LabelEncoding)>,
    width: usize,
    /// Class by name.
    classes: HashMap<String, u32>,
    /// By the place of their column: how many texts training never saw, and one of them.
    pub(super) unknown: BTreeMap<usize, (u64, String)>,
}

struct EncodedColumn {
    /// Where it is in a line, unless a file says otherwise.
    place: usize,
    encoding: Encoding,
    has_indicator: bool,
}

/// How a label becomes a number.
enum LabelEncoding {
    Class,
    Number(Scale),
    Flag,
}

enum Encoding {
    Numeric { mean: f64, deviation: f64, texts_are_missing: bool },
    Categorical { inputs: HashMap<String, usize>, count: usize },
    Embedded { ids: HashMap<String, usize> },
    Hashed { rows: u32 },
}

/// What a text of a column of categories is.
#[derive(PartialEq)]
enum Category {
    /// The category at this place.
    Known(usize),
    Unknown,
    Missing,
}

impl Category {
    fn of(text: &str, places: &HashMap<String, usize>, rules: &ValueRules) -> Self {
        match places.get(text) {
            _ if rules.is_missing(text) => Self::Missing,
            Some(place) => Self::Known(*place),
            None => Self::Unknown,
        }
    }
}

fn note_unknown(unknown: &mut BTreeMap<usize, (u64, String)>, column: usize, text: &str) {
    unknown.entry(column).or_insert_with(|| (0, text.to_owned())).0 += 1;
}

impl Encoder {
    /// Encodes as this schema says.
    pub(super) fn new(schema: &Schema) -> Self {
        let number = |(number, name): (usize, &String)| (name.clone(), number as u32);
        Self {
            rules: schema.value_rules(),
            columns: schema.columns.iter().enumerate().filter_map(EncodedColumn::new).collect(),
            labels: schema
                .labels()
                .map(|(place, column)| (place, label_encoding(column)))
                .collect(),
            width: schema.width(),
            classes: schema.classes().iter().enumerate().map(number).collect(),
            unknown: BTreeMap::new(),
        }
    }

    /// Inputs of a sample.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The labels' columns.
    pub(super) fn labels(&self) -> impl Iterator<Item = usize> {
        self.labels.iter().map(|(place, _)| *place)
    }

    /// Appends the inputs of a line whose columns are at these places; one that is nowhere is missing.
    ///
    /// # Errors
    /// A value that cannot be used, with its column.
    pub(super) fn inputs(
        &mut self,
        row: &Row<'_>,
        places: Option<&[Option<usize>]>,
        inputs: &mut Inputs,
    ) -> Result<(), (usize, String)> {
        for column in &self.columns {
            let place = places.map_or(Some(column.place), |places| places[column.place]);
            let text = place.map_or("", |place| row.get(place));
            let Inputs { features: inputs, ids } = &mut *inputs;
            let is_missing = match &column.encoding {
                Encoding::Numeric { mean, deviation, texts_are_missing } => {
                    let (input, is_missing) = match self.rules.value(text) {
                        Value::Number(number) => (((number - mean) / deviation) as f32, false),
                        Value::Text(_) if !texts_are_missing => {
                            return Err((column.place, no_number(text)));
                        }
                        Value::Text(_) | Value::Missing => (0.0, true),
                    };
                    inputs.push(input);
                    is_missing
                }
                Encoding::Categorical { inputs: by_text, count } => {
                    let start = inputs.len();
                    inputs.resize(start + count, 0.0);
                    let known = Category::of(text, by_text, &self.rules);
                    match known {
                        Category::Known(input) => inputs[start + input] = 1.0,
                        Category::Missing => (),
                        Category::Unknown => note_unknown(&mut self.unknown, column.place, text),
                    }
                    known == Category::Missing
                }
                Encoding::Embedded { ids: by_text } => {
                    ids.push(match Category::of(text, by_text, &self.rules) {
                        Category::Known(at) => UNKNOWN_ID + 1 + at as u32,
                        Category::Missing => UNKNOWN_ID,
                        Category::Unknown => {
                            note_unknown(&mut self.unknown, column.place, text);
                            UNKNOWN_ID
                        }
                    });
                    continue;
                }
                Encoding::Hashed { rows } => {
                    let is_missing = self.rules.is_missing(text);
                    ids.push(if is_missing { UNKNOWN_ID } else { hashed_id(text, *rows) });
                    continue;
                }
            };
            if column.has_indicator {
                inputs.push(f32::from(u8::from(is_missing)));
            }
        }
        Ok(())
    }

    /// The label of a sample, whose texts these are, in the order of the labels' columns; `None` of a class that is not known.
    ///
    /// # Errors
    /// A text that is no number, or says neither yes nor no, with its column.
    pub(super) fn label(&self, texts: &[String]) -> Result<Option<Label>, (usize, String)> {
        let mut numbers = Vec::new();
        for ((place, encoding), text) in self.labels.iter().zip(texts) {
            numbers.push(match encoding {
                LabelEncoding::Class => return Ok(self.class(text).map(Label::Class)),
                LabelEncoding::Number(scale) => {
                    let number = self.rules.number(text);
                    scale.scaled(number.ok_or_else(|| (*place, no_label(text, "a finite number")))?)
                }
                LabelEncoding::Flag => {
                    let expected = "0 or 1, no or yes, false or true";
                    let has = flag(text, &self.rules);
                    f32::from(has.ok_or_else(|| (*place, no_label(text, expected)))?)
                }
            });
        }
        Ok(Some(match numbers[..] {
            [number] => Label::Number(number),
            _ => Label::Numbers(numbers),
        }))
    }

    /// The class of a label, if it is known.
    pub(super) fn class(&self, label: &str) -> Option<u32> {
        self.classes.get(class_name(label, &self.rules).as_ref()).copied()
    }
}

impl EncodedColumn {
    fn new((place, column): (usize, &Column)) -> Option<Self> {
        let encoding = match &column.usage {
            ColumnUse::Numeric { mean, deviation } => Encoding::Numeric {
                mean: *mean,
                deviation: *deviation,
                texts_are_missing: column.texts_are_missing,
            },
            ColumnUse::Categorical { categories } => {
                Encoding::Categorical { inputs: places(categories), count: categories.len() }
            }
            ColumnUse::Embedded { categories } => Encoding::Embedded { ids: places(categories) },
            ColumnUse::Hashed { rows } => Encoding::Hashed { rows: *rows },
            ColumnUse::Ignored
            | ColumnUse::Class { .. }
            | ColumnUse::Number { .. }
            | ColumnUse::Flag => return None,
        };
        Some(Self { place, encoding, has_indicator: column.missing > 0 })
    }
}

fn places(categories: &[String]) -> HashMap<String, usize> {
    categories.iter().enumerate().map(|(at, text)| (text.clone(), at)).collect()
}

fn label_encoding(column: &Column) -> LabelEncoding {
    match column.usage {
        ColumnUse::Number { mean, deviation } => LabelEncoding::Number(Scale { mean, deviation }),
        ColumnUse::Flag => LabelEncoding::Flag,
        _ => LabelEncoding::Class,
    }
}

fn no_label(text: &str, expected: &str) -> String {
    format!(
        "label `{text}`, expected {expected}, as this column had throughout the training set; correct or remove the line"
    )
}

fn no_number(text: &str) -> String {
    format!(
        "`{text}` is not a finite number, as this column was throughout the training set; correct or remove the line, or \
         say --missing '{text}' if nothing was known there"
    )
}
