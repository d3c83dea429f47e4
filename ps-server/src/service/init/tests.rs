use super::*;

/// A start had ten seconds for each of its chunks, however small: who sent one now and then had the turn for days, and
/// everybody else waited.
#[tokio::test(start_paused = true)]
async fn regression_a_start_that_trickles_ends() {
    let mut turn = Turn { begun: Instant::now(), bytes: 0 };
    let status = loop {
        let little = async {
            tokio::time::sleep(Duration::from_secs(9)).await;
            Ok(1000)
        };
        match turn.within(in_time(little)).await {
            Ok(bytes) => turn.bytes += bytes,
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
    assert!(status.message().starts_with("3000 bytes of a start came in 30.1"), "{status:?}");
    assert_eq!(turn.begun.elapsed().as_secs(), 30);
}

/// A slow link is none: a full chunk has its ten seconds.
#[tokio::test(start_paused = true)]
async fn a_large_start_over_a_slow_link_has_its_time() {
    let mut turn = Turn { begun: Instant::now(), bytes: 0 };
    for _ in 0..1000 {
        let chunk = async {
            tokio::time::sleep(Duration::from_millis(9900)).await;
            Ok(256 * 1024)
        };
        turn.bytes += turn.within(in_time(chunk)).await.unwrap();
    }
}
