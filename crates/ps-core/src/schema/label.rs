//! What the label is: one of some classes, or a number that was measured.

use super::distinct::Distinct;
use super::moments::Moments;
use super::value::{Value, ValueRules};
use crate::limits::LABEL_CLASSES_MAX;
use std::borrow::Cow;
use strum::{EnumMessage, EnumString, IntoStaticStr, VariantArray};

/// Whole numbers with at most so many distinct values are classes, however few samples there are.
const CLASSES_OF_NUMBERS: usize = 20;

/// Whole numbers with more distinct values than this are measured, or numbers of things.
const CLASSES_OF_NUMBERS_MAX: usize = 1_000;

/// Samples of each class, on average, from which on more whole numbers are classes.
const SAMPLES_PER_CLASS: u64 = 5;

/// What the user says that the label is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, EnumMessage, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
pub enum LabelKind {
    /// Found out from its values.
    #[default]
    Auto,
    /// Each distinct value is a class.
    Class,
    /// A number to come near to.
    Number,
}

impl LabelKind {
    /// As it is written on the command line.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// What is known of the labels: sums that can be merged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelSummary {
    /// Labels that are numbers.
    pub numbers: Moments,
    /// Of those, the ones that are whole.
    pub whole: u64,
    /// Labels that are no numbers.
    pub texts: u64,
    /// The classes that they would be.
    pub classes: Distinct,
    /// Some that are written in another way than their class is called, such as `1.0`.
    pub respelt: Distinct,
}

/// Respelt labels that are kept, to be shown.
const RESPELT_MAX: usize = 4;

/// What a model is to tell.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// One of these classes, in order.
    Classes(Vec<String>),
    /// A number.
    Number {
        /// Of the training set.
        mean: f64,
        /// Of the training set; 1 where all are the same.
        deviation: f64,
    },
}

impl LabelSummary {
    /// Takes in one more label, which is not empty.
    pub fn add(&mut self, label: &str, rules: &ValueRules) {
        let name = class_name(label, rules);
        if let Some(number) = rules.number(label) {
            self.numbers.add(number);
            self.whole += u64::from(number.fract() == 0.0);
        } else {
            self.texts += 1;
        }
        if name != label {
            self.respelt.add(label, RESPELT_MAX);
        }
        self.classes.add(&name, LABEL_CLASSES_MAX);
    }

    /// Takes in another part of the data.
    pub fn merge(&mut self, other: &Self) {
        self.numbers.merge(&other.numbers);
        self.whole += other.whole;
        self.texts += other.texts;
        self.classes.merge(&other.classes, LABEL_CLASSES_MAX);
        self.respelt.merge(&other.respelt, RESPELT_MAX);
    }

    /// What the label is, and why that is thought.
    ///
    /// # Errors
    /// It fits neither, or both; what was found, in words, and what to say.
    pub fn target(&self, asked: LabelKind) -> Result<(Target, String), String> {
        let numbers = &self.numbers;
        let (samples, distinct) = (numbers.count + self.texts, self.classes.len());
        let count =
            distinct.map_or(format!("more than {LABEL_CLASSES_MAX}"), |count| count.to_string());
        let found = format!(
            "{count} distinct labels in {samples} samples, such as {}",
            self.classes.examples()
        );
        let number = || match self.texts {
            0 => Ok(Target::Number { mean: numbers.mean, deviation: numbers.deviation() }),
            texts => Err(format!("{texts} of {samples} labels are no numbers; {found}")),
        };
        let classes = || match distinct {
            Some(_) => Ok(Target::Classes(self.class_names())),
            None => Err(format!("{found}: too many for classes; is this the right column?")),
        };
        match asked {
            LabelKind::Class => return Ok((classes()?, "--label-kind class".to_owned())),
            LabelKind::Number => return Ok((number()?, "--label-kind number".to_owned())),
            LabelKind::Auto => (),
        }
        let few = |most: u64| distinct.is_some_and(|count| count as u64 <= most);
        if self.texts > 0 {
            return match few(CLASSES_OF_NUMBERS as u64) || few(samples / 2) {
                true => Ok((classes()?, format!("{count} distinct texts"))),
                false => Err(format!(
                    "{found}: nearly every sample has its own; is this the right column? name another with --label, or \
                     say --label-kind class"
                )),
            };
        }
        if self.whole < numbers.count {
            let reason =
                format!("{} of {samples} labels are no whole numbers", numbers.count - self.whole);
            return Ok((number()?, reason));
        }
        if few(CLASSES_OF_NUMBERS as u64) {
            return Ok((classes()?, format!("{count} distinct whole numbers")));
        }
        if few(CLASSES_OF_NUMBERS_MAX as u64) && few(samples / SAMPLES_PER_CLASS) {
            return Err(format!(
                "{found}: whole numbers that may be classes or measured; say --label-kind class or --label-kind number"
            ));
        }
        Ok((number()?, format!("{count} distinct whole numbers in {samples} samples")))
    }

    /// The classes in order: numbers by their value, else texts by their letters.
    fn class_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.classes.iter().map(|(name, _)| name.to_owned()).collect();
        if self.texts == 0 {
            // Names of classes are written with a point, whatever the file has.
            let number = |name: &String| name.parse::<f64>().unwrap_or(f64::MAX);
            names.sort_by(|one, other| number(one).total_cmp(&number(other)));
        }
        names
    }
}

/// The name of the class that a label stands for: without blanks around it and one final point, and one name for each number
/// (`1`, `1.0` and `+1` are one class).
pub fn class_name<'a>(label: &'a str, rules: &ValueRules) -> Cow<'a, str> {
    let label = label.trim();
    if let Value::Number(number) = rules.value(label) {
        // As short as it can be written: `f64` prints whole numbers without a fraction.
        let name = if number == 0.0 { "0".to_owned() } else { number.to_string() };
        return if name == label { Cow::Borrowed(label) } else { Cow::Owned(name) };
    }
    match label.strip_suffix('.') {
        Some(shorter) if !shorter.is_empty() => Cow::Borrowed(shorter.trim_end()),
        _ => Cow::Borrowed(label),
    }
}
