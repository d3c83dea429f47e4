//! Files that are read in every pass instead of being loaded.

use std::fs;
use std::io::Write;
use std::path::Path;

use super::common::{fixture, folder};
use ps_data::{
    DataSource, Dataset, Draw, Error, Format, Samples, Shuffle, StreamBatch, StreamOpener,
    StreamPlan, load, stream_files,
};
use tempfile::TempDir;

fn streamed(dir: &TempDir) -> DataSource {
    DataSource { streamed: true, ..DataSource::folder(dir.path()) }
}

fn plan(shape: &[usize], workers: u64, rank: u64) -> StreamPlan {
    StreamPlan {
        workers,
        rank,
        batch_samples: 3,
        shape: shape.to_vec(),
        id_columns: 0,
        outputs: Some(256),
        shift: None,
        shuffle: None,
    }
}

fn shuffled(pass: u64, plan: StreamPlan) -> StreamPlan {
    let draw = Draw { seed: 1, pass, source: 0 };
    StreamPlan { shuffle: Some(Shuffle { samples: 5, draw }), ..plan }
}

/// One pass of the training files.
async fn pass(source: &DataSource, plan: StreamPlan) -> Result<Vec<StreamBatch>, Error> {
    let mut stream = StreamOpener::new(stream_files(source)?).open()?;
    stream.shape().await?;
    let mut batches = stream.start(plan);
    let mut all = Vec::new();
    while let Some(batch) = batches.next_batch().await? {
        all.push(batch);
    }
    Ok(all)
}

/// The samples of batches, each with its label.
fn samples(batches: &[StreamBatch], inputs: usize) -> Vec<(Vec<f32>, u32)> {
    let samples = batches.iter().flat_map(|batch| {
        assert_eq!(batch.inputs.features.len(), batch.labels.len() * inputs);
        batch
            .inputs
            .features
            .chunks(inputs)
            .map(<[f32]>::to_vec)
            .zip(batch.labels.classes().iter().copied())
    });
    samples.collect()
}

fn all(loaded: &Samples) -> Vec<(Vec<f32>, u32)> {
    let one = |number| {
        let (inputs, labels) = loaded.gather(&[number]).unwrap();
        (inputs.features, labels.classes()[0])
    };
    (0..loaded.len() as u64).map(one).collect()
}

/// Whether streams of a folder give what loading it does, however many workers there are.
async fn same_as_loaded(dir: &TempDir, more: impl Fn(DataSource) -> DataSource) {
    let (source, whole) = (more(streamed(dir)), more(DataSource::folder(dir.path())));
    // As every sample is understood by itself.
    let loaded = load(&DataSource { sharded: true, ..whole }).unwrap().train;
    let (shape, inputs) = (loaded.shape().to_vec(), loaded.features_per_sample());
    assert!(loaded.len() > 9, "too few samples for this test");
    let in_order = samples(&pass(&source, plan(&shape, 1, 0)).await.unwrap(), inputs);
    assert_eq!(in_order, all(&loaded));
    for rank in 0..3 {
        let own: Vec<_> = in_order.iter().skip(rank).step_by(3).cloned().collect();
        let plan = plan(&shape, 3, rank as u64);
        let batches = pass(&source, plan.clone()).await.unwrap();
        assert!(batches[..batches.len() - 1].iter().all(|batch| batch.labels.len() == 3));
        assert_eq!(samples(&batches, inputs), own);
        // Another order of the same samples.
        let mut other = samples(&pass(&source, shuffled(0, plan)).await.unwrap(), inputs);
        other.sort_by(|one, two| one.partial_cmp(two).unwrap());
        let mut own = own;
        own.sort_by(|one, two| one.partial_cmp(two).unwrap());
        assert_eq!(other, own);
    }
    let Dataset { train, test, .. } = load(&source).unwrap();
    assert_eq!((train.len(), train.shape(), test.len()), (0, &shape[..], 0));
}

