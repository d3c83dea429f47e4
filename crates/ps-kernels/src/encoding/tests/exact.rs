//! Kernels against scalar references, bit for bit.

use super::super::floats::{from_bf16, from_f16, to_bf16, to_f16};
use super::super::int8::{BLOCK, Scale};
use super::*;
use std::sync::LazyLock;

/// A small float with so many bits of exponent and mantissa, by its definition.
fn value_of(bits: u16, exponent_bits: u32, mantissa_bits: u32) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from((bits & 0x7fff) >> mantissa_bits);
    let mantissa =
        f64::from(bits & ((1 << mantissa_bits) - 1)) / 2.0_f64.powi(mantissa_bits as i32);
    let bias = (1 << (exponent_bits - 1)) - 1;
    match exponent {
        0 => sign * mantissa * 2.0_f64.powi(1 - bias),
        all if all == (1 << exponent_bits) - 1 && mantissa == 0.0 => sign * f64::INFINITY,
        all if all == (1 << exponent_bits) - 1 => f64::NAN,
        _ => sign * (1.0 + mantissa) * 2.0_f64.powi(exponent - bias),
    }
}

/// The positive finite values in order; the position of each is what it is written as.
type Values = LazyLock<Vec<f64>>;
static BF16: Values = LazyLock::new(|| (0..0x7f80).map(|bits| value_of(bits, 8, 7)).collect());
static F16: Values = LazyLock::new(|| (0..0x7c00).map(|bits| value_of(bits, 5, 10)).collect());

/// The nearest value, the even one of two, found by looking; `None` for what is beyond the largest
/// by half a step or more.
fn nearest(values: &[f64], value: f32) -> Option<u16> {
    let wanted = f64::from(value.abs());
    let above = values.partition_point(|&known| known < wanted);
    let (low, high) = (above.saturating_sub(1), above);
    let step_beyond = 2.0 * values[values.len() - 1] - values[values.len() - 2];
    let high_value = values.get(high).copied().unwrap_or(step_beyond);
    let (down, up) = (wanted - values[low], high_value - wanted);
    let nearest = match down.partial_cmp(&up)? {
        std::cmp::Ordering::Less => low,
        std::cmp::Ordering::Greater => high,
        std::cmp::Ordering::Equal => low + low % 2,
    };
    (nearest < values.len()).then_some(nearest as u16)
}

fn expected(value: f32, values: &[f64], infinity: u16, beyond: u16, quiet: u16, bits: u32) -> u16 {
    let sign = (value.to_bits() >> 16) as u16 & 0x8000;
    let magnitude = match value {
        value if value.is_nan() => {
            infinity | quiet | ((value.to_bits() & 0x007f_ffff) >> (23 - bits)) as u16
        }
        value if value.is_infinite() => infinity,
        value => nearest(values, value).unwrap_or(beyond),
    };
    sign | magnitude
}

fn expected_bf16(value: f32) -> u16 {
    expected(value, &BF16, 0x7f80, 0x7f80, 0x40, 7)
}

fn expected_f16(value: f32) -> u16 {
    expected(value, &F16, 0x7c00, 0x7bff, 0x200, 10)
}

#[test]
fn every_bf16_and_f16_is_read_and_written_as_itself() {
    for bits in 0..=u16::MAX {
        for (read, written, value) in [
            (from_bf16(bits), to_bf16(from_bf16(bits)), value_of(bits, 8, 7)),
            (from_f16(bits), to_f16(from_f16(bits)), value_of(bits, 5, 10)),
        ] {
            if value.is_nan() {
                assert!(read.is_nan(), "{bits:#06x}");
            } else {
                assert_eq!(f64::from(read), value, "{bits:#06x}");
                assert_eq!(written, bits);
            }
        }
    }
}

/// Both neighbours of every value and of every tie.
#[test]
fn ties_and_their_neighbours_are_rounded_to_nearest_even() {
    let ties = |values: &[f64]| {
        let pairs = values.windows(2).map(|pair| ((pair[0] + pair[1]) / 2.0) as f32);
        pairs.flat_map(|tie| [tie.next_down(), tie, tie.next_up()]).collect::<Vec<_>>()
    };
    for value in ties(&BF16) {
        assert_eq!(to_bf16(value), expected_bf16(value), "{value:e}");
    }
    for value in ties(&F16) {
        assert_eq!(to_f16(value), expected_f16(value), "{value:e}");
    }
}

