//! gRPC messages out of an HTTP body, frame by frame.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use http_body::Body as _;
use prost::Message;
use std::pin::Pin;
use tonic::body::Body;
use tonic::{Code, Status};

/// Compressed flag and length, ahead of every message.
const PREFIX_BYTES: usize = 5;

/// Reads the messages of one call as its frames arrive; holds one frame, never a whole message.
///
/// After an error nothing more can be read. `fields.rs` adds what protobuf makes of the bytes.
pub struct MessageReader {
    body: Body,
    frame: Bytes,
    /// Bytes of the current message that are not read yet.
    pub(super) left: usize,
    /// What `left` will be at the end of the innermost open field.
    pub(super) floor: usize,
    /// The floors of the fields around it.
    pub(super) outer: Vec<usize>,
    message_bytes_max: usize,
    /// The HTTP status of a response; a request has none, and need not end with a gRPC status.
    response: Option<StatusCode>,
    trailers: Option<HeaderMap>,
    ended: bool,
}

impl MessageReader {
    /// Reads what a client sends, in messages of at most so many bytes.
    ///
    /// # Errors
    /// The messages are compressed, which this server does not do.
    pub fn of_request(
        request: http::Request<Body>,
        message_bytes_max: usize,
    ) -> Result<Self, Status> {
        check_encoding(request.headers())?;
        Ok(Self::new(request.into_body(), None, None, message_bytes_max))
    }

    /// Reads what a server answers, in messages of at most so many bytes.
    ///
    /// # Errors
    /// The server answered with nothing but an error, or with compressed messages.
    pub fn of_response(
        response: http::Response<Body>,
        message_bytes_max: usize,
    ) -> Result<Self, Status> {
        check_encoding(response.headers())?;
        let (parts, body) = response.into_parts();
        // An answer without messages has its status where others have their headers.
        let status = Status::from_header_map(&parts.headers);
        if let Some(failed) = status.as_ref().filter(|status| status.code() != Code::Ok) {
            return Err(failed.clone());
        }
        let trailers = status.map(|_| parts.headers);
        Ok(Self::new(body, Some(parts.status), trailers, message_bytes_max))
    }

    fn new(
        body: Body,
        response: Option<StatusCode>,
        trailers: Option<HeaderMap>,
        message_bytes_max: usize,
    ) -> Self {
        Self {
            body,
            frame: Bytes::new(),
            left: 0,
            floor: 0,
            outer: Vec::new(),
            message_bytes_max,
            response,
            trailers,
            ended: false,
        }
    }

    /// Goes on to the next message, past what is unread of the current one; whether there is one.
    ///
    /// # Errors
    /// The connection broke, the server ended the call with an error, or the message is compressed
    /// or too large.
    pub async fn next_message(&mut self) -> Result<bool, Status> {
        self.outer.clear();
        self.floor = 0;
        self.pass(self.left).await?;
        if !self.more().await? {
            return self.end_status().map(|()| false);
        }
        self.left = PREFIX_BYTES;
        let mut prefix = [0; PREFIX_BYTES];
        self.fill(&mut prefix).await?;
        let [compressed, length @ ..] = prefix;
        self.left = self.check_prefix(compressed, u32::from_be_bytes(length))?;
        Ok(true)
    }

    /// The rest of the current message, when all of it is small fields.
    ///
    /// # Errors
    /// As for [`Self::next_message`], or the bytes are not such a message.
    pub async fn message<M: Message + Default>(&mut self) -> Result<M, Status> {
        let bytes = self.bytes(self.left - self.floor).await?;
        M::decode(bytes).map_err(|error| Status::internal(error.to_string()))
    }

    /// The one message of a call that has one, and the end of the call.
    ///
    /// # Errors
    /// As for [`Self::message`], or there is none.
    pub async fn only_message<M: Message + Default>(&mut self) -> Result<M, Status> {
        if !self.next_message().await? {
            return Err(Status::internal("the call ended before its message"));
        }
        let message = self.message().await?;
        while self.next_message().await? {}
        Ok(message)
    }

