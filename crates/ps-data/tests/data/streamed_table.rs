//! Tables that are streamed, or a host's share: known by their beginning, or by a schema that is given.

use std::fmt::Write as _;
use std::fs;

use super::common::{assert_says, folder};
use ps_core::schema::{EmbeddingRule, Schema};
use ps_data::{
    DataSource, Dataset, Error, Inputs, KnownSchema, Labels, StreamOpener, StreamPlan,
    StreamSource, TableOptions, load, stream_files,
};
use tempfile::TempDir;

/// A colour, a number, one of many towns, and what is to be told.
fn table(rows: std::ops::Range<usize>) -> Vec<u8> {
    let mut text = "colour,size,town,kind\n".to_owned();
    for row in rows {
        let (colour, town) = (["red", "green"][row % 2], row % 300);
        writeln!(text, "{colour},{},town {town},{}", row % 7, ["ash", "oak", "elm"][row % 3])
            .unwrap();
    }
    text.into_bytes()
}

fn source(dir: &TempDir) -> DataSource {
    let table = TableOptions { embedding: EmbeddingRule::Large, ..TableOptions::default() };
    DataSource { table, ..DataSource::folder(dir.path()) }
}

/// All samples of a pass, which one of two workers reads.
async fn pass(stream: StreamSource, rank: u64) -> Result<(Inputs, Labels), Error> {
    pass_of(stream, rank, 3).await
}

/// The same of so many classes.
async fn pass_of(
    stream: StreamSource,
    rank: u64,
    classes: usize,
) -> Result<(Inputs, Labels), Error> {
    let (mut inputs, mut labels) = (Inputs::default(), Labels::default());
    let mut opened = StreamOpener::new(stream).open()?;
    let shape = opened.shape().await?.unwrap();
    let mut batches = opened.start(StreamPlan {
        workers: 2,
        rank,
        batch_samples: 10,
        shape,
        id_columns: 1,
        outputs: Some(classes),
        shift: None,
        shuffle: None,
    });
    while let Some(batch) = batches.next_batch().await? {
        inputs.extend(&batch.inputs);
        labels.extend(batch.labels).unwrap();
    }
    Ok((inputs, labels))
}

/// What this rank's part of the training samples in memory is.
fn own_part(data: &Dataset, rank: u64) -> (Inputs, Labels) {
    let numbers: Vec<u64> = (rank..data.train.len() as u64).step_by(2).collect();
    data.train.gather(&numbers).unwrap()
}

#[tokio::test]
async fn a_streamed_table_gives_what_it_gives_in_memory() {
    let files: [(&str, &[u8]); 3] =
        [("a.csv", &table(0..500)), ("b.csv", &table(500..1_000)), ("test.csv", &table(0..9))];
    let dir = folder(&files);
    let whole = load(&source(&dir)).unwrap();
    let streamed = DataSource { streamed: true, ..source(&dir) };
    let known = load(&streamed).unwrap();
    assert_eq!((known.train.len(), known.train.shape()), (0, &[3][..]));
    assert_eq!((&known.schema, &known.test), (&whole.schema, &whole.test));
    let stream = StreamSource { schema: known.schema.clone(), ..stream_files(&streamed).unwrap() };
    for rank in 0..2 {
        assert_eq!(pass(stream.clone(), rank).await.unwrap(), own_part(&whole, rank));
    }
}

#[tokio::test]
async fn what_the_beginning_does_not_have_is_told() {
    let late = [table(0..800), b"red,1,town 9,fir\n".to_vec()].concat();
    let dir = folder(&[("train.csv", &late)]);
    let streamed = DataSource { streamed: true, schema_samples: 700, ..source(&dir) };
    let data = load(&streamed).unwrap();
    let schema = data.schema.clone().unwrap();
    assert_eq!((schema.samples, schema.classes().len()), (700, 3));
    let stream = StreamSource { schema: data.schema, ..stream_files(&streamed).unwrap() };
    assert!(pass(stream.clone(), 1).await.is_ok(), "the line is the other worker's");
    assert_says(
        pass(stream, 0).await,
        &["train.csv", "line 802", "`fir`", "700 training samples", "label, 3 classes"],
    );
    // Numbered classes are all there is where their number is given.
    let numbers: String = (0..50).map(|row| format!("{row},{}\n", row / 10)).collect();
    let dir = folder(&[("train.csv", numbers.as_bytes())]);
    let classes = Some(5);
    let streamed = DataSource { streamed: true, schema_samples: 10, classes, ..source(&dir) };
    assert_eq!(load(&streamed).unwrap().schema.unwrap().classes(), ["0", "1", "2", "3", "4"]);
}

