//! Streams through real FIFOs, written by processes of their own.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::common::{assert_error_says, fixture};
use super::fifo::{Channel, PATIENCE, Writer, write_all};
use ps_data::{
    ColumnChoice, Draw, Error, Format, Shift, StreamBatch, StreamBatches, StreamOpener, StreamPlan,
    StreamSource, TableOptions, Wrapper, load_stream,
};

fn plan(inputs: usize) -> StreamPlan {
    StreamPlan {
        workers: 1,
        rank: 0,
        batch_samples: 2,
        shape: vec![inputs],
        id_columns: 0,
        outputs: Some(4),
        shift: None,
        shuffle: None,
    }
}

async fn rest(batches: &mut StreamBatches) -> Result<Vec<StreamBatch>, Error> {
    let mut all = Vec::new();
    while let Some(batch) = batches.next_batch().await? {
        all.push(batch);
    }
    Ok(all)
}

fn batch(features: &[f32], labels: &[u32]) -> StreamBatch {
    StreamBatch { inputs: features.to_vec().into(), labels: labels.to_vec().into() }
}

/// What a whole stream gives.
async fn read(
    source: impl FnOnce(&Channel) -> StreamSource,
    plan: StreamPlan,
    bytes: &[u8],
) -> Result<Vec<StreamBatch>, Error> {
    let channel = Channel::new();
    let writing = write_all(channel.make(0), bytes.to_vec());
    let mut stream = StreamOpener::new(source(&channel)).open().unwrap();
    let result = match stream.shape().await {
        Ok(_) => rest(&mut stream.start(plan)).await,
        Err(error) => Err(error),
    };
    writing.join().unwrap();
    result
}

#[tokio::test]
async fn each_pass_is_the_next_fifo() {
    let channel = Channel::new();
    let mut streams = StreamOpener::new(channel.source(Format::Auto));
    for (number, first) in [(0, 1.0), (1, 10.0)] {
        let mut stream = streams.open().unwrap();
        // The FIFO is made after the reader began to wait for it.
        let fifo = channel.make(number);
        let writing = write_all(fifo, format!("a,b\n{first},0\n2,1\n3,2\n").into_bytes());
        assert_eq!(stream.shape().await.unwrap(), Some(vec![1]));
        let all = rest(&mut stream.start(plan(1))).await.unwrap();
        assert_eq!(all, [batch(&[first, 2.0], &[0, 1]), batch(&[3.0], &[2])]);
        writing.join().unwrap();
    }
}

