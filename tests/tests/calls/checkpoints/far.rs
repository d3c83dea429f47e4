//! Numbers far from all that a job has, in calls about checkpoints and in pushes.

use super::{restore, send, server, snapshot};
use ps_core::checkpoint::names;
use ps_core::limits::{CHECKPOINTS_MISSED_MAX, COUNT_MAX};
use ps_runtime::files::{FileStore, SimulatedDisk};
use ps_tests::loopback::{model, push};
use tonic::Code;

/// A call with a far number, in whosever name, removed all that the job could have gone on from, and no checkpoint
/// was taken after it.
#[tokio::test]
async fn regression_a_call_never_removes_what_a_manifest_lists() {
    let files = SimulatedDisk::default();
    let server = server(0, &files).await;
    server.init().await.unwrap();
    for (number, keep) in [(1, &[][..]), (2, &[1])] {
        snapshot(&server, 0, 0, number, keep).await.unwrap();
        files.write(&names::manifest_file(number), b"a whole checkpoint").unwrap();
    }
    let before = files.list().unwrap();
    for number in [3 + CHECKPOINTS_MISSED_MAX, 1 << 62, u64::MAX] {
        let refused = snapshot(&server, 0, 0, number, &[]).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(refused.message().contains("expected"), "{refused}");
    }
    assert_eq!(files.list().unwrap(), before);
    let near = snapshot(&server, 0, 0, 3, &[]).await.unwrap();
    assert_eq!(files.list().unwrap().len(), before.len() + 1, "{near:?}");
    // When its manifest is gone, a checkpoint is none any more.
    files.remove(&names::manifest_file(1)).unwrap();
    snapshot(&server, 0, 0, 4, &[2]).await.unwrap();
    let expected =
        [names::shard_file(2, 0, 1), names::manifest_file(2), names::shard_file(4, 0, 1)];
    assert_eq!(files.list().unwrap(), expected);
}

/// The highest counts that a push may have are saved and restored as all others.
#[tokio::test]
async fn regression_far_clocks_and_numbers_spoil_no_checkpoint() {
    let files = SimulatedDisk::default();
    let first = server(0, &files).await;
    first.init().await.unwrap();
    let mut far = push(COUNT_MAX - 1, &[1.0; 5]);
    first.push(vec![far.clone()]).await.unwrap();
    let file = snapshot(&first, 0, 0, 1, &[]).await.unwrap();
    let second = server(0, &files).await;
    send(&second, &restore(1, 0, &model(), &[file])).await.unwrap();
    assert_eq!(second.weights().await.unwrap(), [-1.0; 5]);
    let header = far.header.as_mut().unwrap();
    header.clock = COUNT_MAX;
    assert_eq!(first.push(vec![far]).await.unwrap_err().code(), Code::InvalidArgument);
}
