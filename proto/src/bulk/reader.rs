//! gRPC messages out of an HTTP body.

use super::frames::Frames;
use bytes::Bytes;
use prost::Message;
use std::task::{Context, Waker};
use tonic::Status;
use tonic::body::Body;

/// Compressed flag and length, ahead of every message.
pub(super) const PREFIX_BYTES: usize = 5;

/// Reads the messages of one call as its frames arrive.
///
/// After an error nothing more can be read. `fields.rs` adds what protobuf makes of the bytes.
pub struct MessageReader {
    frames: Frames,
    /// Bytes of the current message that are not read yet.
    pub(super) left: usize,
    /// What `left` will be at the end of the innermost open field.
    pub(super) floor: usize,
    /// The floors of the fields around it.
    pub(super) outer: Vec<usize>,
    message_bytes_max: usize,
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
        let (parts, body) = request.into_parts();
        Self::of_body(&parts.headers, body, message_bytes_max)
    }

    /// The same of a request whose head others need.
    ///
    /// # Errors
    /// As for [`Self::of_request`].
    pub fn of_body(
        headers: &http::HeaderMap,
        body: Body,
        message_bytes_max: usize,
    ) -> Result<Self, Status> {
        Ok(Self::new(Frames::of_request(headers, body)?, message_bytes_max))
    }

    /// Reads what a server answers, in messages of at most so many bytes.
    ///
    /// # Errors
    /// The server answered with nothing but an error, or with compressed messages.
    pub fn of_response(
        response: http::Response<Body>,
        message_bytes_max: usize,
    ) -> Result<Self, Status> {
        Ok(Self::new(Frames::of_response(response)?, message_bytes_max))
    }

    fn new(frames: Frames, message_bytes_max: usize) -> Self {
        Self { frames, left: 0, floor: 0, outer: Vec::new(), message_bytes_max }
    }

    /// Whether there is something to read without waiting for it, if only the end of the call.
    pub fn is_ready(&mut self) -> bool {
        let mut more = std::pin::pin!(self.frames.more());
        more.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
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
        if !self.frames.more().await? {
            return self.frames.end_status().map(|()| false);
        }
        let mut prefix = [0; PREFIX_BYTES];
        self.frames.fill(&mut prefix).await?;
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
        M::decode(bytes).map_err(|error| malformed(&error.to_string()))
    }

    /// How many bytes of the current message are not read yet.
    pub fn bytes_left(&self) -> usize {
        self.left
    }

    /// The rest of the current message as it came.
    ///
    /// # Errors
    /// As for [`Self::next_message`].
    pub async fn rest(&mut self) -> Result<Bytes, Status> {
        self.bytes(self.left).await
    }

    /// The one message of a call that has one, and the end of the call.
    ///
    /// # Errors
    /// As for [`Self::message`], or there is none.
    pub async fn only_message<M: Message + Default>(&mut self) -> Result<M, Status> {
        if !self.next_message().await? {
            return Err(match self.frames.are_of_request() {
                true => number_of_messages("none"),
                // An answer that was lost: whoever asked may ask again.
                false => Status::internal("the call ended before its message"),
            });
        }
        let message = self.message().await?;
        while self.next_message().await? {}
        Ok(message)
    }

    /// Fills this room with the next bytes of the innermost open field.
    pub(super) async fn fill(&mut self, room: &mut [u8]) -> Result<(), Status> {
        self.check_room(room.len())?;
        self.left -= room.len();
        self.frames.fill(room).await
    }

    /// The next bytes by themselves; the caller has checked that they are few.
    pub(super) async fn bytes(&mut self, length: usize) -> Result<Bytes, Status> {
        self.check_room(length)?;
        self.left -= length;
        self.frames.bytes(length).await
    }

    /// The next bytes of the innermost open field, if they lie in one frame; else they are still to
    /// be read.
    pub(super) async fn whole(&mut self, length: usize) -> Result<Option<Bytes>, Status> {
        self.check_room(length)?;
        let bytes = self.frames.whole(length).await?;
        self.left -= bytes.as_ref().map_or(0, Bytes::len);
        Ok(bytes)
    }

    /// Passes over bytes that nobody wants.
    pub(super) async fn pass(&mut self, length: usize) -> Result<(), Status> {
        self.check_room(length)?;
        self.left -= length;
        self.frames.pass(length).await
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
}

/// A request of so many messages, where it has to be one; the code is gRPC's own for that, which nobody
/// takes for a broken connection.
pub fn number_of_messages(found: &str) -> Status {
    Status::unimplemented(format!("messages of this request: found {found}, expected one"))
}

/// Bytes that are not the protobuf that they should be; the code is the generated code's.
pub(super) fn malformed(what: &str) -> Status {
    Status::internal(format!("malformed message: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body that gives one frame and breaks.
    struct Broken(Option<Bytes>);

    impl http_body::Body for Broken {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
            std::task::Poll::Ready(Some(match self.0.take() {
                Some(bytes) => Ok(http_body::Frame::data(bytes)),
                None => Err(Status::unavailable("the connection broke")),
            }))
        }
    }

    /// Found by review: whoever looked whether there was more to read was the only one to hear why there was not, and a
    /// broken call looked like one that had ended.
    #[test]
    fn regression_a_failure_that_was_only_looked_at_is_heard_by_who_reads() {
        let whole = Bytes::from_static(&[0, 0, 0, 0, 2, 7, 7]);
        let request = http::Request::new(tonic::body::Body::new(Broken(Some(whole))));
        let mut reader = MessageReader::of_request(request, 100).unwrap();
        let run = tokio::runtime::Builder::new_current_thread().build().unwrap();
        run.block_on(async {
            assert!(reader.next_message().await.unwrap());
            assert_eq!(reader.rest().await.unwrap(), [7, 7][..]);
            assert!(reader.is_ready());
            for _ in 0..2 {
                let status = reader.next_message().await.unwrap_err();
                assert_eq!(status.message(), "the connection broke");
            }
        });
    }
}
