//! Connections on their way in: accepted, counted, and opened on the runtime that serves them.

use crate::connection::{AcceptedConnection, Connection};
use crate::repeated::Repeated;
use futures_util::{Stream, StreamExt, stream};
use ps_core::limits;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Accepted connections, one by one.
pub type Incoming = Pin<Box<dyn Stream<Item = io::Result<AcceptedConnection>> + Send>>;

/// Connections to be served by this runtime.
pub type Connections = Pin<Box<dyn Stream<Item = io::Result<Connection>> + Send>>;

/// How long nothing is accepted after an error, at first and at most: where there are no file descriptors, the next
/// attempt fails as soon as it is made, and whoever makes it without an end does nothing else.
const PAUSE_SHORTEST: Duration = Duration::from_millis(20);
const PAUSE_LONGEST: Duration = Duration::from_secs(1);

/// Gives a listener room for a burst of connections: the standard library asks for 128.
pub(crate) fn await_many(listener: &impl AsFd) -> io::Result<()> {
    socket2::SockRef::from(listener).listen(limits::UNACCEPTED_CONNECTIONS_MAX)
}

/// Goes on after errors, which are said and not passed on, and makes a pause before it does.
pub(crate) fn patient(
    incoming: impl Stream<Item = io::Result<AcceptedConnection>> + Send + 'static,
) -> Incoming {
    let (errors, incoming) = (Repeated::default(), Box::pin(incoming));
    Box::pin(stream::unfold((incoming, PAUSE_SHORTEST), move |(mut incoming, mut pause)| {
        let errors = errors.clone();
        async move {
            loop {
                let error = match incoming.next().await? {
                    Ok(accepted) => return Some((Ok(accepted), (incoming, PAUSE_SHORTEST))),
                    Err(error) => error,
                };
                // Of one connection, that its peer gave up before it was accepted.
                if error.kind() == io::ErrorKind::ConnectionAborted {
                    continue;
                }
                errors.happened(move |times| {
                    tracing::warn!("accepting a connection: {error} ({times} times); trying again");
                });
                tokio::time::sleep(pause).await;
                pause = (2 * pause).min(PAUSE_LONGEST);
            }
        }
    }))
}

/// At most so many connections at once; more are closed as soon as they are accepted.
pub fn limited(incoming: Incoming, connections_max: usize) -> Incoming {
    let permits = Arc::new(Semaphore::new(connections_max));
    let refused = Repeated::default();
    Box::pin(incoming.filter_map(move |accepted| {
        let permit = permits.clone().try_acquire_owned();
        std::future::ready(match (accepted, permit) {
            (Ok(accepted), Ok(permit)) => Some(Ok(AcceptedConnection::new(move || {
                Ok(accepted.open()?.with_permit(permit))
            }))),
            (Err(error), _) => Some(Err(error)),
            (Ok(_), Err(_)) => {
                refused.happened(move |times| {
                    tracing::warn!(
                        "{times} connections are refused: there are {connections_max} already, as many as \
                         there may be"
                    );
                });
                None
            }
        })
    }))
}

/// Opens accepted connections on this runtime. One that says nothing is closed after a while.
pub fn opened(incoming: Incoming) -> Connections {
    let silent = Repeated::default();
    Box::pin(incoming.map(move |accepted| Ok(accepted?.open()?.greeted(silent.clone()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use tokio::time::Instant;

    fn accepted() -> io::Result<AcceptedConnection> {
        Ok(AcceptedConnection::new(|| Ok(Connection::new(tokio::io::empty()))))
    }

    /// Without descriptors, accepting fails at once, for ever: it spun, and the server's own heartbeats, on the
    /// same task, were never sent.
    #[tokio::test(start_paused = true)]
    async fn regression_errors_of_the_listener_are_not_tried_again_at_once() {
        let mut attempts = 0;
        let start = Instant::now();
        let errors = stream::iter(0..100).map(move |_| Err(io::ErrorKind::Other.into()));
        let mut incoming = patient(errors.chain(stream::once(std::future::ready(accepted()))));
        while tokio::time::timeout(Duration::from_millis(100), incoming.next()).await.is_err() {
            // Whoever else is on this task had its turn.
            attempts += 1;
        }
        assert!(attempts > 900, "others had {attempts} turns");
        let waited = start.elapsed();
        assert!(waited > 90 * PAUSE_LONGEST && waited < 101 * PAUSE_LONGEST, "{waited:?}");
        assert!(incoming.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_gave_up_costs_nobody_a_pause_and_a_success_ends_one() {
        let start = Instant::now();
        let error = |kind: io::ErrorKind| Err(kind.into());
        let (gone, other) = (io::ErrorKind::ConnectionAborted, io::ErrorKind::Other);
        let results = [error(gone), accepted(), error(other), error(other), accepted()];
        let results = results.into_iter().chain([error(other), accepted()]);
        let results: VecDeque<_> = results.collect();
        let mut incoming = patient(stream::iter(results));
        let mut pauses = Vec::new();
        while incoming.next().await.is_some() {
            pauses.push(start.elapsed().as_millis());
        }
        // 20 and 40 ms, and 20 again, with a timer's tick each.
        assert_eq!(pauses[0], 0);
        assert!((60..64).contains(&pauses[1]), "{pauses:?}");
        assert!((80..86).contains(&pauses[2]), "{pauses:?}");
    }
}