fn halves(bytes: &[u8]) -> Vec<u16> {
    bytes.as_chunks().0.iter().map(|&half| u16::from_le_bytes(half)).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// int8 value by value, with the library's rounding.
fn expected_int8(values: &[f32]) -> Vec<u8> {
    let block = |block: &[f32]| {
        let largest =
            block.iter().fold(
                0.0,
                |largest: f32, value| {
                    if value.abs() <= largest { largest } else { value.abs() }
                },
            );
        if !largest.is_finite() || block.iter().any(|value| value.is_nan()) {
            return [&f32::NAN.to_le_bytes()[..], &vec![0; block.len()]].concat();
        }
        let is_zero = largest < crate::optimizer::kernel::FLOOR;
        let scale =
            if is_zero { 0.0 } else { (largest / 127.0).min(2.679_388_6e36_f32.next_down()) };
        let inverse = if is_zero { 0.0 } else { 127.0 / largest };
        let quanta = block.iter().map(|value| (value * inverse).round_ties_even() as i8 as u8);
        scale.to_le_bytes().into_iter().chain(quanta).collect()
    };
    values.chunks(BLOCK).flat_map(block).collect()
}

proptest! {
    #[test]
    fn bf16_and_f16_are_rounded_to_nearest_even(values in gradient(), offset in 0_usize..4) {
        let bf16 = halves(&encoded(Encoding::Bf16, &values, offset)[offset..]);
        prop_assert_eq!(bf16, values.iter().map(|v| expected_bf16(*v)).collect::<Vec<_>>());
        let f16 = halves(&encoded(Encoding::F16, &values, offset)[offset..]);
        prop_assert_eq!(f16, values.iter().map(|v| expected_f16(*v)).collect::<Vec<_>>());
    }

    #[test]
    fn any_halves_are_read_alike_one_by_one_and_all_at_once(
        halves in prop::collection::vec(any::<u16>(), 0..300), offset in 0_usize..4,
    ) {
        let mut bytes = vec![0; offset];
        bytes.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
        let bf16 = decoded(Encoding::Bf16, &bytes[offset..], halves.len());
        let one_by_one: Vec<f32> = halves.iter().map(|half| from_bf16(*half)).collect();
        prop_assert_eq!(bits(&bf16), bits(&one_by_one));
        let f16 = decoded(Encoding::F16, &bytes[offset..], halves.len());
        let one_by_one: Vec<f32> = halves.iter().map(|half| from_f16(*half)).collect();
        prop_assert_eq!(bits(&f16), bits(&one_by_one));
    }

    #[test]
    fn int8_is_the_scalar_reference(values in gradient(), offset in 0_usize..4) {
        let bytes = encoded(Encoding::Int8, &values, offset);
        prop_assert_eq!(&bytes[offset..], expected_int8(&values));
        let read = decoded(Encoding::Int8, &bytes[offset..], values.len());
        for (block, read) in values.chunks(BLOCK).zip(read.chunks(BLOCK)) {
            let largest = block.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
            let is_finite = block.iter().all(|value| value.is_finite());
            for (value, read) in block.iter().zip(read) {
                let error = f64::from((value - read).abs());
                let step = f64::from(largest) / 127.0;
                // Half a step, a rounding of the product, and what is too small for any scale.
                let most = step * 0.500_01 + 1e-30;
                let is_right = if is_finite { error <= most } else { read.is_nan() };
                prop_assert!(is_right, "{} became {}", value, read);
            }
        }
    }

    /// The rounding by addition is the library's, at the borders too.
    #[test]
    fn quanta_are_rounded_to_nearest_even(value in -127_i16..=127, half in 0_i16..2) {
        let scale = Scale::new(127.0);
        let value = f32::from(value) + 0.5 * f32::from(half);
        prop_assume!(value <= 127.0);
        prop_assert_eq!(scale.quantum(value) as i8, value.round_ties_even() as i8);
    }
}