    /// Fills this room with the next bytes of the innermost open field.
    pub(super) async fn fill(&mut self, room: &mut [u8]) -> Result<(), Status> {
        self.check_room(room.len())?;
        let mut rest = &mut *room;
        while !rest.is_empty() {
            self.need_frame().await?;
            let bytes = self.frame.len().min(rest.len());
            let (here, after) = rest.split_at_mut(bytes);
            self.frame.copy_to_slice(here);
            rest = after;
        }
        self.left -= room.len();
        Ok(())
    }

    /// The next bytes by themselves; the caller has checked that they are few.
    pub(super) async fn bytes(&mut self, length: usize) -> Result<Bytes, Status> {
        self.check_room(length)?;
        if self.frame.len() >= length {
            self.left -= length;
            return Ok(self.frame.split_to(length));
        }
        let mut bytes = BytesMut::new();
        while bytes.len() < length {
            self.need_frame().await?;
            let here = self.frame.len().min(length - bytes.len());
            bytes.extend_from_slice(&self.frame.split_to(here));
        }
        self.left -= length;
        Ok(bytes.freeze())
    }

    /// Passes over bytes that nobody wants.
    pub(super) async fn pass(&mut self, length: usize) -> Result<(), Status> {
        self.check_room(length)?;
        let mut rest = length;
        while rest > 0 {
            self.need_frame().await?;
            let here = self.frame.len().min(rest);
            self.frame.advance(here);
            rest -= here;
        }
        self.left -= length;
        Ok(())
    }

    fn check_room(&self, length: usize) -> Result<(), Status> {
        if length <= self.left - self.floor {
            return Ok(());
        }
        Err(malformed("a field is longer than what it is in"))
    }

    fn check_prefix(&self, compressed: u8, length: u32) -> Result<usize, Status> {
        if compressed != 0 {
            // What the specification asks for where no encoding was named.
            let message = format!("message with compressed flag {compressed}, expected 0");
            return Err(Status::internal(message));
        }
        let (length, limit) = (length as usize, self.message_bytes_max);
        if length > limit {
            let message = format!("message of {length} bytes, the limit is {limit} bytes");
            return Err(Status::out_of_range(message));
        }
        Ok(length)
    }

    async fn need_frame(&mut self) -> Result<(), Status> {
        if self.more().await? {
            return Ok(());
        }
        // A server that failed half-way through a message says why.
        self.end_status()?;
        Err(Status::internal("the call ended within a message"))
    }

    /// Has bytes to read, waiting for them if need be; false at the end of the body.
    async fn more(&mut self) -> Result<bool, Status> {
        while self.frame.is_empty() && !self.ended {
            // The frame that was read is let go before the wait for another.
            self.frame = Bytes::new();
            let next = std::future::poll_fn(|cx| Pin::new(&mut self.body).poll_frame(cx)).await;
            match next.transpose()?.map(http_body::Frame::into_data) {
                Some(Ok(data)) => self.frame = data,
                Some(Err(frame)) => {
                    self.trailers = frame.into_trailers().ok();
                    self.ended = true;
                }
                None => self.ended = true,
            }
        }
        Ok(!self.frame.is_empty())
    }

    /// What the end of the body says about the call.
    fn end_status(&self) -> Result<(), Status> {
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

/// Bytes that are not the protobuf that they should be; the code is the generated code's.
pub(super) fn malformed(what: &str) -> Status {
    Status::internal(format!("malformed message: {what}"))
}

fn check_encoding(headers: &HeaderMap) -> Result<(), Status> {
    let encoding = headers.get("grpc-encoding").map(http::HeaderValue::as_bytes);
    if encoding.is_none_or(|encoding| encoding == b"identity") {
        return Ok(());
    }
    let mut status =
        Status::unimplemented("messages are compressed, expected grpc-encoding identity");
    let identity = tonic::metadata::MetadataValue::from_static("identity");
    status.metadata_mut().insert("grpc-accept-encoding", identity);
    Err(status)
}
