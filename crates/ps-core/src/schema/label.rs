//! What one label is: one of some classes, a number that was measured, or whether something is so.

use super::distinct::Distinct;
use super::moments::Moments;
use super::value::{Value, ValueRules};
use crate::limits::LABEL_CLASSES_MAX;
use crate::task::TaskChoice;
use std::borrow::Cow;

/// Whole numbers with at most so many distinct values are classes, however few samples there are.
const CLASSES_OF_NUMBERS: usize = 20;

/// Whole numbers with more distinct values than this are measured, or numbers of things.
const CLASSES_OF_NUMBERS_MAX: usize = 1_000;

/// Samples of each class, on average, from which on more whole numbers are classes.
const SAMPLES_PER_CLASS: u64 = 5;

/// What is known of the labels: sums that can be merged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelSummary {
    /// Labels that are numbers.
    pub numbers: Moments,
    /// Of those, the ones that are whole.
    pub whole: u64,
    /// Labels that are no numbers.
    pub texts: u64,
    /// Labels that say yes or no.
    pub flags: u64,
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
    /// Whether a sample has this label.
    Flag,
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
        self.flags += u64::from(flag(label, rules).is_some());
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
        self.flags += other.flags;
        self.classes.merge(&other.classes, LABEL_CLASSES_MAX);
        self.respelt.merge(&other.respelt, RESPELT_MAX);
    }

    /// What the label is, and why that is thought.
    ///
    /// # Errors
    /// It is not as asked, or may be two things; what was found, in words, and what to say.
    pub fn target(&self, asked: TaskChoice) -> Result<(Target, String), String> {
        let target = match asked {
            TaskChoice::Auto => return self.found_out(),
            TaskChoice::Binary => self.two_classes(),
            TaskChoice::Classification => self.class_target(),
            TaskChoice::Regression => self.number(),
            TaskChoice::MultiLabel => self.flag(),
        };
        Ok((target?, format!("--task {}", asked.name())))
    }

    fn found_out(&self) -> Result<(Target, String), String> {
        let (samples, numbers) = (self.samples(), self.numbers.count);
        let distinct = self.classes.len();
        let few = |most: u64| distinct.is_some_and(|count| count as u64 <= most);
        if self.texts > 0 {
            return match few(CLASSES_OF_NUMBERS as u64) || few(samples / 2) {
                true => Ok((self.class_target()?, format!("{} distinct texts", self.count()))),
                false => Err(format!(
                    "{}: nearly every sample has its own; is this the right column? name another with --label, or \
                     say --task classification",
                    self.found()
                )),
            };
        }
        if self.whole < numbers {
            let broken = numbers - self.whole;
            return Ok((
                self.number()?,
                format!("{broken} of {samples} labels are no whole numbers"),
            ));
        }
        if few(CLASSES_OF_NUMBERS as u64) {
            return Ok((self.class_target()?, format!("{} distinct whole numbers", self.count())));
        }
        if few(CLASSES_OF_NUMBERS_MAX as u64) && few(samples / SAMPLES_PER_CLASS) {
            return Err(format!(
                "{}: whole numbers that may be classes or measured; say --task classification or --task regression",
                self.found()
            ));
        }
        let reason = format!("{} distinct whole numbers in {samples} samples", self.count());
        Ok((self.number()?, reason))
    }

    fn samples(&self) -> u64 {
        self.numbers.count + self.texts
    }

    /// How many distinct labels there are, in words.
    fn count(&self) -> String {
        let counted = self.classes.len().map(|count| count.to_string());
        counted.unwrap_or_else(|| format!("more than {LABEL_CLASSES_MAX}"))
    }

    fn found(&self) -> String {
        let (count, samples) = (self.count(), self.samples());
        format!("{count} distinct labels in {samples} samples, such as {}", self.classes.examples())
    }

    fn number(&self) -> Result<Target, String> {
        let numbers = &self.numbers;
        match self.texts {
            0 => Ok(Target::Number { mean: numbers.mean(), deviation: numbers.deviation() }),
            texts => {
                let samples = self.samples();
                Err(format!("{texts} of {samples} labels are no numbers; {}", self.found()))
            }
        }
    }

    fn class_target(&self) -> Result<Target, String> {
        match self.classes.len() {
            Some(_) => Ok(Target::Classes(self.class_names())),
            None => {
                Err(format!("{}: too many for classes; is this the right column?", self.found()))
            }
        }
    }

    fn two_classes(&self) -> Result<Target, String> {
        match self.classes.len() {
            Some(2) => self.class_target(),
            _ => Err(format!("{}; --task binary has two classes", self.found())),
        }
    }

    fn flag(&self) -> Result<Target, String> {
        match self.samples() - self.flags {
            0 => Ok(Target::Flag),
            others => Err(format!(
                "{others} of {} labels are neither 0 nor 1, no nor yes, false nor true; {}",
                self.samples(),
                self.found()
            )),
        }
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
    if is_whole(label.as_bytes()) {
        return Cow::Borrowed(label);
    }
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

/// Whether this is a whole number as a class is called, as most are: it need not be read to know its name.
fn is_whole(label: &[u8]) -> bool {
    let is_short = matches!(label, [b'0'] | [b'1'..=b'9', ..]) && label.len() <= 15;
    is_short && label.iter().all(u8::is_ascii_digit)
}

/// Whether a label says yes (`1`, `yes`, `true`, also by the first letter) or no (`0`, `-1` and so on); `None` of anything else.
pub fn flag(label: &str, rules: &ValueRules) -> Option<bool> {
    const YES: [&str; 4] = ["yes", "y", "true", "t"];
    const NO: [&str; 4] = ["no", "n", "false", "f"];
    let label = label.trim();
    if let Some(number) = rules.number(label) {
        return match number {
            1.0 => Some(true),
            0.0 | -1.0 => Some(false),
            _ => None,
        };
    }
    let is_one = |words: [&str; 4]| words.iter().any(|word| word.eq_ignore_ascii_case(label));
    if is_one(YES) { Some(true) } else { is_one(NO).then_some(false) }
}
