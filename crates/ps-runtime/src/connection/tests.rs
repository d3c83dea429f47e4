use super::*;
use std::task::Waker;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_connection_that_is_hung_up_ends_whoever_reads_it() {
    let (stream, _peer) = tokio::io::duplex(64);
    let mut connection = Connection::new(stream);
    let handle = connection.connect_info();
    let reading = tokio::spawn(async move { connection.read_u8().await });
    tokio::task::yield_now().await;
    handle.hang_up();
    let error = reading.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
}

/// Silent connections kept their places: as many as a server may have locked everybody else out.
#[tokio::test(start_paused = true)]
async fn regression_a_connection_that_says_nothing_or_little_ends() {
    for said in [0, 1, GREETING_BYTES - 1] {
        let (stream, mut peer) = tokio::io::duplex(64);
        let mut connection = Connection::new(stream).greeted(Repeated::default());
        let start = tokio::time::Instant::now();
        let talking = tokio::spawn(async move {
            for _ in 0..said {
                tokio::time::sleep(GREETING_WAIT / 64).await;
                peer.write_u8(1).await.unwrap();
            }
            std::future::pending::<()>().await;
        });
        let error = connection.read_exact(&mut [0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{said} bytes");
        let waited = start.elapsed();
        assert!(waited >= GREETING_WAIT && waited < 2 * GREETING_WAIT, "{waited:?}");
        talking.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_greeted_may_be_idle() {
    let (stream, mut peer) = tokio::io::duplex(64);
    let mut connection = Connection::new(stream).greeted(Repeated::default());
    peer.write_all(&[1; GREETING_BYTES]).await.unwrap();
    connection.read_exact(&mut [0; GREETING_BYTES]).await.unwrap();
    let idle = tokio::time::timeout(100 * GREETING_WAIT, connection.read_u8()).await;
    assert!(idle.is_err(), "{idle:?}");
}

#[test]
fn what_is_remembered_is_the_connections_own() {
    let handle = ConnectionHandle::default();
    let same = handle.clone();
    assert_eq!((handle.remembered(|| 1), same.remembered(|| 2)), (1, 1));
    assert_eq!(ConnectionHandle::default().remembered(|| 2), 2);
}

#[tokio::test]
async fn what_others_add_in_their_turn_is_written_with_what_was_there() {
    let (stream, _peer) = tokio::io::duplex(64);
    let mut connection = Connection::new(stream).gathering();
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..2 {
        let mut write = |bytes: &[u8]| Pin::new(&mut connection).poll_write(&mut cx, bytes);
        assert!(write(b"head").is_pending());
        assert!(write(b"head and body").is_ready());
        assert!(write(b"more").is_ready(), "one turn for each flush");
        assert!(Pin::new(&mut connection).poll_flush(&mut cx).is_ready());
    }
}

#[test]
fn a_connection_that_always_has_bytes_lets_others_go_first() {
    let mut connection = Connection::new(tokio::io::join(tokio::io::repeat(1), tokio::io::sink()));
    let mut cx = Context::from_waker(Waker::noop());
    let mut room = vec![0; 64 * 1024];
    let mut bursts = Vec::new();
    for _ in 0..3 {
        let mut bytes = 0;
        loop {
            let mut buf = ReadBuf::new(&mut room);
            match Pin::new(&mut connection).poll_read(&mut cx, &mut buf) {
                Poll::Ready(read) => read.unwrap(),
                Poll::Pending => break,
            }
            bytes += buf.filled().len();
        }
        bursts.push(bytes);
    }
    assert_eq!(bursts, [limits::READ_BURST_BYTES_MAX; 3]);
}