#[tokio::test]
async fn protobuf_records_of_the_independent_encoder_are_read() {
    let expected = [
        batch(&[0.0, 0.0, 1.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], &[1, 0]),
        batch(&[2.0, 0.0, 0.0, 0.0, -3.0], &[3]),
    ];
    let bytes = fixture("sparse_float32.rec");
    for format in [Format::Auto, Format::RecordioProtobuf] {
        let all = read(|channel| channel.source(format), plan(5), &bytes).await.unwrap();
        assert_eq!(all, expected);
    }
    let wrapped = |channel: &Channel| StreamSource {
        wrapper: Wrapper::Recordio,
        ..channel.source(Format::RecordioProtobuf)
    };
    let mut file = [0xCED7_230A_u32.to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat();
    file.extend(&bytes);
    assert_eq!(read(wrapped, plan(5), &file).await.unwrap(), expected);
}

#[tokio::test]
async fn wrapped_csv_files_are_one_stream() {
    let source = |channel: &Channel| StreamSource {
        wrapper: Wrapper::Recordio,
        table: TableOptions::with_label(ColumnChoice::Number(1)),
        ..channel.source(Format::Csv)
    };
    let mut bytes = Vec::new();
    for file in ["y,x\n0,1\n1,2", "y,x\n2,3\n"] {
        bytes.extend([0xCED7_230A_u32.to_le_bytes(), (file.len() as u32).to_le_bytes()].concat());
        bytes.extend(file.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    let all = read(source, plan(1), &bytes).await.unwrap();
    assert_eq!(all, [batch(&[1.0, 2.0], &[0, 1]), batch(&[3.0], &[2])]);
}

#[tokio::test]
async fn workers_share_a_stream_without_loss_or_repetition() {
    let text: String = (0..1000).map(|number| format!("{number},{}\n", number % 4)).collect();
    let mut seen = Vec::new();
    for rank in 0..3 {
        let plan = StreamPlan { workers: 3, rank, batch_samples: 7, ..plan(1) };
        let all = read(|channel| channel.source(Format::Csv), plan, text.as_bytes()).await.unwrap();
        assert!(all[..all.len() - 1].iter().all(|batch| batch.labels.len() == 7));
        let values = all.iter().flat_map(|batch| batch.inputs.features.iter().copied());
        let (values, labels): (Vec<f32>, Vec<u32>) =
            values.zip(all.iter().flat_map(|batch| batch.labels.classes().iter().copied())).unzip();
        let expected = (0..1000).filter(|number| number % 3 == rank);
        assert_eq!(values, expected.clone().map(|number| number as f32).collect::<Vec<_>>());
        assert_eq!(labels, expected.map(|number| number as u32 % 4).collect::<Vec<_>>());
        seen.extend(values);
    }
    assert_eq!(seen.len(), 1000);
}

#[tokio::test]
async fn images_are_moved_by_the_numbers_of_their_records() {
    // Four copies of one image of 2 x 2 pixels: keys and values as the encoder writes them.
    let record = {
        let floats = |values: &[f32]| -> Vec<u8> {
            values.iter().flat_map(|value| value.to_le_bytes()).collect()
        };
        let field = |number: u8, content: Vec<u8>| {
            [vec![number << 3 | 2, content.len() as u8], content].concat()
        };
        let tensor = |values: Vec<u8>, shape: Vec<u8>| {
            let shape = if shape.is_empty() { Vec::new() } else { field(3, shape) };
            let tensor = field(2, [field(1, values), shape].concat());
            [field(1, b"values".to_vec()), field(2, tensor)].concat()
        };
        let image = tensor(floats(&[1.0, 2.0, 3.0, 4.0]), vec![2, 2]);
        [field(1, image), field(2, tensor(floats(&[1.0]), Vec::new()))].concat()
    };
    let mut bytes = Vec::new();
    for _ in 0..40 {
        bytes.extend([0xCED7_230A_u32.to_le_bytes(), (record.len() as u32).to_le_bytes()].concat());
        bytes.extend(&record);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    let shift = Shift::new(1, &[2, 2], Draw { seed: 5, pass: 1, source: 0 }).unwrap();
    let mut expected = [1.0, 2.0, 3.0, 4.0].repeat(40);
    shift.apply(&(0..40).collect::<Vec<u64>>(), &mut expected);
    for (workers, rank) in [(1, 0), (3, 2)] {
        let images = StreamPlan { workers, rank, shape: vec![2, 2], shift: Some(shift), ..plan(4) };
        let all = read(|channel| channel.source(Format::Auto), images, &bytes).await.unwrap();
        let features: Vec<f32> = all.into_iter().flat_map(|batch| batch.inputs.features).collect();
        let own = expected.chunks(4).skip(rank as usize).step_by(workers as usize);
        assert_eq!(features, own.flatten().copied().collect::<Vec<f32>>());
    }
}

#[tokio::test]
async fn records_come_while_the_writer_still_writes() {
    let channel = Channel::new();
    let mut writer = Writer::new(&channel.make(0));
    let mut stream = StreamOpener::new(channel.source(Format::Csv)).open().unwrap();
    writer.write(b"1,0\n2,1\n");
    assert_eq!(stream.shape().await.unwrap(), Some(vec![1]));
    let mut batches = stream.start(plan(1));
    assert_eq!(batches.next_batch().await.unwrap(), Some(batch(&[1.0, 2.0], &[0, 1])));
    let waiting = tokio::time::timeout(Duration::from_millis(200), batches.next_batch()).await;
    assert!(waiting.is_err(), "nothing was written: {waiting:?}");
    writer.write(b"3,2\n");
    writer.end();
    assert_eq!(rest(&mut batches).await.unwrap(), [batch(&[3.0], &[2])]);
}

/// The first bytes come by themselves, because they tell the format.
#[tokio::test]
async fn regression_a_stream_whose_format_is_found_out_is_read_from_its_first_line() {
    let auto = |channel: &Channel| channel.source(Format::Auto);
    let lines = b"10,100,1\n20,200,0\n30,300,1\n";
    let all = read(auto, plan(2), lines).await.unwrap();
    let features: Vec<f32> = all.iter().flat_map(|batch| batch.inputs.features.clone()).collect();
    assert_eq!(features, [10.0, 100.0, 20.0, 200.0, 30.0, 300.0]);
}

#[tokio::test]
async fn a_stream_without_records_has_no_shape() {
    let channel = Channel::new();
    let fifo = channel.make(0);
    let mut stream = StreamOpener::new(channel.source(Format::Auto)).open().unwrap();
    let writing = write_all(fifo, Vec::new());
    assert_eq!(stream.shape().await.unwrap(), None);
    assert_eq!(rest(&mut stream.start(plan(1))).await.unwrap(), []);
    writing.join().unwrap();
}

#[tokio::test]
async fn a_writer_that_dies_in_a_record_is_told_from_the_end() {
    let channel = Channel::new();
    let mut writer = Writer::new(&channel.make(0));
    let mut stream = StreamOpener::new(channel.source(Format::Auto)).open().unwrap();
    writer.write(&fixture("dense_float32_3x2.rec")[..52 + 30]);
    assert_eq!(stream.shape().await.unwrap(), Some(vec![2]));
    let mut batches = stream.start(StreamPlan { batch_samples: 1, ..plan(2) });
    assert_eq!(batches.next_batch().await.unwrap(), Some(batch(&[1.0, 2.0], &[0])));
    writer.kill();
    let error = batches.next_batch().await.unwrap_err();
    assert_error_says(
        &error,
        &["training_0", "record 2", "22 bytes before the end of its payload"],
    );
    assert_eq!(batches.next_batch().await.unwrap(), None);
}

#[tokio::test]
async fn a_writer_that_never_comes_is_waited_for_no_longer_than_asked() {
    let channel = Channel::new();
    let source = || StreamSource {
        from: channel.fifos(Duration::from_millis(300)),
        ..channel.source(Format::Csv)
    };
    let mut stream = StreamOpener::new(source()).open().unwrap();
    assert_error_says(&stream.shape().await.unwrap_err(), &["training_0", "not there", "Pipe"]);
    channel.make(0);
    let mut stream = StreamOpener::new(source()).open().unwrap();
    assert_error_says(&stream.shape().await.unwrap_err(), &["training_0", "nobody wrote to it"]);
    assert_error_says(
        &load_stream(source()).await.unwrap_err(),
        &["training_0", "nobody wrote to it"],
    );
}

#[tokio::test]
async fn a_reader_that_stops_early_closes_the_fifo() {
    let channel = Channel::new();
    let fifo = channel.make(0);
    let mut stream = StreamOpener::new(channel.source(Format::Csv)).open().unwrap();
    let mut endless = Command::new("sh");
    endless.args(["-c", "exec yes 1,0 > \"$0\""]).arg(&fifo).stderr(Stdio::null());
    let mut endless = endless.spawn().unwrap();
    stream.shape().await.unwrap();
    let mut batches = stream.start(plan(1));
    batches.next_batch().await.unwrap();
    assert!(endless.try_wait().unwrap().is_none());
    drop(batches);
    // `yes` ends when nobody reads any more.
    let start = Instant::now();
    while endless.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < PATIENCE, "the FIFO is still open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_reader_that_gives_up_waiting_lets_go() {
    let channel = Channel::new();
    let fifo = channel.make(0);
    let stream = StreamOpener::new(channel.source(Format::Csv)).open().unwrap();
    let is_open = || {
        let mut writer = Command::new("sh");
        // A writer that does not wait: it fails when there is no reader.
        writer.args(["-c", "dd if=/dev/null of=\"$0\" oflag=nonblock conv=notrunc"]).arg(&fifo);
        writer.stderr(Stdio::null()).status().unwrap().success()
    };
    drop(stream);
    let start = Instant::now();
    while is_open() {
        assert!(start.elapsed() < PATIENCE, "the FIFO is still open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_does_not_fit_the_model_is_named() {
    let csv = |channel: &Channel| channel.source(Format::Csv);
    let error = read(csv, plan(1), b"1,0\n1,4\n").await.unwrap_err();
    assert_error_says(&error, &["training_0, record 2", "label 4", "below 4", "--classes"]);
    let error = read(csv, plan(2), b"1,0\n1,1\n").await.unwrap_err();
    assert_error_says(&error, &["record 1", "[1]", "expected [2] as agreed"]);
    let error = read(csv, plan(1), b"1,0\nred,1\n").await.unwrap_err();
    assert_error_says(&error, &["training_0, line 2, column 1", "`red`", "--schema"]);
    let error = read(csv, plan(1), b"1,0\n1\n").await.unwrap_err();
    assert_error_says(&error, &["training_0", "line 2: 1 columns", "expected 2"]);
}

#[tokio::test]
async fn formats_that_cannot_be_streamed_are_refused_before_anything_is_opened() {
    let channel = Channel::new();
    let wrapped = StreamSource { wrapper: Wrapper::Recordio, ..channel.source(Format::Auto) };
    for (source, format) in [(channel.source(Format::Idx), "`idx`"), (wrapped, "`auto`")] {
        let mut stream = StreamOpener::new(source).open().unwrap();
        assert_error_says(&stream.shape().await.unwrap_err(), &[format, "--format csv"]);
    }
}

#[tokio::test]
async fn test_samples_are_read_whole() {
    let channel = Channel::new();
    let writing = write_all(channel.make(0), fixture("dense_float64.rec"));
    let source = channel.source(Format::Auto);
    let samples = load_stream(source).await.unwrap();
    assert_eq!((samples.len(), samples.shape()), (4, &[3][..]));
    assert_eq!(samples.labels().classes(), [2, 0, 1, 2]);
    writing.join().unwrap();
}
