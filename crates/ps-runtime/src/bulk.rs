//! Bulk calls over a channel, past the generated client: see `ps_proto::bulk` for why.

use crate::progress::Progress;
use futures_util::{Stream, StreamExt, stream};
use http::Request;
use ps_core::limits::MESSAGE_BYTES_MAX;
use ps_proto::bulk::{self, MessageReader, Pieces};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Bytes, Service};
use tonic::transport::Channel;

/// Makes a call with these messages, each made when those before it are taken; `progress` is told what becomes of
/// each piece. The answer is read as it arrives.
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
    let pieces = messages.into_iter().flat_map(Pieces::pieces);
    let pieces = pieces.flat_map(move |piece| moving.under_way(piece));
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

/// Makes a call whose messages are made elsewhere and sent as they come; `progress` is told what becomes of each
/// piece.
///
/// # Errors
/// As [`call`].
pub async fn flow<M: Pieces>(
    channel: Channel,
    path: &'static str,
    messages: impl Stream<Item = M> + Send + 'static,
    progress: &Progress,
) -> Result<MessageReader, Status> {
    let moving = progress.clone();
    let pieces = messages.flat_map(|message| stream::iter(message.pieces()));
    let pieces = pieces.flat_map(move |piece| stream::iter(moving.under_way(piece)));
    send(channel, bulk::flowing_request(path, pieces.map(|piece| vec![piece]))).await
}

async fn send(mut channel: Channel, request: Request<Body>) -> Result<MessageReader, Status> {
    let failed = |error: tonic::transport::Error| Status::from_error(error.into());
    std::future::poll_fn(|cx| channel.poll_ready(cx)).await.map_err(failed)?;
    let response = channel.call(request).await.map_err(failed)?;
    MessageReader::of_response(response, MESSAGE_BYTES_MAX)
}
