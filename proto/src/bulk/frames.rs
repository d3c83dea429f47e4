//! The body of a call, frame by frame, and how it ended.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::Body as _;
use std::pin::Pin;
use tonic::body::Body;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// Holds one frame, never a whole message.
pub(super) struct Frames {
    body: Body,
    frame: Bytes,
    /// The HTTP status of a response; a request has none, and need not end with a gRPC status.
    response: Option<StatusCode>,
    trailers: Option<HeaderMap>,
    ended: bool,
    /// Why nothing more comes, to be said however often it is asked: who only looks must not be the only one to hear.
    failure: Option<Status>,
}

impl Frames {
    pub(super) fn of_request(headers: &HeaderMap, body: Body) -> Result<Self, Status> {
        check_encoding(headers)?;
        Ok(Self::new(body, None, None))
    }

    pub(super) fn of_response(response: http::Response<Body>) -> Result<Self, Status> {
        check_encoding(response.headers())?;
        let (parts, body) = response.into_parts();
        // An answer without messages has its status where others have their headers.
        let status = Status::from_header_map(&parts.headers);
        if let Some(failed) = status.as_ref().filter(|status| status.code() != Code::Ok) {
            return Err(failed.clone());
        }
        let (response, trailers) = (Some(parts.status), status.map(|_| parts.headers));
        Ok(Self::new(body, response, trailers))
    }

    fn new(body: Body, response: Option<StatusCode>, trailers: Option<HeaderMap>) -> Self {
        Self { body, frame: Bytes::new(), response, trailers, ended: false, failure: None }
    }

    /// Whether they are a client's.
    pub(super) fn are_of_request(&self) -> bool {
        self.response.is_none()
    }

    /// Fills this room.
    pub(super) async fn fill(&mut self, room: &mut [u8]) -> Result<(), Status> {
        let mut rest = room;
        while !rest.is_empty() {
            let bytes = self.ready().await?.min(rest.len());
            let (here, after) = rest.split_at_mut(bytes);
            self.frame.copy_to_slice(here);
            rest = after;
        }
        Ok(())
    }

    /// The next bytes by themselves; the caller has checked that they are few.
    pub(super) async fn bytes(&mut self, length: usize) -> Result<Bytes, Status> {
        if self.frame.len() >= length {
            return Ok(self.frame.split_to(length));
        }
        let mut bytes = BytesMut::new();
        while bytes.len() < length {
            let here = self.ready().await?.min(length - bytes.len());
            bytes.extend_from_slice(&self.frame.split_to(here));
        }
        Ok(bytes.freeze())
    }

    /// The next bytes, if they lie in one frame.
    pub(super) async fn whole(&mut self, length: usize) -> Result<Option<Bytes>, Status> {
        self.ready().await?;
        Ok((self.frame.len() >= length).then(|| self.frame.split_to(length)))
    }

    /// Passes over bytes that nobody wants.
    pub(super) async fn pass(&mut self, length: usize) -> Result<(), Status> {
        let mut rest = length;
        while rest > 0 {
            let here = self.ready().await?.min(rest);
            self.frame.advance(here);
            rest -= here;
        }
        Ok(())
    }

    /// How many bytes there are, at least one, within a message.
    async fn ready(&mut self) -> Result<usize, Status> {
        if self.more().await? {
            return Ok(self.frame.len());
        }
        // A server that failed half-way through a message says why.
        self.end_status()?;
        Err(Status::internal("the call ended within a message"))
    }

    /// Has bytes to read, waiting for them if need be; false at the end of the body.
    pub(super) async fn more(&mut self) -> Result<bool, Status> {
        while self.frame.is_empty() && !self.ended {
            // The frame that was read is let go before the wait for another.
            self.frame = Bytes::new();
            let next = std::future::poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await;
            match next.transpose().map(|frame| frame.map(http_body::Frame::into_data)) {
                Ok(Some(Ok(data))) => self.frame = data,
                Ok(Some(Err(frame))) => {
                    self.trailers = frame.into_trailers().ok();
                    self.ended = true;
                }
                Ok(None) => self.ended = true,
                Err(error) => {
                    self.failure = Some(error);
                    self.ended = true;
                }
            }
        }
        match &self.failure {
            Some(failure) if self.frame.is_empty() => Err(failure.clone()),
            _ => Ok(!self.frame.is_empty()),
        }
    }

    /// What the end of the body says about the call.
    pub(super) fn end_status(&self) -> Result<(), Status> {
        let Some(http) = self.response else { return Ok(()) };
        match self.trailers.as_ref().and_then(Status::from_header_map) {
            Some(status) if status.code() == Code::Ok => Ok(()),
            Some(status) => Err(status),
            None if http == StatusCode::OK => {
                Err(Status::unknown("the call ended without a gRPC status"))
            }
            None => Err(Status::unavailable(format!("HTTP status {http} instead of gRPC"))),
        }
    }
}

fn check_encoding(headers: &HeaderMap) -> Result<(), Status> {
    let encoding = headers.get("grpc-encoding").map(HeaderValue::as_bytes);
    if encoding.is_none_or(|encoding| encoding == b"identity") {
        return Ok(());
    }
    let message = "messages are compressed, expected grpc-encoding identity";
    let mut status = Status::unimplemented(message);
    let identity = MetadataValue::from_static("identity");
    status.metadata_mut().insert("grpc-accept-encoding", identity);
    Err(status)
}
