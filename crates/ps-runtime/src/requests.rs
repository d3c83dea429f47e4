//! Calls whose request is one message, within a budget of memory.
//!
//! What the libraries generate reads a message as long as its sender says, from as many senders as there are
//! calls, waits for it as long as the connection lives, and decodes it into many times its bytes: an empty
//! field is two of them. [`Bounded`] stands ahead of such a service. It reads the message itself, in a limit
//! of time and few large ones at once, and hands it on when there is room for what it may become.

use crate::clock::Clock;
use crate::connection::ConnectionHandle;
use http::{Request, Response};
use ps_core::limits::{
    DECODED_BYTES_PER_BYTE, DECODED_REQUESTS_BYTES_MAX, LARGE_REQUESTS_MAX,
    REQUEST_BYTES_PER_S_MIN, REQUEST_WAIT_MS_MAX, SMALL_REQUEST_BYTES_MAX,
};
use ps_proto::bulk::{self, MessageReader, number_of_messages};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;

/// When a request came, as [`Bounded`] says to the service behind it: it may have waited for room since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival(pub Duration);

/// The memory for all requests of a process.
#[derive(Clone)]
pub struct RequestBudget {
    clock: Clock,
    /// To read a large one.
    large: Arc<Semaphore>,
    /// To have a large one decoded: one after another.
    large_decoded: Arc<Semaphore>,
    /// To have small ones decoded, in bytes: they never wait for a large one.
    small_decoded: Arc<Semaphore>,
}

impl RequestBudget {
    /// A budget of which nothing is taken; what comes is stamped by this clock.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            large: Arc::new(Semaphore::new(LARGE_REQUESTS_MAX)),
            large_decoded: Arc::new(Semaphore::new(1)),
            small_decoded: Arc::new(Semaphore::new(DECODED_REQUESTS_BYTES_MAX)),
        }
    }

    /// This service within the budget; its requests have at most so many bytes.
    pub fn bounded<S>(&self, service: S, message_bytes_max: usize) -> Bounded<S> {
        Bounded { service, budget: self.clone(), message_bytes_max, is_for_strangers: false }
    }

    /// The same of a service that answers whoever calls: its answers say nothing of who that is.
    pub fn bounded_for_strangers<S>(&self, service: S, message_bytes_max: usize) -> Bounded<S> {
        Bounded { is_for_strangers: true, ..self.bounded(service, message_bytes_max) }
    }

    /// The same request, when all of it is here and there is room for what it is decoded into.
    async fn read(
        &self,
        request: Request<Body>,
        message_bytes_max: usize,
    ) -> Result<(Request<Body>, SemaphorePermit<'_>), Status> {
        let (parts, body) = request.into_parts();
        let mut reader = MessageReader::of_body(&parts.headers, body, message_bytes_max)?;
        if !in_time(0, "the beginning of the request", reader.next_message()).await? {
            return Err(number_of_messages("none"));
        }
        let bytes = reader.bytes_left();
        let turn = async {
            match bytes {
                0..=SMALL_REQUEST_BYTES_MAX => Ok(None),
                _ => self.large.acquire().await.map(Some).map_err(closed),
            }
        };
        let turn = in_time(0, "other large requests", turn).await?;
        let message = async {
            let message = reader.rest().await?;
            match reader.next_message().await? {
                true => Err(number_of_messages("a second one")),
                false => Ok(message),
            }
        };
        let message = in_time(bytes, "the rest of the request", message).await?;
        let room = async {
            let room = match bytes {
                0..=SMALL_REQUEST_BYTES_MAX => {
                    let room = bytes * DECODED_BYTES_PER_BYTE;
                    self.small_decoded.acquire_many(room as u32).await
                }
                _ => self.large_decoded.acquire().await,
            };
            room.map_err(closed)
        };
        let room = in_time(0, "room beside other requests", room).await?;
        drop(turn);
        Ok((Request::from_parts(parts, bulk::message_body(message)), room))
    }
}

/// Waits so long as so many bytes may take.
async fn in_time<T>(
    bytes: usize,
    what: &str,
    waited: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let longest = Duration::from_millis(
        REQUEST_WAIT_MS_MAX + (bytes as u64).saturating_mul(1000) / REQUEST_BYTES_PER_S_MIN,
    );
    let late = || Status::resource_exhausted(format!("waited {longest:?} for {what}"));
    tokio::time::timeout(longest, waited).await.unwrap_or_else(|_| Err(late()))
}

/// Nobody closes them.
fn closed(error: tokio::sync::AcquireError) -> Status {
    Status::internal(error.to_string())
}

/// A service of calls whose requests are one message, ahead of which those are read and counted.
#[derive(Clone)]
pub struct Bounded<S> {
    service: S,
    budget: RequestBudget,
    message_bytes_max: usize,
    is_for_strangers: bool,
}

impl<S: NamedService> NamedService for Bounded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Bounded<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        request.extensions_mut().insert(Arrival(self.budget.clock.now()));
        // What was asked whether it is ready is what is called.
        let next = self.service.clone();
        let mut service = std::mem::replace(&mut self.service, next);
        let (budget, message_bytes_max) = (self.budget.clone(), self.message_bytes_max);
        let connection = request.extensions().get::<ConnectionHandle>().cloned();
        let connection = connection.filter(|_| !self.is_for_strangers);
        Box::pin(async move {
            let (request, _room) = match budget.read(request, message_bytes_max).await {
                // The room is held until the call is answered.
                Ok(read) => read,
                Err(status) => return Ok(status.into_http()),
            };
            let response = service.call(request).await?;
            // A call that is refused is answered with its status alone.
            if !response.headers().contains_key("grpc-status") {
                connection.iter().for_each(ConnectionHandle::known);
            }
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests;
