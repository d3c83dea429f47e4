use super::*;
use proptest::prelude::*;

const DRAW: Draw = Draw { seed: 7, pass: 3, source: 0 };

/// What moving is, pixel by pixel.
fn moved(
    image: &[f32],
    (height, width): (usize, usize),
    (down, right): (isize, isize),
) -> Vec<f32> {
    let at = |row: isize, column: isize| {
        let inside = (0..height as isize).contains(&row) && (0..width as isize).contains(&column);
        if inside { image[row as usize * width + column as usize] } else { 0.0 }
    };
    let places = (0..height as isize).flat_map(|row| (0..width as isize).map(move |c| (row, c)));
    places.map(|(row, column)| at(row - down, column - right)).collect()
}

fn image(size: usize) -> Vec<f32> {
    (1..=size).map(|value| value as f32).collect()
}

proptest! {
    #[test]
    fn images_are_moved_pixel_by_pixel(
        height in 1..9_usize, width in 1..9_usize, channels in 1..4_usize, pixels in 0..5_usize,
        number: u64,
    ) {
        let pixels = pixels.min(height.min(width) / 2);
        let shift = Shift::new(pixels, &[channels, height, width], DRAW).unwrap();
        let original = image(channels * height * width);
        let mut features = original.clone();
        shift.apply(&[number], &mut features);
        let (down, right) = shift.distance(number);
        prop_assert!(down.unsigned_abs() <= pixels && right.unsigned_abs() <= pixels);
        let planes = original.chunks_exact(height * width);
        let expected: Vec<f32> =
            planes.flat_map(|plane| moved(plane, (height, width), (down, right))).collect();
        prop_assert_eq!(features, expected);
    }

    #[test]
    fn a_sample_is_moved_the_same_wherever_it_is(
        numbers in prop::collection::vec(0..1_000_u64, 1..20), pass in 0..5_u64, seed: u64,
    ) {
        let shift = Shift::new(2, &[5, 4], Draw { seed, pass, source: 0 }).unwrap();
        let mut batch: Vec<f32> = numbers.iter().flat_map(|_| image(20)).collect();
        shift.apply(&numbers, &mut batch);
        for (number, together) in numbers.iter().zip(batch.chunks_exact(20)) {
            let mut by_itself = image(20);
            shift.apply(&[*number], &mut by_itself);
            prop_assert_eq!(&by_itself, together);
        }
    }
}

#[test]
fn every_distance_is_as_likely() {
    let shift = Shift::new(1, &[2, 2], DRAW).unwrap();
    let mut times = std::collections::BTreeMap::new();
    for number in 0..9_000 {
        *times.entry(shift.distance(number)).or_insert(0) += 1;
    }
    // 1,000 each, deviation about 30.
    assert_eq!(times.len(), 9);
    assert!(times.values().all(|&times| (850..1_150).contains(&times)), "{times:?}");
}

#[test]
fn pass_seed_and_source_change_the_distances() {
    let distances = |draw: Draw| -> Vec<_> {
        let shift = Shift::new(10, &[28, 28], draw).unwrap();
        (0..50).map(|number| shift.distance(number)).collect()
    };
    let own = distances(DRAW);
    assert_eq!(own, distances(DRAW));
    for other in [Draw { seed: 8, ..DRAW }, Draw { pass: 4, ..DRAW }, Draw { source: 1, ..DRAW }] {
        assert_ne!(own, distances(other));
    }
}

#[test]
fn distances_never_change_between_versions() {
    // A job that is resumed by another version goes on with these very numbers.
    let shift = Shift::new(3, &[8, 8], DRAW).unwrap();
    let distances: Vec<_> = (0..6).map(|number| shift.distance(number)).collect();
    assert_eq!(distances, [(0, 3), (2, 1), (-1, -2), (-3, 2), (1, 0), (0, -3)]);
}

#[test]
fn samples_that_are_no_images_are_refused() {
    for shape in [&[64][..], &[], &[2, 3, 4, 5]] {
        let error = Shift::new(1, shape, DRAW).unwrap_err().to_string();
        assert!(error.contains("--augment-shift 1") && error.contains("images"), "{error}");
    }
    assert!(Shift::new(4, &[8, 28], DRAW).is_ok());
    let error = Shift::new(5, &[3, 8, 28], DRAW).unwrap_err().to_string();
    assert!(error.contains("8 x 28") && error.contains("at most 4"), "{error}");
    let csv = Samples::none(vec![14]);
    assert!(check_shift(1, &csv).is_err() && check_shift(0, &csv).is_ok());
    assert!(check_shift(1, &Samples::none(Vec::new())).is_ok());
}
