//! What hostile peers do.

use crate::frames;
use prost::Message;
use ps_proto::{PROTOCOL, bulk, v1};

/// One kind of hostile peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// Its name in what is printed.
    pub(crate) name: &'static str,
    /// How many connections it has: together they are a hundred streams.
    pub(crate) connections: usize,
    /// What each connection sends first, for this job.
    pub(crate) first: fn(job: &str) -> Vec<u8>,
    /// What it sends then.
    pub(crate) then: Then,
}

/// What a connection does after its first bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    /// Nothing, as long as it is let.
    Stay,
    /// A byte every second.
    Trickle,
    /// The same again and again, as fast as it is taken; how often it was sent before is told.
    Flood(fn(sent: u32) -> Vec<u8>),
}

/// Streams of one connection for kinds that share some.
const SHARED: u32 = 10;

fn streams() -> impl Iterator<Item = u32> {
    (0..SHARED).map(|number| 2 * number + 1)
}

/// A message with its prefix, or the first half of it.
fn message(message: &impl Message, is_half: bool) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let prefix = [&[0][..], &(bytes.len() as u32).to_be_bytes()].concat();
    let sent = if is_half { bytes.len() / 2 } else { bytes.len() };
    [prefix, bytes[..sent].to_vec()].concat()
}

fn calls(path: &str, body: &[u8]) -> Vec<u8> {
    let call = |stream| [frames::call(stream, path), frames::data(stream, body)].concat();
    [frames::greeting(65_535), streams().flat_map(call).collect()].concat()
}

fn unread_pulls(job: &str) -> Vec<u8> {
    let encoding = v1::Encoding::F32.into();
    let pull = v1::PullRequest {
        job: job.into(),
        protocol: PROTOCOL,
        encoding,
        ..v1::PullRequest::default()
    };
    let body = message(&pull, false);
    let call = |stream| [frames::call(stream, bulk::PULL), frames::data(stream, &body)].concat();
    [frames::greeting(0), streams().flat_map(call).collect()].concat()
}

fn half_pushes(job: &str) -> Vec<u8> {
    let id = Some(v1::PushId { worker: 4000, incarnation: 1, seq: 0 });
    let header = v1::PushHeader { job: job.into(), protocol: PROTOCOL, id, ..Default::default() };
    let chunks = vec![v1::ChunkPayload { values: vec![0; 8192].into(), ..Default::default() }];
    calls(bulk::PUSH, &message(&v1::PushMessage { header: Some(header), chunks }, true))
}

fn half_control(job: &str) -> Vec<u8> {
    let request = v1::MembershipRequest { job: job.repeat(100), ..Default::default() };
    calls("/ps.v1.ShardControl/SetMembership", &message(&request, true))
}

fn empty_fields(_: &str) -> Vec<u8> {
    let model = v1::ModelSpec { tensors: vec![v1::Tensor::default(); 7000], ..Default::default() };
    let header = v1::InitHeader { model: Some(model), ..Default::default() };
    calls(bulk::INIT, &message(&v1::InitMessage { header: Some(header), chunks: vec![] }, false))
}

fn empty_spans(job: &str) -> Vec<u8> {
    let id = Some(v1::PushId { worker: 4000, incarnation: 1, seq: 0 });
    let header = v1::PushHeader { job: job.into(), protocol: PROTOCOL, id, ..Default::default() };
    let spans = vec![v1::Span::default(); 7000];
    let chunks = vec![v1::ChunkPayload { spans, ..Default::default() }];
    calls(bulk::PUSH, &message(&v1::PushMessage { header: Some(header), chunks }, true))
}

/// Numbers of streams only grow, and there are two thousand million of them.
fn rapid_reset(sent: u32) -> Vec<u8> {
    let stream = 2 * sent + 1;
    [frames::call(stream, bulk::PULL), frames::reset(stream)].concat()
}

fn refused_calls(sent: u32) -> Vec<u8> {
    let stream = 2 * sent + 1;
    [frames::call(stream, "/ps.v1.ShardControl/Nothing"), frames::data(stream, &[0; 5])].concat()
}

fn greeted(_: &str) -> Vec<u8> {
    frames::greeting(65_535)
}

const fn kind(
    name: &'static str,
    connections: usize,
    first: fn(&str) -> Vec<u8>,
    then: Then,
) -> Kind {
    Kind { name, connections, first, then }
}

/// All of them.
pub(crate) const KINDS: &[Kind] = &[
    kind("silent", 100, |_| Vec::new(), Then::Stay),
    kind("idle", 100, greeted, Then::Stay),
    kind("garbage", 100, |_| vec![0xa5; 512], Then::Flood(|_| vec![0xa5; 4096])),
    kind("tls", 100, |_| b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), Then::Stay),
    kind("http1", 100, |_| b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), Then::Stay),
    kind("preface_garbage", 100, greeted, Then::Flood(|_| vec![0xa5; 4096])),
    kind("loris", 100, |_| b"PRI * HTTP/2.0".to_vec(), Then::Trickle),
    kind("half_pushes", 10, half_pushes, Then::Stay),
    kind("half_control", 10, half_control, Then::Stay),
    kind("unread_pulls", 10, unread_pulls, Then::Stay),
    kind("empty_fields", 10, empty_fields, Then::Stay),
    kind("empty_spans", 10, empty_spans, Then::Stay),
    kind("rapid_reset", 100, greeted, Then::Flood(rapid_reset)),
    kind("refused_calls", 100, greeted, Then::Flood(refused_calls)),
    kind("continuation", 100, continued, Then::Flood(|_| frames::continuation(1))),
    kind("ping", 100, greeted, Then::Flood(|_| frames::ping().repeat(64))),
    kind("settings", 100, greeted, Then::Flood(|_| frames::settings().repeat(64))),
    kind("window_update", 100, greeted, Then::Flood(|_| frames::window_update(0).repeat(64))),
];

fn continued(job: &str) -> Vec<u8> {
    [greeted(job), frames::open_call(1)].concat()
}
