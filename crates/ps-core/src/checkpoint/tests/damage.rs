//! Files that are not as they were written.

use super::*;

/// One changed bit anywhere, and every length that is not that of the file, is noticed and named.
#[test]
fn no_damage_goes_unnoticed() {
    let spec = spec(&[90, 20], "adam", 1);
    let (file, bytes) = write(&spec).remove(0);
    let open = |bytes: Vec<u8>| read(&[(file.clone(), bytes)], &spec, 0);
    assert!(open(bytes.clone()).is_ok());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = open(flipped).unwrap_err().to_string();
        assert!(error.contains(&file.name) && error.contains("CRC-32"), "bit {bit}: {error}");
    }
    let expect_named = |bytes: Vec<u8>| {
        let error = open(bytes).unwrap_err().to_string();
        assert!(error.contains(&file.name) && error.contains("bytes"), "{error}");
    };
    (0..bytes.len()).for_each(|length| expect_named(bytes[..length].to_owned()));
    expect_named([&bytes[..], &[0]].concat());
}

/// The same where a file is read by itself: each single bit, and a chunk that was changed is named.
#[test]
fn every_flipped_bit_of_a_file_that_is_read_whole_is_found() {
    let spec = spec(&[90, 20], "sgd", 2);
    for (file, mut bytes) in write(&spec) {
        let mut chunks = Vec::new();
        let mut read = |bytes: &[u8]| {
            chunks.clear();
            let length = bytes.len() as u64;
            StoredShard::read_all(&file, 2, &spec, length, reader(bytes), |id, chunk| {
                chunks.push((id, chunk.weights().len()));
                Ok(())
            })
        };
        assert_eq!(read(&bytes).unwrap().chunks(), file.chunks);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                let error = read(&bytes).unwrap_err().to_string();
                let values = spec.partition().range(file.shard).len() * size_of::<f32>();
                let is_value = (4096..4096 + values).contains(&at);
                assert!(error.contains(&file.name), "byte {at}: {error}");
                assert!(!is_value || error.contains("of chunk"), "byte {at}: {error}");
                bytes[at] ^= 1 << bit;
            }
        }
        read(&bytes).unwrap();
        let run = spec.partition().run(file.shard);
        let expected = run.map(|id| (id, spec.partition().elements(id).len()));
        assert_eq!(chunks, expected.collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever lies under a listed name, it is refused without a panic, also where its checksums fit.
    #[test]
    fn what_is_no_file_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..6000)) {
        let spec = spec(&[40], "sgd", 1);
        let (file, _) = write(&spec).remove(0);
        let crc = crc32fast::hash(&bytes[..bytes.len().min(4096)]);
        let file = File { crc, bytes: bytes.len() as u64, ..file };
        prop_assert!(read(&[(file, bytes)], &spec, 0).is_err());
    }
}
