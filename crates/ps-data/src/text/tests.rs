use super::*;
use proptest::prelude::*;
use std::io::Cursor;

/// What a reader gives of these bytes.
fn read_one_by_one(bytes: &[u8], context: usize) -> Result<Vec<(Vec<f32>, u32)>, Error> {
    let from = Box::new(Cursor::new(bytes.to_vec()));
    let mut reader = TextReader::new(Path::new("a.txt"), from, context);
    let mut samples = Vec::new();
    loop {
        let mut inputs = Inputs::default();
        // Every third sample is another worker's.
        match reader.next(samples.len() % 3 != 2, &mut inputs)? {
            Next::Sample(Label::Class(class)) => samples.push((inputs.features, class)),
            Next::Sample(other) => panic!("{other:?}"),
            Next::Skipped => samples.push((inputs.features, 0)),
            Next::End => return Ok(samples),
        }
    }
}

/// The same by its definition.
fn windows(bytes: &[u8], context: usize) -> Vec<(Vec<f32>, u32)> {
    let whole =
        (0..).map(|sample| sample * context).take_while(|start| start + context < bytes.len());
    let sample = |start: usize| {
        let inputs = bytes[start..start + context].iter().map(|&byte| f32::from(byte));
        (inputs.collect(), u32::from(bytes[start + context]))
    };
    whole.map(sample).collect()
}

proptest! {
    #[test]
    fn samples_are_the_windows_of_the_text(
        bytes in prop::collection::vec(any::<u8>(), 0..200), context in 1..40_usize,
    ) {
        let mut expected = windows(&bytes, context);
        match read_one_by_one(&bytes, context) {
            Err(error) => {
                prop_assert!((1..=context).contains(&bytes.len()));
                prop_assert!(error.to_string().contains("a.txt: a text of"), "{}", error);
            }
            Ok(samples) => {
                for skipped in expected.iter_mut().skip(2).step_by(3) {
                    *skipped = (Vec::new(), 0);
                }
                prop_assert_eq!(samples, expected);
            }
        }
    }

    #[test]
    fn a_loaded_text_has_the_same_samples(
        bytes in prop::collection::vec(any::<u8>(), 2..200), context in 1..40_usize,
    ) {
        // Bytes that say gzip are taken for it.
        prop_assume!(bytes.len() > context && !bytes.starts_with(&[0x1f, 0x8b]));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("train.txt");
        std::fs::write(&path, &bytes).unwrap();
        let source = DataSource { context, sharded: true, ..DataSource::default() };
        let Dataset { train, outputs, .. } = load(&[path], &[], &[], &source).unwrap();
        let expected = windows(&bytes, context);
        prop_assert_eq!((train.len(), outputs), (expected.len(), 256));
        for (number, (inputs, label)) in expected.into_iter().enumerate() {
            prop_assert_eq!(train.gather(&[number as u64]).unwrap(), (inputs.into(), vec![label].into()));
        }
    }
}
