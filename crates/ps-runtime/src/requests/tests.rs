use super::*;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;
use tonic::Code;
use tower::ServiceExt as _;

const PATH: &str = "/test/Call";
const LARGE: usize = 2 * 1024 * 1024;

fn budget() -> RequestBudget {
    RequestBudget::new(crate::SystemClock::start())
}

/// A call that says it sends so many bytes, and sends these.
fn request(length: usize, sent: &[u8], ends: bool) -> Request<Body> {
    let prefix = [[0].as_slice(), &(length as u32).to_be_bytes()].concat();
    let pieces = vec![Bytes::from(prefix), Bytes::copy_from_slice(sent)];
    let sent = stream::iter([pieces]);
    match ends {
        true => bulk::flowing_request(PATH, sent),
        false => bulk::flowing_request(PATH, sent.chain(stream::pending())),
    }
}

/// Answers with the number of bytes that it is given.
async fn measure(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let mut reader = MessageReader::of_request(request, LARGE).unwrap();
    assert!(reader.next_message().await.unwrap());
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(reader.rest().await.unwrap().len());
    Ok(response)
}

/// What comes of a call: the bytes that arrived, or why none did.
async fn outcome(budget: &RequestBudget, request: Request<Body>) -> Result<usize, Status> {
    let service = budget.bounded(tower::service_fn(measure), LARGE);
    let response = service.oneshot(request).await.unwrap();
    match response.extensions().get::<usize>() {
        Some(bytes) => Ok(*bytes),
        None => Err(Status::from_header_map(response.headers()).unwrap()),
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_request_arrives_as_it_was() {
    let budget = budget();
    for bytes in [0, 1, SMALL_REQUEST_BYTES_MAX + 1, LARGE] {
        assert_eq!(outcome(&budget, request(bytes, &vec![7; bytes], true)).await.unwrap(), bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_single_message_is_refused() {
    let budget = budget();
    let code = async |length, sent: &[u8]| {
        outcome(&budget, request(length, sent, true)).await.unwrap_err().code()
    };
    assert_eq!(code(LARGE + 1, &[]).await, Code::OutOfRange);
    assert_eq!(code(9, &[1; 8]).await, Code::Internal, "too short");
    assert_eq!(code(3, &[0; 8]).await, Code::Unimplemented, "a second message");
    let nothing = bulk::flowing_request(PATH, stream::iter([]));
    assert_eq!(outcome(&budget, nothing).await.unwrap_err().code(), Code::Unimplemented);
}

/// Found by a reader: what waited for room counted from when it found it, so that a member whose heartbeats were queued
/// was taken for silent.
#[tokio::test(start_paused = true)]
async fn regression_a_request_that_waits_for_room_counts_from_when_it_came() {
    let budget = budget();
    let all = budget.small_decoded.acquire_many(DECODED_REQUESTS_BYTES_MAX as u32).await.unwrap();
    let (sender, arrived) = tokio::sync::oneshot::channel();
    let sender = Arc::new(std::sync::Mutex::new(Some(sender)));
    let service = tower::service_fn(move |request: Request<Body>| {
        let sender = sender.lock().unwrap().take().unwrap();
        sender.send(request.extensions().get::<Arrival>().copied()).unwrap();
        async { Ok::<_, Infallible>(Response::new(Body::empty())) }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let came = budget.clock.now();
    let call = tokio::spawn(budget.bounded(service, LARGE).oneshot(request(9, &[1; 9], true)));
    tokio::time::sleep(Duration::from_secs(5)).await;
    drop(all);
    assert!(call.await.unwrap().is_ok());
    assert_eq!(arrived.await.unwrap(), Some(Arrival(came)));
}

/// A caller that stops in the middle holds its call no longer than its bytes may take.
#[tokio::test(start_paused = true)]
async fn half_a_request_is_given_up() {
    let budget = budget();
    for (length, longest_s) in [(100, 10), (1_000_000, 20)] {
        let begun = tokio::time::Instant::now();
        let status = outcome(&budget, request(length, &[1; 50], false)).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(begun.elapsed().as_secs(), longest_s, "{status:?}");
    }
}

/// As many large ones as are read at once stop in the middle: small ones pass, and a large one when they
/// are given up.
#[tokio::test(start_paused = true)]
async fn half_large_requests_hold_up_large_ones_alone() {
    let budget = budget();
    let halves: Vec<_> = (0..LARGE_REQUESTS_MAX)
        .map(|_| {
            let budget = budget.clone();
            tokio::spawn(async move { outcome(&budget, request(LARGE, &[1; 5], false)).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(outcome(&budget, request(100, &[1; 100], true)).await.unwrap(), 100);
    let status = outcome(&budget, request(LARGE, &vec![1; LARGE], true)).await.unwrap_err();
    assert!(status.message().contains("other large requests"), "{status:?}");
    for half in halves {
        assert!(half.await.unwrap().is_err());
    }
    assert_eq!(outcome(&budget, request(LARGE, &vec![1; LARGE], true)).await.unwrap(), LARGE);
}

/// Calls that wait for something hold the room of what they were decoded into; others wait for it.
#[tokio::test(start_paused = true)]
async fn large_requests_are_decoded_one_after_another_and_small_ones_beside_them() {
    let budget = budget();
    let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let go_on = Arc::new(Notify::new());
    let call = |length: usize| {
        let (inside, most, go_on) = (inside.clone(), most.clone(), go_on.clone());
        let service = tower::service_fn(move |_: Request<Body>| {
            let (inside, most, go_on) = (inside.clone(), most.clone(), go_on.clone());
            async move {
                most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                go_on.notified().await;
                inside.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }
        });
        tokio::spawn(budget.bounded(service, LARGE).oneshot(request(
            length,
            &vec![0; length],
            true,
        )))
    };
    let mut calls: Vec<_> = (0..6).map(|_| call(LARGE)).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(inside.load(Ordering::SeqCst), 1);
    calls.push(call(100));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(inside.load(Ordering::SeqCst), 2);
    while inside.load(Ordering::SeqCst) > 0 {
        go_on.notify_waiters();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for call in calls {
        assert!(call.await.unwrap().is_ok());
    }
    assert_eq!(most.load(Ordering::SeqCst), 2);
}
