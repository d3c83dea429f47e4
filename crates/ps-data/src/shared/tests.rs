use super::*;
use crate::{Features, Labels, Samples, bundled_digits};
use proptest::prelude::*;
use ps_core::schema::IdColumn;

/// Floats with ids and numbers as labels.
fn data(samples: usize, width: usize) -> Dataset {
    let set = |samples: usize| {
        let values = (0..samples * width).map(|at| at as f32 / 3.0).collect();
        let numbers = (0..samples * 2).map(|at| at as f32).collect();
        let labels = Labels::Numbers { each: 2, values: numbers };
        let set = Samples::new(Features::Floats(values), vec![width], labels).unwrap();
        set.with_ids((0..samples as u32 * 3).collect()).unwrap()
    };
    let ids = vec![IdColumn::new("shop".to_owned(), 1_000)];
    let none = Dataset::new(set(samples), set(samples / 2), 2);
    Dataset { ids, validation: set(1), schema_digest: Some(u64::MAX), ..none }
}

#[test]
fn what_is_shared_is_what_is_read() {
    let digits = bundled_digits().unwrap();
    let shared = SharedDataset::new(&digits).unwrap();
    let read = open_shared(&shared.path()).unwrap();
    assert_eq!(read, digits);
    // Who has opened it keeps it.
    drop(shared);
    assert_eq!(read.train.gather(&[1_000]).unwrap(), digits.train.gather(&[1_000]).unwrap());
}

proptest! {
    #[test]
    fn any_numbers_and_ids_come_out_as_they_went_in(samples in 0..20_usize, width in 1..9_usize) {
        let data = data(samples, width);
        let mut read = open_shared(&SharedDataset::new(&data).unwrap().path()).unwrap();
        prop_assert_eq!(&read, &data);
        let mut own = data;
        prop_assert_eq!(read.train.split_last(3), own.train.split_last(3));
        prop_assert_eq!(read, own);
    }
}

#[test]
fn other_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("samples");
    std::fs::write(&path, [7; 100]).unwrap();
    // No memory that could be sealed.
    assert!(matches!(open_shared(&path).unwrap_err(), Error::Read { .. }));
    for content in [&[0xff; 100][..], &[], &[1, 0, 0, 0, 0, 0, 0, 0, b'{']] {
        let mut memory = mapping::create().unwrap();
        memory.write_all(content).unwrap();
        let path = PathBuf::from(format!("/proc/self/fd/{}", memory.as_raw_fd()));
        // Its owner could still take it away from under us.
        assert!(open_shared(&path).unwrap_err().to_string().contains("sealed"));
        mapping::seal(&memory).unwrap();
        assert!(open_shared(&path).unwrap_err().to_string().contains("samples"), "{content:?}");
    }
}
