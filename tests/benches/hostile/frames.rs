//! HTTP/2 as no library of ours would send it: frames by hand.

use bytes::{BufMut, BytesMut};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

const ACKNOWLEDGED: u8 = 1;
const END_OF_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = BytesMut::with_capacity(9 + payload.len());
    bytes.put_uint(payload.len() as u64, 3);
    bytes.put_u8(kind);
    bytes.put_u8(flags);
    bytes.put_u32(stream);
    bytes.put_slice(payload);
    bytes.to_vec()
}

/// What a client begins with, and the window of each of its streams.
pub(crate) fn greeting(window_bytes: u32) -> Vec<u8> {
    let setting = [&4_u16.to_be_bytes()[..], &window_bytes.to_be_bytes()].concat();
    [PREFACE, &frame(SETTINGS, 0, 0, &setting), &frame(SETTINGS, ACKNOWLEDGED, 0, &[])].concat()
}

/// The head of a gRPC call.
pub(crate) fn call(stream: u32, path: &str) -> Vec<u8> {
    let mut block = BytesMut::new();
    // Of the static table: POST, http. Then literals that no table keeps: path, authority, content type.
    block.put_slice(&[0x83, 0x86]);
    literal(&mut block, &[0x04], path);
    literal(&mut block, &[0x01], "hostile");
    literal(&mut block, &[0x0f, 0x10], "application/grpc");
    literal(&mut block, &[0x00, 2, b't', b'e'], "trailers");
    frame(HEADERS, END_OF_HEADERS, stream, &block)
}

fn literal(block: &mut BytesMut, name: &[u8], value: &str) {
    block.put_slice(name);
    block.put_u8(value.len() as u8);
    block.put_slice(value.as_bytes());
}

/// Bytes of a call's body, which goes on.
pub(crate) fn data(stream: u32, bytes: &[u8]) -> Vec<u8> {
    frame(DATA, 0, stream, bytes)
}

/// The end of a call that nobody wants any more.
pub(crate) fn reset(stream: u32) -> Vec<u8> {
    frame(RESET, 0, stream, &8_u32.to_be_bytes())
}

/// A frame that is answered and means nothing.
pub(crate) fn ping() -> Vec<u8> {
    frame(PING, 0, 0, &[7; 8])
}

/// Settings that change nothing.
pub(crate) fn settings() -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[])
}

/// Room for nothing more.
pub(crate) fn window_update(stream: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &1_u32.to_be_bytes())
}

/// A header block that never ends.
pub(crate) fn continuation(stream: u32) -> Vec<u8> {
    frame(9, 0, stream, &[0; 64])
}

/// A call's head whose block goes on.
pub(crate) fn open_call(stream: u32) -> Vec<u8> {
    frame(HEADERS, 0, stream, &[0x83, 0x86])
}
