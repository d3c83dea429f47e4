//! HTTP requests and responses whose bodies are pieces.

use super::reader::PREFIX_BYTES;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE};
use http_body::Frame;
use std::convert::Infallible;
use std::mem::replace;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec::IntoIter;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::BoxStream;
use tonic::codegen::tokio_stream::{Stream, StreamExt};

/// What gRPC calls its messages.
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Bytes of small messages that make a frame worth its cost.
const JOINED_BYTES: usize = 64 * 1024;

/// A request of these pieces, for a path of this server's; each is made when the one before it is
/// sent.
pub fn request<P>(path: &'static str, pieces: P) -> http::Request<Body>
where
    P: IntoIterator<Item = Bytes, IntoIter: Send + Unpin + 'static>,
{
    with_body(path, body(pieces))
}

/// A body of these pieces.
fn body<P>(pieces: P) -> Body
where
    P: IntoIterator<Item = Bytes, IntoIter: Send + Unpin + 'static>,
{
    let mut pieces = pieces.into_iter();
    let next = pieces.next();
    Body::new(PiecesBody { next, pieces })
}

/// A body of one message.
pub fn message_body(message: Bytes) -> Body {
    let mut prefix = BytesMut::with_capacity(PREFIX_BYTES);
    prefix.put_u8(0);
    prefix.put_u32(message.len() as u32);
    body([prefix.freeze(), message])
}

/// A request of messages in pieces that go on as long as the stream does. They are small: those that
/// are there are sent together.
pub fn open_request(
    path: &'static str,
    messages: impl Stream<Item = Vec<Bytes>> + Send + 'static,
) -> http::Request<Body> {
    with_body(path, Body::new(JoinedBody { messages: Some(Box::pin(messages)) }))
}

/// A request of messages in pieces that come when they come; each piece is a frame.
pub fn flowing_request(
    path: &'static str,
    messages: impl Stream<Item = Vec<Bytes>> + Send + 'static,
) -> http::Request<Body> {
    with_body(path, StreamBody::body(Box::pin(messages.map(Ok)), End::Nothing))
}

fn with_body(path: &'static str, body: Body) -> http::Request<Body> {
    let mut request = http::Request::new(body);
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static(path);
    *request.version_mut() = http::Version::HTTP_2;
    request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    request.headers_mut().insert(CONTENT_TYPE, GRPC);
    request
}

/// A response of messages in pieces, with the status after the last.
pub fn response(messages: BoxStream<Vec<Bytes>>) -> http::Response<Body> {
    let mut response = http::Response::new(StreamBody::body(messages, End::Status));
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

/// Pieces, and no trailers.
struct PiecesBody<P> {
    /// Made ahead: whether a piece is the last has to be known with it.
    next: Option<Bytes>,
    pieces: P,
}

impl<P: Iterator<Item = Bytes> + Unpin> http_body::Body for PiecesBody<P> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let after = self.pieces.next();
        let piece = replace(&mut self.next, after);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_none()
    }
}

/// Small messages, joined into frames.
struct JoinedBody {
    messages: Option<Pin<Box<dyn Stream<Item = Vec<Bytes>> + Send>>>,
}

impl http_body::Body for JoinedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut joined = BytesMut::new();
        while let Some(messages) = &mut self.messages
            && joined.len() < JOINED_BYTES
        {
            match messages.as_mut().poll_next(cx) {
                Poll::Ready(Some(pieces)) => {
                    pieces.iter().for_each(|piece| joined.extend_from_slice(piece));
                }
                Poll::Ready(None) => self.messages = None,
                Poll::Pending if joined.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        let frame = (!joined.is_empty()).then(|| Ok(Frame::data(joined.freeze())));
        Poll::Ready(frame)
    }
}

/// Messages that may be waited for, piece by piece; each is asked for when the one before it is sent.
struct StreamBody {
    /// Gone when it has ended.
    messages: Option<BoxStream<Vec<Bytes>>>,
    pieces: IntoIter<Bytes>,
    end: End,
}

/// What follows the last message.
enum End {
    Nothing,
    /// The status, as trailers.
    Status,
}

impl StreamBody {
    fn body(messages: BoxStream<Vec<Bytes>>, end: End) -> Body {
        Body::new(Self { messages: Some(messages), pieces: Vec::new().into_iter(), end })
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            if let Some(piece) = self.pieces.next() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            let Some(messages) = &mut self.messages else { return Poll::Ready(None) };
            let status = match ready!(messages.as_mut().poll_next(cx)) {
                Some(Ok(pieces)) => {
                    self.pieces = pieces.into_iter();
                    continue;
                }
                Some(Err(status)) => status,
                None => Status::ok(""),
            };
            self.messages = None;
            if let End::Status = self.end {
                return Poll::Ready(Some(Ok(Frame::trailers(trailers(&status)))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.messages.is_none() && self.pieces.len() == 0
    }
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        // A message that no header can hold; the code is said without it.
        trailers.insert("grpc-status", HeaderValue::from(status.code() as i32));
    }
    trailers
}
