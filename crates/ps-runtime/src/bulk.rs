//! Bulk calls over a channel, past the generated client: see `ps_proto::bulk` for why.

use crate::progress::Progress;
use futures_util::Stream;
use http::Request;
use ps_core::limits::MESSAGE_BYTES_MAX;
use ps_proto::bulk::{self, MessageReader, Pieces};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Bytes, Service};
use tonic::transport::Channel;

/// Makes a call with these messages, each made when those before it are sent, and so is each piece of them, which
/// is told to `progress`; the answer is read as it arrives.
///
/// # Errors
/// The server cannot be reached, or answered with nothing but an error.
pub async fn call<M: Pieces + 'static>(
    channel: Channel,
    path: &'static str,
    messages: impl IntoIterator<Item = M, IntoIter: Send + Unpin + 'static>,
    progress: &Progress,
) -> Result<MessageReader, Status> {
    let moving = progress.clone();
    let pieces = messages.into_iter().flat_map(Pieces::pieces).inspect(move |_| moving.moved());
    send(channel, bulk::request(path, pieces)).await
}

/// Makes a call whose messages, in pieces, go on as long as the stream does; the answers are read as
/// they arrive.
///
/// # Errors
/// As [`call`].
pub async fn open(
    channel: Channel,
    path: &'static str,
    messages: impl Stream<Item = Vec<Bytes>> + Send + 'static,
) -> Result<MessageReader, Status> {
    send(channel, bulk::open_request(path, messages)).await
}

/// Makes a call whose messages, in pieces, are made elsewhere and sent as they come.
///
/// # Errors
/// As [`call`].
pub async fn flow(
    channel: Channel,
    path: &'static str,
    messages: impl Stream<Item = Vec<Bytes>> + Send + 'static,
) -> Result<MessageReader, Status> {
    send(channel, bulk::flowing_request(path, messages)).await
}

async fn send(mut channel: Channel, request: Request<Body>) -> Result<MessageReader, Status> {
    let failed = |error: tonic::transport::Error| Status::from_error(error.into());
    std::future::poll_fn(|cx| channel.poll_ready(cx)).await.map_err(failed)?;
    let response = channel.call(request).await.map_err(failed)?;
    MessageReader::of_response(response, MESSAGE_BYTES_MAX)
}
