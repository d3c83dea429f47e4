//! The hand-made codec against the generated one.

use super::*;
use crate::v1;
use bytes::{BufMut, Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use ps_core::limits::{BULK_HEADER_BYTES_MAX, SPANS_PER_CHUNK_MAX};
use std::ops::Range;
use tonic::{Code, Status};

const LIMIT: usize = 1 << 20;

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A message as the generated code puts it on the wire.
fn framed(message: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(message.len() as u32);
    bytes.put_slice(message);
    bytes
}

/// The bytes cut at these places.
fn cut(mut bytes: Bytes, sizes: &[usize]) -> Vec<Bytes> {
    let mut frames = Vec::new();
    for &size in sizes {
        frames.push(bytes.split_to(size.min(bytes.len())));
    }
    frames.push(bytes);
    frames
}

fn messages(frames: Vec<Bytes>) -> MessageReader {
    MessageReader::of_request(request(PUSH, frames), LIMIT).unwrap()
}

fn push_reader(bytes: impl Into<Bytes>) -> BulkReader<v1::PushMessage> {
    BulkReader::new(messages(vec![bytes.into()]))
}

/// Reads pushes back into the generated code's messages.
async fn read_pushes(
    mut reader: BulkReader<v1::PushMessage>,
) -> Result<Vec<v1::PushMessage>, Status> {
    let (mut all, mut message) = (Vec::new(), v1::PushMessage::default());
    let mut room = vec![0; 4096];
    while let Some(item) = reader.next().await? {
        match item {
            Item::Header(header) => message.header = Some(header),
            Item::Acknowledged(_) => (),
            Item::End => all.push(std::mem::take(&mut message)),
            Item::Chunk => {
                let chunk = reader.chunk(&mut room[..]).await?;
                let spans = chunk.spans.iter().map(|s| v1::Span { start: s.start, len: s.len });
                message.chunks.push(v1::ChunkPayload {
                    index: chunk.index,
                    chunks: chunk.chunks,
                    spans: spans.collect(),
                    values: Bytes::copy_from_slice(chunk.values.bytes(&room)),
                    pulled_version: chunk.version,
                    positions: Bytes::copy_from_slice(chunk.positions.bytes(&room)),
                });
            }
        }
    }
    Ok(all)
}

async fn read_pulls(
    mut reader: BulkReader<v1::PullMessage>,
) -> Result<Vec<v1::PullMessage>, Status> {
    let (mut all, mut message) = (Vec::new(), v1::PullMessage::default());
    let mut room = vec![0; 4096];
    while let Some(item) = reader.next().await? {
        match item {
            Item::Header(header) => message.header = Some(header),
            Item::Acknowledged(_) => (),
            Item::End => all.push(std::mem::take(&mut message)),
            Item::Chunk => {
                let chunk = reader.chunk(&mut room[..]).await?;
                let values = Bytes::copy_from_slice(chunk.values.bytes(&room));
                let (index, version, chunks) = (chunk.index, chunk.version, chunk.chunks);
                message.chunks.push(v1::ChunkValues { index, version, values, chunks });
            }
        }
    }
    Ok(all)
}

prop_compose! {
    fn push_header()(
        job in "[a-z]{0,12}", shard: u32, worker: u32, seq: u64, epoch: u64, rate in 0.0..1.0_f32,
        total: u32,
    ) -> v1::PushHeader {
        v1::PushHeader {
            job, shard, epoch, learning_rate: rate, chunks_total: total, clock: seq,
            id: Some(v1::PushId { worker, incarnation: epoch, seq }),
            ..Default::default()
        }
    }
}

prop_compose! {
    fn payload()(
        index: u32, chunks: u32, version: u64, values in vec(any::<u8>(), 0..2400),
        positions in prop_oneof![Just(Vec::new()), vec(any::<u8>(), 0..900)],
        spans in vec((any::<u32>(), any::<u32>()), 0..4),
    ) -> v1::ChunkPayload {
        let spans = spans.into_iter().map(|(start, len)| v1::Span { start, len }).collect();
        let (values, positions) = (values.into(), positions.into());
        v1::ChunkPayload { index, spans, values, pulled_version: version, positions, chunks }
    }
}

prop_compose! {
    fn push()(
        header in proptest::option::of(push_header()), chunks in vec(payload(), 0..5),
    ) -> v1::PushMessage {
        v1::PushMessage { header, chunks }
    }
}

fn start_of(push: v1::PushMessage) -> v1::InitMessage {
    let header =
        |it: v1::PushHeader| v1::InitHeader { job: it.job, epoch: it.epoch, ..Default::default() };
    v1::InitMessage { header: push.header.map(header), chunks: push.chunks }
}

fn pull_of(push: v1::PushMessage) -> v1::PullMessage {
    let header = push.header.map(|header| v1::PullHeader {
        epoch: header.epoch,
        clock: header.clock,
        chunks_total: header.chunks_total,
    });
    let chunks = push.chunks.into_iter().map(|chunk| v1::ChunkValues {
        index: chunk.index,
        chunks: chunk.chunks,
        version: chunk.pulled_version,
        values: chunk.values,
    });
    v1::PullMessage { header, chunks: chunks.collect() }
}

/// Fields that this protocol does not have, of every wire type.
fn unknown() -> Vec<u8> {
    let mut bytes = vec![0x78, 0xff, 0x01]; // 15: varint
    bytes.extend([0x79, 1, 2, 3, 4, 5, 6, 7, 8]); // 15: 64 bits
    bytes.extend([0x7a, 2, 9, 9]); // 15: length-delimited
    bytes.extend([0x7d, 1, 2, 3, 4]); // 15: 32 bits
    bytes.extend([0x7b, 0x83, 0x01, 0x78, 5, 0x84, 0x01, 0x7c]); // a group in a group
    bytes
}

fn length_delimited(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    prost::encode_length_delimiter(bytes.len(), &mut field).unwrap();
    field.extend_from_slice(bytes);
    field
}

proptest! {
    #[test]
    fn pushes_of_the_generated_code_are_read_however_they_are_cut(
        pushes in vec(push(), 0..4), sizes in vec(0..3000_usize, 0..40),
    ) {
        let bytes: Vec<u8> =
            pushes.iter().flat_map(|push| framed(&push.encode_to_vec())).collect();
        let reader = BulkReader::new(messages(cut(bytes.into(), &sizes)));
        prop_assert_eq!(run(read_pushes(reader)).unwrap(), pushes);
    }

    #[test]
    fn pieces_are_what_the_generated_code_reads(push in push()) {
        let mut bytes: Bytes = push.clone().pieces().concat().into();
        let prefix = bytes.split_to(5);
        prop_assert_eq!(prefix.slice(1..), &(bytes.len() as u32).to_be_bytes()[..]);
        prop_assert_eq!(&v1::PushMessage::decode(bytes).unwrap(), &push);
        let start = start_of(push.clone());
        let bytes: Bytes = start.clone().pieces().concat().into();
        prop_assert_eq!(&v1::InitMessage::decode(bytes.slice(5..)).unwrap(), &start);
        let pull = pull_of(push);
        let bytes: Bytes = pull.clone().pieces().concat().into();
        prop_assert_eq!(&v1::PullMessage::decode(bytes.slice(5..)).unwrap(), &pull);
        let kind = Some(v1::push_pull_message::Kind::Pull(pull));
        let both = v1::PushPullMessage { kind };
        let bytes: Bytes = both.clone().pieces().concat().into();
        prop_assert_eq!(v1::PushPullMessage::decode(bytes.slice(5..)).unwrap(), both);
    }

    #[test]
    fn pulls_are_read_by_themselves_and_within_another_message(
        pushes in vec(push(), 1..4), sizes in vec(0..3000_usize, 0..40),
    ) {
        let pulls: Vec<_> = pushes.into_iter().map(pull_of).collect();
        let bare: Vec<u8> = pulls.iter().cloned().flat_map(|pull| pull.pieces().concat()).collect();
        let reader = BulkReader::new(messages(cut(bare.into(), &sizes)));
        prop_assert_eq!(&run(read_pulls(reader)).unwrap(), &pulls);
        let wrap = |pull: &v1::PullMessage| v1::PushPullMessage {
            kind: Some(v1::push_pull_message::Kind::Pull(pull.clone())),
        };
        let wrapped: Vec<u8> =
            pulls.iter().flat_map(|pull| framed(&wrap(pull).encode_to_vec())).collect();
        let reader = BulkReader::of_push_pull(messages(cut(wrapped.into(), &sizes)));
        prop_assert_eq!(run(read_pulls(reader)).unwrap(), pulls);
    }

    #[test]
    fn a_message_that_is_cut_short_is_an_error(push in push(), keep in 0.0..1.0_f64) {
        let bytes = framed(&push.encode_to_vec()).freeze();
        let keep = 1 + ((bytes.len() - 1) as f64 * keep) as usize;
        prop_assume!(keep < bytes.len());
        let status = run(read_pushes(push_reader(bytes.slice(..keep)))).unwrap_err();
        prop_assert_eq!(status.code(), Code::Internal);
    }

    #[test]
    fn any_bytes_end_in_an_answer(bytes in vec(any::<u8>(), 0..200)) {
        let generated = v1::PushMessage::decode(bytes.as_slice());
        let read = run(read_pushes(push_reader(framed(&bytes))));
        // What is read by hand is what the generated code reads; it may refuse more.
        if let Ok(read) = read {
            prop_assert!(generated.is_ok(), "{:?} from {:?}", read, bytes);
        }
    }
}

#[test]
fn fields_of_a_newer_protocol_are_passed_over() {
    let span = [vec![0x10, 7, 0x08, 3], unknown()].concat();
    let chunk = [unknown(), length_delimited(2, &span), vec![0x20, 9], unknown()].concat();
    let chunk = [chunk, length_delimited(3, &[1, 2, 3, 4]), vec![0x08, 5], unknown()].concat();
    let header = [v1::PushHeader::default().encode_to_vec(), unknown()].concat();
    let message = [unknown(), length_delimited(1, &header), unknown()].concat();
    let message = [message, length_delimited(2, &chunk), unknown()].concat();
    let generated = v1::PushMessage::decode(message.as_slice()).unwrap();
    assert_eq!(generated.chunks[0].spans, [v1::Span { start: 3, len: 7 }]);
    assert_eq!(run(read_pushes(push_reader(framed(&message)))).unwrap(), [generated]);
}

#[test]
fn limits_are_kept() {
    let code = |bytes: BytesMut| run(read_pushes(push_reader(bytes))).unwrap_err().code();
    let mut long = BytesMut::new();
    long.put_u8(0);
    long.put_u32(LIMIT as u32 + 1);
    assert_eq!(code(long), Code::OutOfRange);
    let mut compressed = framed(&[]);
    compressed[0] = 1;
    assert_eq!(code(compressed), Code::Internal);
    let header = v1::PushHeader { job: "j".repeat(BULK_HEADER_BYTES_MAX), ..Default::default() };
    let message = v1::PushMessage { header: Some(header), chunks: vec![] };
    assert_eq!(code(framed(&message.encode_to_vec())), Code::InvalidArgument);
    let spans = vec![v1::Span::default(); SPANS_PER_CHUNK_MAX + 1];
    let chunks = vec![v1::ChunkPayload { spans, ..Default::default() }];
    let message = v1::PushMessage { header: None, chunks };
    assert_eq!(code(framed(&message.encode_to_vec())), Code::InvalidArgument);
    // Values and positions have one room.
    for (values, positions) in [(4097, 0), (0, 4097), (2049, 2048)] {
        let (values, positions) = (vec![0; values].into(), vec![0; positions].into());
        let chunks = vec![v1::ChunkPayload { values, positions, ..Default::default() }];
        let message = v1::PushMessage { header: None, chunks };
        assert_eq!(code(framed(&message.encode_to_vec())), Code::InvalidArgument);
    }
}

/// A buffer that none of is left of.
struct Full;

impl ChunkBuffer for Full {
    const LEAVES_FRAMES: bool = true;

    fn bytes_max(&self, _: Range<u32>) -> usize {
        LIMIT
    }

    async fn take(&mut self, _: Range<u32>) -> Result<&mut [u8], Status> {
        Err(Status::resource_exhausted("full"))
    }
}

/// They take memory of their own: no more calls at once have many than there are buffers.
#[test]
fn a_chunk_of_many_spans_needs_a_buffer() {
    let read = |spans: usize| {
        let spans = vec![v1::Span { start: 0, len: 0 }; spans];
        let chunks = vec![v1::ChunkPayload { spans, ..Default::default() }];
        let message = v1::PushMessage { header: None, chunks };
        let mut reader = push_reader(framed(&message.encode_to_vec()));
        run(async {
            reader.next().await?;
            reader.chunk(&mut Full).await.map(|chunk| chunk.spans.len())
        })
    };
    assert_eq!(read(64).unwrap(), 64);
    assert_eq!(read(65).unwrap_err().code(), Code::ResourceExhausted);
}

/// Protobuf lets a field come twice, and the last one count; here there is no room for both.
#[test]
fn values_and_positions_come_once_in_any_order() {
    let (values, positions) = (length_delimited(3, &[1, 2, 3]), length_delimited(5, &[4, 5]));
    let read = |fields: &[&[u8]]| {
        let message = length_delimited(2, &fields.concat());
        run(read_pushes(push_reader(framed(&message))))
    };
    let expected = read(&[&values, &positions]).unwrap();
    assert_eq!(expected[0].chunks[0].positions, [4, 5][..]);
    assert_eq!(read(&[&positions, &values]).unwrap(), expected);
    for twice in [&values, &positions] {
        let status = read(&[&values, &positions, twice]).unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    }
}

#[test]
fn compressed_calls_are_refused_before_they_are_read() {
    let mut request = request(PUSH, vec![]);
    request.headers_mut().insert("grpc-encoding", http::HeaderValue::from_static("gzip"));
    let refused = MessageReader::of_request(request, LIMIT).err().unwrap();
    assert_eq!(refused.code(), Code::Unimplemented);
}

#[test]
fn an_answer_ends_with_its_status() {
    let message = v1::PushReply { duplicate: true, ..Default::default() };
    let answer = |end: Option<Status>| {
        let pieces = [Ok(message.clone().pieces())].into_iter().chain(end.map(Err));
        response(Box::pin(tonic::codegen::tokio_stream::iter(pieces.collect::<Vec<_>>())))
    };
    let read = |answer| {
        let mut reader = MessageReader::of_response(answer, LIMIT).unwrap();
        run(async move { reader.only_message::<v1::PushReply>().await })
    };
    assert_eq!(read(answer(None)).unwrap(), message);
    let failed = read(answer(Some(Status::aborted("half of it")))).unwrap_err();
    assert_eq!((failed.code(), failed.message()), (Code::Aborted, "half of it"));
    let bare = Status::permission_denied("other job").into_http();
    let failed = MessageReader::of_response(bare, LIMIT).err().unwrap();
    assert_eq!(failed.code(), Code::PermissionDenied);
    let cut = http::Response::new(request(PUSH, message.clone().pieces()).into_body());
    assert_eq!(read(cut).unwrap_err().code(), Code::Unknown);
}