fn csv(numbers: std::ops::Range<u32>) -> Vec<u8> {
    numbers.map(|number| format!("{number},{}\n", number % 4)).collect::<String>().into_bytes()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn digits(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/digits").join(name)).unwrap()
}

#[tokio::test]
async fn csv_files_are_one_stream() {
    let header = [b"x,y\n", &csv(0..7)[..]].concat();
    let files: [(&str, &[u8]); 3] =
        [("a.csv", &header), ("b.csv.gz", &packed(&csv(7..20))), ("c.csv", &csv(20..22))];
    same_as_loaded(&folder(&files), |source| source).await;
}

#[tokio::test]
async fn records_are_one_stream() {
    let records = fixture("dense_float64.rec");
    let files: [(&str, &[u8]); 3] = [("a", &records), ("b", &packed(&records)), ("c", &records)];
    same_as_loaded(&folder(&files), |source| source).await;
}

#[tokio::test]
async fn texts_are_one_stream() {
    let files: [(&str, &[u8]); 2] =
        [("a.txt", b"a text of twenty-five byt"), ("b.txt", b"another text, with a rest of two")];
    same_as_loaded(&folder(&files), |source| DataSource { context: 4, ..source }).await;
}

#[tokio::test]
async fn images_and_labels_are_one_stream() {
    let images = digits("train-images-idx3-ubyte.gz");
    let labels = digits("train-labels-idx1-ubyte.gz");
    let files: [(&str, &[u8]); 2] =
        [("train-images-idx3-ubyte.gz", &images), ("train-labels-idx1-ubyte.gz", &labels)];
    same_as_loaded(&folder(&files), |source| source).await;
}

#[tokio::test]
async fn seed_and_pass_say_the_order() {
    let dir = folder(&[("train.csv", &csv(0..40))]);
    let source = streamed(&dir);
    let order = async |pass_number| pass(&source, shuffled(pass_number, plan(&[1], 2, 1))).await;
    let (first, second) = (order(0).await.unwrap(), order(1).await.unwrap());
    assert_eq!(first, order(0).await.unwrap());
    assert_ne!(first, second);
    assert_eq!(samples(&first, 1).len(), 20);
}

#[test]
fn test_data_are_loaded_beside_the_stream() {
    let dir = folder(&[("train.csv", &csv(0..9)), ("test.csv", b"100,3\n200,6\n")]);
    let data = load(&streamed(&dir)).unwrap();
    // The classes 0 to 3, and one that training does not have.
    assert_eq!((data.train.len(), data.outputs), (0, 5));
    let deviation = (60.0_f32 / 9.0).sqrt();
    let expected = [96.0, 196.0].map(|distance| distance / deviation);
    for ((features, _), expected) in all(&data.test).iter().zip(expected) {
        assert!((features[0] - expected).abs() < 1e-4, "{features:?}, {expected}");
    }
    // Of a share nothing is learnt: the numbers are as they are.
    let share = load(&DataSource { sharded: true, ..streamed(&dir) }).unwrap();
    assert_eq!(share.outputs, 7);
    assert_eq!(all(&share.test), [(vec![100.0], 3), (vec![200.0], 6)]);
    let text = folder(&[("train.txt", b"some text"), ("test.txt", b"abc")]);
    let data = load(&DataSource { context: 2, ..streamed(&text) }).unwrap();
    assert_eq!((data.train.len(), data.test.len(), data.outputs), (0, 1, 256));
    let test = folder(&[("part-0.csv", b"1,2,3\n")]);
    let other = DataSource { test: Some(test.path().to_owned()), ..streamed(&dir) };
    let error = load(&other).unwrap_err().to_string();
    assert!(error.contains("part-0.csv") && error.contains("3 columns, expected 2"), "{error}");
}

#[test]
fn nothing_to_stream_is_an_error_unless_it_is_a_share() {
    let empty = folder(&[("train.csv", b"x,y\n")]);
    let error = load(&streamed(&empty)).unwrap_err().to_string();
    assert!(error.contains("train.csv: no line of values"), "{error}");
    let none = folder(&[]);
    assert!(load(&streamed(&none)).unwrap_err().to_string().contains("no data in"));
    assert!(stream_files(&streamed(&none)).is_err());
    let share = DataSource { sharded: true, ..streamed(&none) };
    assert_eq!(load(&share).unwrap().train.len(), 0);
    assert!(stream_files(&share).is_ok());
}

#[tokio::test]
async fn damaged_files_are_named_with_the_place() {
    let says = async |files: &[(&str, &[u8])], parts: &[&str]| {
        let dir = folder(files);
        let shape = if files[0].0.ends_with("ubyte") { vec![1, 2] } else { vec![1] };
        let error = pass(&streamed(&dir), plan(&shape, 1, 0)).await.unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "`{error}` does not contain `{part}`");
        }
    };
    says(
        &[("a.csv", b"1,0\n2,1\n"), ("b.csv", b"1,0\n2,999\n")],
        &["b.csv, record 2", "label 999"],
    )
    .await;
    says(&[("a.csv", b"1,0\n1e39,0\n")], &["a.csv", "line 2", "`1e39` is not a finite number"])
        .await;
    says(&[("a.csv", b"1,0\n"), ("b.csv", b"1,2,0\n")], &["b.csv, record 1", "[2]", "[1]"]).await;

    let sizes = |kind: u8, sizes: &[u8]| {
        let sizes = sizes.iter().flat_map(|&size| [0, 0, 0, size]);
        [0, 0, 8, kind].into_iter().chain(sizes).collect::<Vec<u8>>()
    };
    let idx = |images: u8, pixels: &[u8], labels: u8, classes: &[u8]| {
        let images = [&sizes(3, &[images, 1, 2])[..], pixels].concat();
        (images, [&sizes(1, &[labels])[..], classes].concat())
    };
    for ((images, labels), parts) in [
        (idx(2, &[1, 2, 3], 2, &[0, 1]), ["train-images", "1 whole ones", "the 2 that"]),
        (idx(2, &[1, 2, 3, 4], 2, &[0]), ["train-labels", "1 whole ones", "the 2 that"]),
        (idx(2, &[1, 2, 3, 4, 5], 2, &[0, 1]), ["train-images", "more", "the 2 that"]),
        (idx(2, &[1, 2, 3, 4], 2, &[0, 1, 0]), ["train-labels", "more", "the 2 that"]),
        (idx(2, &[1, 2, 3, 4], 3, &[0, 1, 0]), ["train-labels", "3 labels", "has 2 images"]),
        (idx(0, &[], 0, &[]), ["train-images", "sizes [0, 1, 2]", "at least one image"]),
    ] {
        let files: [(&str, &[u8]); 2] =
            [("train-images-idx3-ubyte", &images), ("train-labels-idx1-ubyte", &labels)];
        says(&files, &parts).await;
    }
    let hostile = sizes(3, &[1]).into_iter().chain([0xff; 8]).collect::<Vec<u8>>();
    let files: [(&str, &[u8]); 2] =
        [("train-images-idx3-ubyte", &hostile), ("train-labels-idx1-ubyte", &sizes(1, &[1]))];
    says(&files, &["train-images", "the number of pixels of an image"]).await;
}

#[tokio::test]
async fn a_format_that_was_named_is_used() {
    let dir = folder(&[("part-0000", &csv(0..3))]);
    let source = DataSource { format: Format::Csv, ..streamed(&dir) };
    let batches = pass(&source, plan(&[1], 1, 0)).await.unwrap();
    assert_eq!(samples(&batches, 1), [(vec![0.0], 0), (vec![1.0], 1), (vec![2.0], 2)]);
}
