//! HTTP requests and responses whose bodies are pieces.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, TE};
use http_body::Frame;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec::IntoIter;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::BoxStream;

/// What gRPC calls its messages.
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// A request of these pieces, for a path of this server's.
pub fn request(path: &'static str, pieces: Vec<Bytes>) -> http::Request<Body> {
    let mut request = http::Request::new(Body::new(Sent(pieces.into_iter())));
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = http::Uri::from_static(path);
    *request.version_mut() = http::Version::HTTP_2;
    request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
    request.headers_mut().insert(CONTENT_TYPE, GRPC);
    request
}

/// A response of messages in pieces; each is asked for when the one before it is sent.
pub fn response(messages: BoxStream<Vec<Bytes>>) -> http::Response<Body> {
    let body = Answer { messages, pieces: Vec::new().into_iter(), ended: false };
    let mut response = http::Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

/// Pieces that are there already, and no trailers.
struct Sent(IntoIter<Bytes>);

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.len() == 0
    }
}

/// Messages as they come, and the status as trailers.
struct Answer {
    messages: BoxStream<Vec<Bytes>>,
    pieces: IntoIter<Bytes>,
    ended: bool,
}

impl http_body::Body for Answer {
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
            if self.ended {
                return Poll::Ready(None);
            }
            match ready!(self.messages.as_mut().poll_next(cx)) {
                Some(Ok(pieces)) => self.pieces = pieces.into_iter(),
                end => {
                    self.ended = true;
                    let status = end.and_then(Result::err).unwrap_or_else(|| Status::ok(""));
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers(&status)))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended
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
