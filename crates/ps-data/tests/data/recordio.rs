//! RecordIO-protobuf files as AWS's own encoder writes them (tests/fixtures/recordio/make.py).

use std::fs;

use super::common::{all, assert_says, fixture, fixtures};
use ps_data::{DataSource, Dataset, Error, Wrapper, load};

/// What these files hold, read from one folder.
fn read(files: &[(&str, Vec<u8>)], wrapper: Wrapper) -> Result<Dataset, Error> {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    load(&DataSource { wrapper, ..DataSource::folder(dir.path()) })
}

/// The bytes as the payload of one RecordIO record.
fn wrapped(payload: &[u8]) -> Vec<u8> {
    let mut bytes = 0xCED7_230A_u32.to_le_bytes().to_vec();
    bytes.extend((payload.len() as u32).to_le_bytes());
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[test]
fn files_of_the_independent_encoder_are_read() {
    let expected: serde_json::Value = serde_json::from_slice(&fixture("samples.json")).unwrap();
    let files = expected.as_object().unwrap();
    assert_eq!(files.len(), 4);
    for (name, expected) in files {
        let data = load(&DataSource::folder(fixtures().join(name))).unwrap();
        let rows: Vec<Vec<f32>> = serde_json::from_value(expected["features"].clone()).unwrap();
        let labels: Vec<u32> = serde_json::from_value(expected["labels"].clone()).unwrap();
        assert_eq!(data.train.shape(), [rows[0].len()], "{name}");
        assert_eq!(data.outputs as u32, labels.iter().max().unwrap() + 1, "{name}");
        assert_eq!(all(&data.train), (rows.concat(), labels), "{name}");
    }
}

#[test]
fn several_files_are_one_set() {
    let (dense, doubles) = (fixture("dense_int_label_float32.rec"), fixture("dense_float64.rec"));
    let files = [("b", dense.clone()), ("a", doubles.clone()), ("empty", vec![])];
    let data = read(&files, Wrapper::None).unwrap();
    assert_eq!((data.train.len(), data.outputs), (8, 3));
    assert_eq!(all(&data.train).0[..3], [0.5, -1.25, 3.0]);
    let data = read(&[("train.rec", dense), ("test.rec", doubles)], Wrapper::None).unwrap();
    assert_eq!((data.train.len(), data.test.len()), (4, 4));
}

#[test]
fn wrapped_files_hold_records_or_are_one() {
    let dense = fixture("dense_float64.rec");
    let plain = read(&[("a", [&dense[..], &dense].concat())], Wrapper::None).unwrap();
    let files = [wrapped(&dense), wrapped(b""), wrapped(&dense)].concat();
    assert_eq!(read(&[("a", files)], Wrapper::Recordio).unwrap(), plain);
    // Each record by itself: what is wrapped is the record without a container of its own.
    assert_eq!(read(&[("a", dense)], Wrapper::Recordio).unwrap().train.len(), 4);
}

#[test]
fn damage_is_named_by_file_and_record() {
    let dense = fixture("dense_float32_3x2.rec");
    for end in 5..dense.len() {
        let result = read(&[("a", dense[..end].to_vec())], Wrapper::None);
        assert_eq!(result.is_ok(), end % 52 == 0, "cut at {end}: {result:?}");
    }
    let cut = read(&[("cut.rec", dense[..100].to_vec())], Wrapper::None);
    assert_says(cut, &["cut.rec", "record 2", "copied in full"]);
    let (two, three) = (dense, fixture("dense_float64.rec"));
    let files = [("a", [&two[..], &three].concat())];
    assert_says(read(&files, Wrapper::None), &["record 4", "[3]", "expected [2]"]);
    let files = [("a", two), ("b", three)];
    assert_says(read(&files, Wrapper::None), &["/b:", "[3]", "/a", "[2]"]);
    let text = wrapped(b"1,2,3\n");
    assert_says(read(&[("a", text)], Wrapper::None), &["/a, record 1", "not a protobuf record"]);
}

#[test]
fn a_record_over_the_limit_is_refused() {
    let bytes = wrapped(&vec![0; (32 << 20) + 1]);
    assert_says(read(&[("a", bytes)], Wrapper::None), &["record 1", "more than 33554432 bytes"]);
}
