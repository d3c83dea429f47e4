//! Numbers as tables have them, read fast: digits with a point or without one, taken eight bytes at a time.
//!
//! Everything else (an exponent, `+`, more digits) is the library's work, and so is a number so near to the middle between
//! two `f64` that it cannot be told here to which it goes. What is read here is, bit by bit, what the library reads.

/// In every byte of a word 1.
const ONES: u64 = 0x0101_0101_0101_0101;

/// A word of zeros as they are written.
const ZEROS: u64 = ONES * b'0' as u64;

/// Of three words of digits, the most that the first may be for all of them to be a `u64`.
const FIRST_MAX: u64 = u64::MAX / 10_000_000_000_000_000 - 1;

/// Powers of ten, all of which an `f64` holds exactly.
const POWERS: [f64; 16] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Of each power of ten with as many zeros as digits can stand behind a point.
const RECIPROCALS: [Reciprocal; 24] = reciprocals();

/// The number that this text is, if it is one that can be read here.
#[inline]
pub(super) fn decimal(text: &[u8]) -> Option<f64> {
    let is_negative = text.first() == Some(&b'-');
    let text = text.get(usize::from(is_negative)..)?;
    let none = Digits::default();
    let number = match text.len() {
        0 => return None,
        1 if text == b"." => return None,
        1..=7 => none.and(few(text))?.quotient(),
        8 => none.and(last(text, 0)?)?.quotient(),
        9..=16 => none.and(first(text, 2)?)?.and(last(text, 0)?)?.quotient(),
        17..=24 => {
            let start = none.and(first(text, 3)?)?;
            if start.whole > FIRST_MAX {
                return None;
            }
            start.and(last(text, 1)?)?.and(last(text, 0)?)?.product()
        }
        _ => return None,
    }?;
    // Not by a condition: signs come as they like, and a wrong guess costs as much as all of the above.
    Some(f64::from_bits(number.to_bits() | u64::from(is_negative) << 63))
}

/// Up to seven bytes as a word, behind zeros.
fn few(text: &[u8]) -> u64 {
    let (count, byte) = (text.len(), |at: usize| u64::from(text[at]) << (8 * at));
    let word = match (text.first_chunk(), text.last_chunk()) {
        (Some(start), Some(end)) => {
            let half = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
            half(start) | half(end) << (8 * (count - 4))
        }
        _ => byte(0) | byte(count / 2) | byte(count - 1),
    };
    behind_zeros(word, 8 - count)
}

/// The first of so many words that this text is when zeros are put before it.
#[inline(always)]
fn first(text: &[u8], words: usize) -> Option<u64> {
    Some(behind_zeros(u64::from_le_bytes(*text.first_chunk()?), 8 * words - text.len()))
}

/// The last word of a text, or one before it.
#[inline(always)]
fn last(text: &[u8], before: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*text[..text.len() - 8 * before].last_chunk()?))
}

/// A word with so many zeros before it, less than eight, and as many bytes less at its end.
fn behind_zeros(word: u64, zeros: usize) -> u64 {
    let bits = 8 * zeros;
    word << bits | (ZEROS & ((1 << bits) - 1))
}

/// Digits without their point: the number is `whole` over ten to the power of `fraction`.
#[derive(Clone, Copy, Default)]
struct Digits {
    whole: u64,
    fraction: usize,
    has_point: bool,
}

impl Digits {
    /// The same with the digits of another word, one of which may be the point.
    // Words follow each other without a way through memory: this alone halves the time of long numbers.
    #[inline(always)]
    fn and(self, word: u64) -> Option<Self> {
        if self.has_point {
            return self.and_digits(word, 8);
        }
        // The highest bit of each byte that is a point (Mycroft's test, exact in every byte).
        let (others, low) = (word ^ (ONES * u64::from(b'.')), ONES * 0x7f);
        let points = !(((others & low) + low) | others | low);
        if points == 0 {
            return self.and_digits(word, 0);
        }
        // What stands before the point moves to where the point was.
        let before = ((points & points.wrapping_neg()) >> 7) - 1;
        let behind = !(before << 8 | 0xff);
        let word = (word & before) << 8 | (word & behind) | u64::from(b'0');
        let whole = self.whole * 10_000_000 + digits(word)?;
        Some(Self { whole, fraction: 7 - points.trailing_zeros() as usize / 8, has_point: true })
    }

    /// The same with a word of digits, so many of which stand behind the point.
    #[inline(always)]
    fn and_digits(self, word: u64, behind: usize) -> Option<Self> {
        let whole = self.whole * 100_000_000 + digits(word)?;
        Some(Self { whole, fraction: self.fraction + behind, ..self })
    }

