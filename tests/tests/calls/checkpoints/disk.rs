//! Checkpoints on a disk that loses its power, or is full.

use super::{CHUNKS, large, large_push, restore, send, server, snapshot};
use ps_core::checkpoint::names;
use ps_proto::v1;
use ps_runtime::files::{FileStore, SimulatedDisk};
use tonic::Code;

/// Wherever the disk loses its power while a checkpoint is written, what is then there under the checkpoint's
/// name is whole, and what was there before still is.
#[tokio::test]
async fn a_disk_without_power_leaves_the_checkpoint_of_before_whole() {
    let (mut lost, mut whole) = (0, 0);
    for operations in 0.. {
        let files = SimulatedDisk::default();
        let first = server(0, &files).await;
        first.init_model(&large()).await.unwrap();
        let before = snapshot(&first, 0, 0, 1, &[]).await.unwrap();
        first.push(large_push(0, 0, 0)).await.unwrap();
        files.fail_after(operations);
        let written = snapshot(&first, 0, 0, 2, &[1]).await;
        drop(first);
        files.crash(operations);
        let goes_on = async |number, file: &v1::CheckpointFile| {
            let second = server(0, &files).await;
            send(&second, &restore(number, 0, &large(), std::slice::from_ref(file))).await.unwrap();
            second.weights().await.unwrap()
        };
        assert!(goes_on(1, &before).await.iter().all(|weight| *weight == 0.0), "{operations}");
        match written {
            Ok(file) => {
                assert!(goes_on(2, &file).await.iter().all(|weight| *weight == -1.0));
                whole += 1;
            }
            Err(error) => {
                assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
                assert!(error.message().contains("no power"), "{error}");
                lost += 1;
            }
        }
        if whole > 0 && operations > 20 {
            break;
        }
    }
    assert!(lost > CHUNKS, "{lost}: each chunk is written by itself");
}

/// A full disk is said, costs nothing that was there, and the next checkpoint is written when there is room.
#[tokio::test]
async fn a_full_disk_is_said_and_the_next_checkpoint_is_written() {
    let files = SimulatedDisk::default();
    let first = server(0, &files).await;
    first.init_model(&large()).await.unwrap();
    let before = snapshot(&first, 0, 0, 1, &[]).await.unwrap();
    files.set_room(Some(before.bytes + before.bytes / 2));
    let full = snapshot(&first, 0, 0, 2, &[1]).await.unwrap_err();
    assert_eq!(full.code(), Code::FailedPrecondition);
    assert!(full.message().contains("no space left"), "{full}");
    assert_eq!(files.list().unwrap(), std::slice::from_ref(&before.name));
    first.push(large_push(0, 0, 0)).await.unwrap();
    files.set_room(None);
    let after = snapshot(&first, 0, 0, 3, &[1]).await.unwrap();
    assert_eq!(files.list().unwrap(), [before.name, after.name]);
}

/// Parts of checkpoints that failed stayed, until nothing had room any more.
#[tokio::test]
async fn regression_what_failed_checkpoints_left_makes_room_for_the_next() {
    let files = SimulatedDisk::default();
    let first = server(0, &files).await;
    first.init_model(&large()).await.unwrap();
    let before = snapshot(&first, 0, 0, 1, &[]).await.unwrap();
    // This shard wrote its parts of 2 and 3, another one could not; and a process was killed while it wrote 4.
    for number in [2, 3] {
        snapshot(&first, 0, 0, number, &[1]).await.unwrap();
    }
    let killed = format!("{}.partial", names::shard_file(4, 0, 1));
    files.write(&killed, &[0; 1000]).unwrap();
    files.set_room(Some(2 * before.bytes + before.bytes / 2));
    let after = snapshot(&first, 0, 0, 5, &[1]).await.unwrap();
    assert_eq!(files.list().unwrap(), [before.name, after.name]);
}
