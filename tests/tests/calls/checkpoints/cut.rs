//! A cut over the wire: who waits for it, and for how long.

use super::{large, large_push, order, prepare, server, snapshot, wanted};
use futures_util::stream::{self, StreamExt};
use ps_proto::{PROTOCOL, v1};
use ps_runtime::files::SimulatedDisk;
use ps_tests::loopback::{JOB, Server};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A push that a shard was not asked of waits until the cut is open, and goes on then; one that it has begun does not.
#[tokio::test]
async fn pushes_wait_until_the_cut_is_open() {
    let files = SimulatedDisk::default();
    let server = server(0, &files).await;
    server.init_model(&large()).await.unwrap();
    server.push(large_push(0, 0, 0)).await.unwrap();
    let ends = server.control().prepare_cut(prepare(0, 0, 1)).await.unwrap().into_inner().ends;
    assert_eq!(ends, [v1::CutEnd { worker: 0, incarnation: 5, seq: 1 }]);
    assert!(server.push(large_push(0, 0, 0)).await.unwrap().duplicate);
    let waiting = server.push(large_push(0, 1, 0));
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut waiting).await;
    assert!(early.is_err(), "{early:?}");
    let request = v1::SnapshotRequest { ends, ..wanted(0, 0, 1, &[]) };
    let (pushed, written) = tokio::join!(waiting, order(&server, request));
    pushed.unwrap();
    written.unwrap();
    snapshot(&server, 0, 0, 2, &[1]).await.unwrap();
}

/// A master that asks and then says nothing holds pushes for two seconds; what it says after that is refused.
#[tokio::test]
async fn a_master_that_says_nothing_more_holds_pushes_for_two_seconds() {
    let server = server(0, &SimulatedDisk::default()).await;
    server.init_model(&large()).await.unwrap();
    let ends = server.control().prepare_cut(prepare(0, 0, 1)).await.unwrap().into_inner().ends;
    let begun = Instant::now();
    server.push(large_push(0, 0, 0)).await.unwrap();
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(1500), "it waited {waited:?}");
    let late = order(&server, v1::SnapshotRequest { ends, ..wanted(0, 0, 1, &[]) }).await;
    assert!(late.unwrap_err().message().contains("ask all shards again"));
    // Not in order: the next attempt.
    let again = v1::PrepareCutRequest { attempt: 2, ..prepare(0, 0, 1) };
    let ends = server.control().prepare_cut(again).await.unwrap().into_inner().ends;
    let request = v1::SnapshotRequest { ends, attempt: 2, ..wanted(0, 0, 1, &[]) };
    order(&server, request).await.unwrap();
}

/// A push that is in the cut stays away, and another, which is not, needs memory: it gets it after five seconds, and the
/// cut is given up.
#[tokio::test]
async fn regression_who_waits_for_a_cuts_memory_does_not_wait_for_ever() {
    let server = Arc::new(server(0, &SimulatedDisk::default()).await);
    server.init_model(&large()).await.unwrap();
    let mut late = large_push(0, 0, 0);
    late.truncate(1);
    let late = stream::iter(late).chain(stream::pending());
    let (other, begun) = (server.clone(), Instant::now());
    let late = tokio::spawn(async move { other.data().push(late).await });
    while described(&server).await.version_sum == 0 {
        assert!(begun.elapsed() < Duration::from_secs(5), "no chunk is applied");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ends = server.control().prepare_cut(prepare(0, 0, 1)).await.unwrap().into_inner().ends;
    let request = v1::SnapshotRequest { ends, ..wanted(0, 0, 1, &[]) };
    let other = server.clone();
    let written = tokio::spawn(async move { order(&other, request).await });
    let begun = Instant::now();
    server.push(large_push(1, 0, 0)).await.unwrap();
    let waited = begun.elapsed();
    assert!(waited > Duration::from_secs(4) && waited < Duration::from_secs(9), "{waited:?}");
    let given_up = written.await.unwrap().unwrap_err();
    assert!(given_up.message().contains("given checkpoint 1 up"), "{given_up}");
    late.abort();
}

async fn described(server: &Server) -> v1::DescribeReply {
    let request = v1::DescribeRequest { job: JOB.into(), protocol: PROTOCOL };
    server.data().describe(request).await.unwrap().into_inner()
}