#[test]
fn a_share_is_read_by_the_schema_that_is_given() {
    let dir = folder(&[("train.csv", &table(0..1_000))]);
    let whole = load(&source(&dir)).unwrap();
    let schema = dir.path().join("_schema.json");
    fs::write(&schema, whole.schema.as_ref().unwrap().to_json().unwrap()).unwrap();
    let given = || DataSource {
        sharded: true,
        schema: Some(KnownSchema::File(schema.clone())),
        ..DataSource::default()
    };
    let part = folder(&[("train.csv", &table(400..402))]);
    let share = load(&DataSource { train: Some(part.path().to_owned()), ..given() }).unwrap();
    assert_eq!(share.train.gather(&[0, 1]).unwrap(), whole.train.gather(&[400, 401]).unwrap());
    assert_eq!((share.schema, share.outputs), (whole.schema, 3));
    // Who has no sample at all knows the table, too.
    let none = load(&given()).unwrap();
    assert_eq!((none.train.shape(), none.ids.len(), none.outputs), (&[3][..], 1, 3));

    let images = "../../data/digits";
    let other = DataSource {
        schema: Some(KnownSchema::File(schema.clone())),
        ..DataSource::folder(images)
    };
    assert_says(load(&other), &["--schema", "no table"]);
    fs::write(&schema, "{}").unwrap();
    assert_says(load(&given()), &["_schema.json", "not as expected"]);
}

#[test]
fn schemas_that_make_something_else_have_other_digests() {
    let of = |rows| {
        let dir = folder(&[("train.csv", &table(rows))]);
        load(&source(&dir)).unwrap().schema.unwrap()
    };
    let one = of(0..1_000);
    assert_eq!(one.digest(), of(0..1_000).digest());
    assert_ne!(one.digest(), of(0..1_001).digest());
    let changed = |change: fn(&mut Schema)| {
        let mut other = (*one).clone();
        change(&mut other);
        other.digest()
    };
    assert_eq!(one.digest(), changed(|schema| schema.samples += 1));
    assert_ne!(one.digest(), changed(|schema| schema.missing.push("red".to_owned())));
    assert_ne!(one.digest(), changed(|schema| schema.put_classes_first(&["oak".to_owned()])));
}

/// Found by trying to break it: each host numbered new classes in the order of its own share.
#[test]
fn regression_a_share_teaches_no_new_classes() {
    let dir = folder(&[("train.csv", &table(0..1_000))]);
    let known = load(&source(&dir)).unwrap().schema.unwrap();
    let more = folder(&[("train.csv", b"colour,size,town,kind\nred,1,town 3,fir\n")]);
    let schema = Some(KnownSchema::OfModel(known.clone()));
    let further = DataSource { schema, ..source(&more) };
    let data = load(&further).unwrap();
    assert_eq!(data.schema.unwrap().classes(), ["ash", "elm", "oak", "fir"]);
    assert_says(load(&DataSource { sharded: true, ..further }), &["`fir` does not occur"]);
    // A share may be empty, with a header or without.
    let empty = folder(&[("train.csv", b"colour,size,town,kind\n")]);
    let schema = Some(KnownSchema::OfModel(known));
    let share = DataSource { sharded: true, schema, ..source(&empty) };
    assert_eq!(load(&share).unwrap().train.len(), 0);
}

/// Found by trying to break it: thousands of measured numbers became classes of a model that was trained further.
#[test]
fn regression_measured_numbers_are_no_new_classes() {
    let dir = folder(&[("train.csv", &table(0..1_000))]);
    let known = load(&source(&dir)).unwrap().schema.unwrap();
    let rows: String = (0..300).map(|row| format!("red,1,town 3,{}.25\n", row * 7)).collect();
    let numbers = folder(&[("train.csv", format!("colour,size,town,kind\n{rows}").as_bytes())]);
    let schema = Some(KnownSchema::OfModel(known));
    assert_says(
        load(&DataSource { schema, ..source(&numbers) }),
        &["train.csv", "numbers that are measured", "tells 3 classes"],
    );
}

/// Found by review: a class that the test files have was said to be none that the model can tell, while the stream teaches it.
#[tokio::test]
async fn regression_a_class_that_test_files_have_is_learnt_when_the_stream_has_it_later() {
    let late = [table(0..800), b"red,1,town 9,fir\n".to_vec()].concat();
    let test = [table(0..9), b"red,1,town 9,fir\n".to_vec()].concat();
    let dir = folder(&[("train.csv", &late), ("test.csv", &test)]);
    let streamed = DataSource { streamed: true, schema_samples: 700, ..source(&dir) };
    let data = load(&streamed).unwrap();
    assert_eq!((data.outputs, data.test.labels().classes()[9]), (4, 3));
    let stream = StreamSource { schema: data.schema, ..stream_files(&streamed).unwrap() };
    let (_, labels) = pass_of(stream, 0, 4).await.unwrap();
    assert_eq!(labels.classes().last(), Some(&3), "with the number that it has in the test files");
}
