//! What one value of a table is.

/// How a missing value is written, in any case, where nobody says more.
pub const MISSING: [&str; 8] = ["", "na", "n/a", "#n/a", "nan", "null", "none", "?"];

/// What one value is, without the blanks around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Nothing was known.
    Missing,
    /// A number that is finite as an `f32`, too: so a model takes it.
    Number(f64),
    /// Anything else.
    Text(&'a str),
}

/// How values are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueRules {
    /// What stands before a number's fraction: `.` or `,`.
    pub decimal: char,
    /// Missing values beside [`MISSING`], as they are written.
    pub missing: Vec<String>,
}

impl Default for ValueRules {
    fn default() -> Self {
        Self { decimal: '.', missing: Vec::new() }
    }
}

impl ValueRules {
    /// What this value is.
    pub fn value<'a>(&self, text: &'a str) -> Value<'a> {
        // What nearly all values are comes first.
        if let Some(number) = self.number(text) {
            return match self.missing.iter().any(|missing| missing == text) {
                true => Value::Missing,
                false => Value::Number(number),
            };
        }
        match self.is_missing(text) {
            true => Value::Missing,
            false => Value::Text(text),
        }
    }

    /// Whether this is how a missing value is written.
    pub fn is_missing(&self, text: &str) -> bool {
        MISSING.iter().any(|missing| missing.eq_ignore_ascii_case(text))
            || self.missing.iter().any(|missing| missing == text)
    }

    /// The number that this is, if it is one and finite.
    pub fn number(&self, text: &str) -> Option<f64> {
        match self.decimal {
            '.' => finite(text),
            // A point would be a thousands separator, and nobody said that there are any.
            _ if text.contains('.') => None,
            decimal => finite(&text.replace(decimal, ".")),
        }
    }
}

fn finite(text: &str) -> Option<f64> {
    if let Some(number) = short_decimal(text.as_bytes()) {
        return Some(number);
    }
    text.parse::<f64>().ok().filter(|number| (*number as f32).is_finite())
}

/// Digits of a number whose value an `f64` holds exactly.
const EXACT_DIGITS: usize = 15;

/// Powers of ten, all of which an `f64` holds exactly.
const POWERS: [f64; EXACT_DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// What nearly every number in a table is, read in one go: up to 15 digits, with a point or without. The quotient of
/// two exact numbers is rounded once, so it is what the library reads (Clinger, 1990).
fn short_decimal(text: &[u8]) -> Option<f64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let (mut whole, mut fraction, mut has_point) = (0_u64, 0, false);
    if digits.len() > EXACT_DIGITS || !digits.iter().any(u8::is_ascii_digit) {
        return None;
    }
    for byte in digits {
        match byte {
            b'0'..=b'9' => {
                whole = whole * 10 + u64::from(byte - b'0');
                fraction += usize::from(has_point);
            }
            b'.' if !has_point => has_point = true,
            _ => return None,
        }
    }
    let number = whole as f64 / POWERS[fraction];
    Some(if is_negative { -number } else { number })
}