    /// The number, of two words: the quotient of two exact numbers is rounded once (Clinger, 1990).
    #[inline(always)]
    fn quotient(self) -> Option<f64> {
        match self.whole >> f64::MANTISSA_DIGITS {
            0 => Some(self.whole as f64 / POWERS.get(self.fraction)?),
            _ => self.product(),
        }
    }

    /// The number, unless it cannot be told how it is rounded.
    #[inline]
    fn product(self) -> Option<f64> {
        if self.whole == 0 {
            return Some(0.0);
        }
        let Reciprocal { mantissa, exponent } = RECIPROCALS.get(self.fraction)?;
        let zeros = self.whole.leading_zeros();
        let product = u128::from(self.whole << zeros) * u128::from(*mantissa);
        // The mantissa is less than 1 too small, so the product's upper half is less than 1 too small, and half of that is
        // less than 2 off. Rounding keeps the order: where both ends become one number, so does all between.
        let least = (product >> 65) as i64;
        let (number, most) = (least as f64, (least + 2) as f64);
        let scale = f64::from_bits(u64::from(exponent - zeros) << (f64::MANTISSA_DIGITS - 1));
        (number == most).then_some(number * scale)
    }
}

/// The number that eight digits are, if they are digits: pairs are added up, then pairs of those, then of those.
#[inline(always)]
fn digits(word: u64) -> Option<u64> {
    let (high, beyond) = (word & (ONES * 0xf0), word.wrapping_add(ONES * 6) & (ONES * 0xf0));
    if high != ZEROS || beyond != ZEROS {
        return None;
    }
    let digits = word - ZEROS;
    let pairs = digits * 10 + (digits >> 8);
    let (even, mask) = (pairs >> 16, 0xff_0000_00ff);
    let sum = (pairs & mask).wrapping_mul(100 + (1_000_000 << 32));
    Some(sum.wrapping_add((even & mask).wrapping_mul(1 + (10_000 << 32))) >> 32)
}

/// One over a power of ten.
#[derive(Clone, Copy)]
struct Reciprocal {
    /// The upper 64 bits.
    mantissa: u64,
    /// As an `f64` has it, of what is in the upper 63 bits of a product with a `u64`.
    exponent: u32,
}

const fn reciprocals() -> [Reciprocal; 24] {
    const BIAS: u32 = 1023;
    // One itself, whose mantissa would need another bit.
    let mut all = [Reciprocal { mantissa: 1 << 63, exponent: BIAS + 2 }; 24];
    // Of 10 = 2 * 5 only the five needs a division.
    let (mut power, mut fives) = (1, 5_u64);
    while power < all.len() {
        let bits = u64::BITS - fives.leading_zeros();
        let mantissa = ((1_u128 << (63 + bits)) / fives as u128) as u64;
        all[power] = Reciprocal { mantissa, exponent: BIAS + 2 - bits - power as u32 };
        fives *= 5;
        power += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_no_numbers() {
        for text in [
            "",
            ".",
            "-",
            "-.",
            "1..2",
            "1.2.3",
            "12345678.1.3",
            "1.2345678.",
            "1-2",
            "+1",
            "0x1",
            "1/2",
            "1:2",
            "é",
        ] {
            assert_eq!(decimal(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_point_may_stand_anywhere() {
        for length in 1..=23 {
            for place in 0..=length {
                let digits = &"123456789012345678901234"[..length];
                for sign in ["", "-"] {
                    let text = format!("{sign}{}.{}", &digits[..place], &digits[place..]);
                    let Some(read) = decimal(text.as_bytes()) else {
                        assert!(length > 18, "{text} is for this reader");
                        continue;
                    };
                    assert_eq!(read.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn what_is_read_is_what_the_library_reads(text in "-?[0-9]{0,12}(\\.[0-9]{0,20})?", short in "[-0-9.+e ]{0,9}", number: f64, small in -9.0..9.0_f64) {
            for text in [text, short, number.to_string(), small.to_string(), format!("{small:.6}"), format!("{small:.16}")] {
                if let Some(read) = decimal(text.as_bytes()) {
                    let expected = text.parse::<f64>().map(f64::to_bits);
                    prop_assert_eq!(Ok(read.to_bits()), expected, "{}", text);
                }
            }
        }

        /// Numbers that lie in the middle between two `f64`, or beside it.
        #[test]
        fn middles_are_rounded_as_the_library_does(whole in (1_u64 << 53)..(1 << 62), shift in 1_u32..10, beside in -1_i64..=1) {
            let middle = (whole >> shift << shift) | (1 << (shift - 1));
            let text = middle.saturating_add_signed(beside).to_string();
            for text in [format!("{text}.0"), text.clone(), format!("{}.{}", &text[..3], &text[3..])] {
                if let Some(read) = decimal(text.as_bytes()) {
                    prop_assert_eq!(read.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{}", text);
                }
            }
        }
    }
}
