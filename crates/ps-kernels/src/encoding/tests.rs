//! Encodings against slow references that are obviously right.

mod exact;
mod parts;

use super::*;
use proptest::prelude::*;

/// Values of every magnitude and kind.
fn anything() -> impl Strategy<Value = f32> {
    const SPECIAL: &[f32] =
        &[0.0, -0.0, f32::NAN, f32::INFINITY, f32::MAX, f32::MIN_POSITIVE, 1e-40, 65520.0];
    prop_oneof![
        4 => -2.0_f32..2.0,
        4 => any::<u32>().prop_map(f32::from_bits),
        // Halfway between two bf16, and between two f16.
        2 => any::<u16>().prop_map(|half| f32::from_bits(u32::from(half) << 16 | 0x8000)),
        2 => any::<u32>().prop_map(|bits| f32::from_bits(bits & !0x1fff | 0x1000)),
        2 => prop::sample::select(SPECIAL),
    ]
}

fn finite() -> impl Strategy<Value = f32> {
    anything().prop_map(|value| if value.is_finite() { value } else { 1.0 })
}

fn gradient() -> impl Strategy<Value = Vec<f32>> {
    // Odd lengths, beyond one block of int8.
    prop::collection::vec(anything(), 0..700)
}

/// Encoded after `offset` bytes, so that the bytes lie unaligned.
fn encoded(encoding: Encoding, values: &[f32], offset: usize) -> Vec<u8> {
    let mut bytes = vec![0xa5; offset + encoding.encoded_bytes(values.len())];
    encoding.encode(values, &mut bytes[offset..]);
    bytes
}

fn decoded(encoding: Encoding, bytes: &[u8], elements: usize) -> Vec<f32> {
    let mut values = vec![7.0; elements];
    encoding.decode(bytes, &mut values);
    values
}

fn round_trip(encoding: Encoding, values: &[f32]) -> Vec<f32> {
    decoded(encoding, &encoded(encoding, values, 0), values.len())
}

#[test]
fn names_are_read_and_unknown_ones_answered() {
    for encoding in Encoding::ALL {
        assert_eq!(encoding.name().parse(), Ok(encoding));
        let json = serde_json::to_string(&encoding).unwrap();
        assert_eq!(json, format!("\"{encoding}\""));
    }
    let error = "fp16".parse::<Encoding>().unwrap_err().to_string();
    assert!(Encoding::ALL.iter().all(|known| error.contains(known.name())), "{error}");
    assert!(error.contains("fp16"), "{error}");
}

#[test]
fn sizes_are_what_the_layouts_say() {
    let sizes = |elements| Encoding::ALL.map(|encoding| encoding.encoded_bytes(elements));
    assert_eq!(sizes(0), [0, 0, 0, 0]);
    assert_eq!(sizes(1), [4, 2, 2, 5]);
    assert_eq!(sizes(257), [1028, 514, 514, 257 + 8]);
}

#[test]
fn overflow_is_as_documented() {
    let large = [65504.0, 65519.9, 65520.0, -1e30, f32::MAX, f32::INFINITY, f32::NEG_INFINITY];
    let f16 = round_trip(Encoding::F16, &large);
    let (inf, max) = (f32::INFINITY, 65504.0);
    assert_eq!(f16, [max, max, max, -max, max, inf, -inf]);
    let bf16 = round_trip(Encoding::Bf16, &[3.3e38, f32::MAX, -f32::MAX]);
    assert!(bf16[0].is_finite(), "{bf16:?}");
    assert_eq!(bf16[1..], [inf, -inf]);
    assert!(round_trip(Encoding::Int8, &[f32::MAX, -f32::MAX, 1.0])[0].is_finite());
}

proptest! {
    #[test]
    fn f32_is_not_changed(values in gradient(), offset in 0_usize..4) {
        let bytes = encoded(Encoding::F32, &values, offset);
        let same = decoded(Encoding::F32, &bytes[offset..], values.len());
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&same), bits(&values));
    }

    /// What was decoded from an encoding is written in it without a change.
    #[test]
    fn a_second_round_trip_changes_nothing(values in prop::collection::vec(finite(), 0..600)) {
        for encoding in [Encoding::Bf16, Encoding::F16] {
            let once = round_trip(encoding, &values);
            prop_assert_eq!(round_trip(encoding, &once), once);
        }
    }

    #[test]
    fn what_is_not_finite_is_never_made_finite(
        mut values in prop::collection::vec(finite(), 1..600), at: prop::sample::Index,
        broken in prop::sample::select(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY][..]),
    ) {
        let at = at.index(values.len());
        values[at] = broken;
        for encoding in Encoding::ALL {
            let found = round_trip(encoding, &values)[at];
            prop_assert!(!found.is_finite(), "{}: {} became {}", encoding, broken, found);
        }
    }
}
