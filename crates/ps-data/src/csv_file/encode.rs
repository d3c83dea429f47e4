//! Lines of a table become samples, as a schema says.

use std::collections::{BTreeMap, HashMap};

use ps_core::schema::{
    Column, ColumnUse, Scale, Schema, UNKNOWN_ID, Value, ValueRules, class_name, flag, hashed_id,
};

use super::values::Values;
use crate::{Inputs, Label};

/// Encodes lines.
pub(super) struct Encoder {
    rules: ValueRules,
    columns: Vec<EncodedColumn>,
    /// Of each column, where all are numbers and nothing else.
    plain: Option<Vec<Scale>>,
    /// The numbers of a line's columns, missing ones as NaN.
    numbers: Vec<f64>,
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
        let columns: Vec<EncodedColumn> =
            schema.columns.iter().enumerate().filter_map(EncodedColumn::new).collect();
        Self {
            rules: schema.value_rules(),
            plain: columns.iter().map(EncodedColumn::scale).collect(),
            columns,
            numbers: Vec::new(),
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
        values: &impl Values,
        places: Option<&[Option<usize>]>,
        inputs: &mut Inputs,
    ) -> Result<(), (usize, String)> {
        // First all texts become numbers, then these become inputs: many divisions one after another wait for nothing.
        self.find_numbers(values, places)?;
        if let Some(scales) = &self.plain {
            let numbers = self.numbers.iter().zip(scales);
            inputs
                .features
                .extend(numbers.map(|(number, scale)| input(*number, scale.mean, scale.deviation)));
            return Ok(());
        }
        for (column, number) in self.columns.iter().zip(&self.numbers) {
            let Inputs { features, ids } = &mut *inputs;
            let text = || column.place_in(places).map_or("", |place| values.text(place));
            let mut unknown = |text| note_unknown(&mut self.unknown, column.place, text);
            let is_missing = match &column.encoding {
                Encoding::Numeric { mean, deviation, .. } => {
                    features.push(input(*number, *mean, *deviation));
                    number.is_nan()
                }
                Encoding::Categorical { inputs: by_text, count } => {
                    let (text, start) = (text(), features.len());
                    features.resize(start + count, 0.0);
                    let known = Category::of(text, by_text, &self.rules);
                    match known {
                        Category::Known(input) => features[start + input] = 1.0,
                        Category::Missing => (),
                        Category::Unknown => unknown(text),
                    }
                    known == Category::Missing
                }
                Encoding::Embedded { ids: by_text } => {
                    let text = text();
                    ids.push(match Category::of(text, by_text, &self.rules) {
                        Category::Known(at) => UNKNOWN_ID + 1 + at as u32,
                        Category::Missing => UNKNOWN_ID,
                        Category::Unknown => {
                            unknown(text);
                            UNKNOWN_ID
                        }
                    });
                    continue;
                }
                Encoding::Hashed { rows } => {
                    let text = text();
                    let is_missing = self.rules.is_missing(text);
                    ids.push(if is_missing { UNKNOWN_ID } else { hashed_id(text, *rows) });
                    continue;
                }
            };
            if column.has_indicator {
                features.push(f32::from(u8::from(is_missing)));
            }
        }
        Ok(())
    }

    /// The numbers of all columns that have some.
    fn find_numbers(
        &mut self,
        values: &impl Values,
        places: Option<&[Option<usize>]>,
    ) -> Result<(), (usize, String)> {
        self.numbers.clear();
        for column in &self.columns {
            let place = column.place_in(places);
            self.numbers.push(match (&column.encoding, place) {
                (Encoding::Numeric { texts_are_missing, .. }, Some(place)) => {
                    let number = values.plain_number(place, &self.rules);
                    match number.map_or_else(|| self.rules.value(values.text(place)), Value::Number)
                    {
                        Value::Number(number) => number,
                        Value::Text(text) if !texts_are_missing => {
                            return Err((column.place, no_number(text)));
                        }
                        Value::Text(_) | Value::Missing => f64::NAN,
                    }
                }
                _ => f64::NAN,
            });
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

/// A number as a model takes it; one that is missing counts as the mean.
fn input(number: f64, mean: f64, deviation: f64) -> f32 {
    let input = ((number - mean) / deviation) as f32;
    if number.is_nan() { 0.0 } else { input }
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

    /// Where it is in a line whose columns are at these places.
    fn place_in(&self, places: Option<&[Option<usize>]>) -> Option<usize> {
        places.map_or(Some(self.place), |places| places[self.place])
    }

    /// What it is scaled by, if it is a number and nothing else.
    fn scale(&self) -> Option<Scale> {
        match self.encoding {
            Encoding::Numeric { mean, deviation, .. } if !self.has_indicator => {
                Some(Scale { mean, deviation })
            }
            _ => None,
        }
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
        "`{text}` is not a finite number, as this column was throughout the training set; correct or remove the line, or, if \
         nothing was known there, leave the value empty or train with --missing '{text}'"
    )
}
