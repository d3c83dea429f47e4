//! Connections that say nothing, or take what others need: they cost the others nothing.

use super::victim::Victim;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use ps_core::TensorSpec;
use ps_core::limits::{CHUNK_ELEMENTS_MAX, GREETING_WAIT_MS_MAX};
use ps_proto::{PROTOCOL, v1};
use ps_runtime::transport::AcceptedConnection;
use ps_runtime::{Incoming, Lanes, Shutdown};
use ps_server::config::{Bounds, Config};
use ps_tests::bench::usage;
use ps_tests::loopback::{JOB, Server, config, model_of, outside};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Status;

/// What a loaded machine needs beside a limit of time.
const MARGIN: Duration = Duration::from_secs(10);

async fn connect(victim: &Victim, count: usize) -> Vec<TcpStream> {
    let all = (0..count).map(|_| TcpStream::connect(&victim.address));
    join_all(all).await.into_iter().map(Result::unwrap).collect()
}

/// Waits until the other side has closed all of them.
async fn all_closed(whose: &str, connections: Vec<TcpStream>) {
    let longest = Duration::from_millis(GREETING_WAIT_MS_MAX) + MARGIN;
    let (begun, count) = (Instant::now(), connections.len());
    for (number, mut connection) in connections.into_iter().enumerate() {
        // Settings, then the end, or a reset.
        let mut greeting = Vec::new();
        let read = tokio::time::timeout(longest, connection.read_to_end(&mut greeting));
        let (open, after) = (read.await.is_err(), begun.elapsed());
        assert!(!open, "{whose}: connection {number} of {count} is open after {after:?}");
    }
}

async fn describe(victim: &Victim) -> Result<(), Status> {
    let request = v1::DescribeRequest { job: JOB.into(), protocol: PROTOCOL };
    Server::at(&victim.address).data().describe(request).await.map(|_| ())
}

/// Connections that said nothing stayed as long as they liked: as many as a server may have locked out everybody else, and a
/// master had no limit at all.
#[tokio::test]
async fn regression_connections_that_say_nothing_are_closed_on_servers_and_masters() {
    let out = tempfile::tempdir().unwrap();
    let out = format!("--out={}", out.path().display());
    let master = Victim::start(&["ps-master", "--servers=1", "--workers=1", &out]);
    let server = Victim::start(&["ps-server", "--shard=0", "--connections=20"]);
    let silent = [connect(&server, 20).await, connect(&master, 300).await];
    describe(&server).await.unwrap_err();
    let more = connect(&server, 50).await;
    // Too many are closed at once, and said in one line.
    all_closed("the server, too many", more).await;
    let longest = Duration::from_secs(20);
    server.process.wait_for_stderr("connections are refused: there are 20 already", longest);
    // A master has places for its members, and some more.
    master.process.wait_for_stderr("connections are refused: there are", longest);
    let [of_server, of_master] = silent;
    tokio::join!(all_closed("the server", of_server), all_closed("the master", of_master));
    describe(&server).await.unwrap();
    for victim in [&server, &master] {
        victim.process.wait_for_stderr("said nothing for 10s", longest);
        let lines = victim.process.stderr().lines().count();
        assert!(lines < 12, "{}", victim.process.stderr());
    }
}

/// A server without descriptors accepted in a loop, as fast as it could, and its heartbeats were never sent.
#[tokio::test]
async fn regression_a_limit_of_descriptors_is_known_and_costs_no_processor() {
    let server = Victim::limited("ulimit -n 128", &["ps-server", "--shard=0"]);
    server.process.wait_for_stderr("at most 64 connections at once, not 1024", MARGIN);
    // As many again as the process may have files.
    let (begun, before) = (Instant::now(), usage::cpu_s(server.process.pid()).unwrap());
    let silent = connect(&server, 256).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let used = usage::cpu_s(server.process.pid()).unwrap() - before;
    assert!(used < 0.5, "{used} s of processor in {:?}", begun.elapsed());
    drop(silent);
    for attempt in 0.. {
        match describe(&server).await {
            Ok(()) => break,
            Err(error) => assert!(attempt < 100, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!server.process.stderr().contains("accepting a connection"), "it met the limit");
}

/// The soft limit alone is none.
#[tokio::test]
async fn the_soft_limit_of_descriptors_is_raised() {
    let server = Victim::limited("ulimit -Sn 64", &["ps-server", "--shard=0"]);
    let silent = connect(&server, 200).await;
    describe(&server).await.unwrap();
    drop(silent);
    assert!(!server.process.stderr().contains("connections"), "{}", server.process.stderr());
}

/// Weights that nobody reads took all buffers, and one who reads waited until it was cut off as well.
#[tokio::test]
async fn regression_callers_that_do_not_read_leave_buffers_for_those_who_do() {
    let bounds = Bounds { buffer_bytes: 32 << 20, ..Bounds::default() };
    let server = Server::start_bounded(0, bounds).await.unwrap();
    let elements = 48 * CHUNK_ELEMENTS_MAX;
    server.init_model(&model_of(vec![TensorSpec::trainable("a", [elements])])).await.unwrap();
    let request = v1::PullRequest {
        job: JOB.into(),
        protocol: PROTOCOL,
        encoding: v1::Encoding::F32.into(),
        ..v1::PullRequest::default()
    };
    // Each may have four messages ahead, eight calls on each of 16 connections: 512 of 64 buffers.
    let channels: Vec<_> = (0..16).map(|_| server.data()).collect();
    let calls = channels.iter().flat_map(|channel| (0..8).map(move |_| channel.clone()));
    let calls = calls.map(|mut channel| {
        let request = request.clone();
        async move { channel.pull(request).await.unwrap().into_inner() }
    });
    let mut unread = join_all(calls).await;
    for call in &mut unread {
        call.next().await.unwrap().unwrap();
    }
    for _ in 0..3 {
        let begun = Instant::now();
        let weights = tokio::time::timeout(Duration::from_secs(5), server.weights()).await;
        assert_eq!(weights.expect("it waits for the others").unwrap().len(), elements);
        println!("{:?}", begun.elapsed());
    }
    drop(unread);
}

/// Frames that cost their sender nothing cost the server as much of a processor as there was.
#[tokio::test]
async fn regression_a_flood_of_pings_costs_little_processor_and_holds_up_nobody() {
    let server = Victim::server();
    let before = usage::cpu_s(server.process.pid()).unwrap();
    let greeting = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice(), &[0, 0, 0, 4, 0, 0, 0, 0, 0]];
    let pings = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8].repeat(1000);
    let end = tokio::time::Instant::now() + Duration::from_secs(4);
    let flood = connect(&server, 20).await.into_iter().map(|connection| {
        let (greeting, pings) = (greeting.concat(), &pings);
        async move {
            let (mut answers, mut sending) = connection.into_split();
            let send = async {
                sending.write_all(&greeting).await?;
                loop {
                    sending.write_all(pings).await?;
                }
            };
            let mut sink = tokio::io::sink();
            let read = tokio::io::copy(&mut answers, &mut sink);
            let both = async {
                let _: (std::io::Result<()>, _) = tokio::join!(send, read);
            };
            let _ = tokio::time::timeout_at(end, both).await;
        }
    });
    let calls = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        describe(&server).await.unwrap();
        // Whoever belongs here is read as fast as it sends.
        let known = Server::at(&server.address);
        known.init().await.unwrap();
        let pushes: Vec<_> =
            (0..2000).map(|seq| ps_tests::loopback::push(seq, &[1.0; 5])).collect();
        let begun = Instant::now();
        let answers = known.data().push_many(tokio_stream::iter(pushes)).await.unwrap();
        let mut answers = answers.into_inner();
        while answers.message().await.unwrap().is_some() {}
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    };
    tokio::join!(join_all(flood), calls);
    let used = usage::cpu_s(server.process.pid()).unwrap() - before;
    assert!(used < 1.0, "{used} s of processor");
}

/// Each push that was not finite was a line of the log, as fast as they came.
#[tokio::test]
async fn regression_refused_pushes_are_a_line_with_a_count() {
    let victim = Victim::server();
    let server = Server::at(&victim.address);
    server.init().await.unwrap();
    let pushes = (0..500).map(|seq| ps_tests::loopback::push(seq, &[f32::NAN; 5]));
    let pushes: Vec<_> = pushes.collect();
    let mut answers =
        server.data().push_many(tokio_stream::iter(pushes)).await.unwrap().into_inner();
    while answers.message().await.unwrap().is_some() {}
    victim.process.wait_for_stderr("(499 such pushes)", Duration::from_secs(20));
    let log = victim.process.stderr();
    assert_eq!(log.lines().filter(|line| line.contains("chunks refused")).count(), 2, "{log}");
}

/// More connections than a server may have, silent and again and again, kept it from its own heartbeats: its master took it
/// for dead, and the job was over.
#[tokio::test]
async fn regression_a_flood_of_connections_starves_no_heartbeat() {
    let out = tempfile::tempdir().unwrap();
    let out = format!("--out={}", out.path().display());
    let lease = ["--lease-ms=1500", "--servers=1", "--workers=1", &out];
    let master = Victim::start(&[&["ps-master"][..], &lease].concat());
    let address = format!("--master={}", master.address);
    let server = Victim::limited("ulimit -n 128", &["ps-server", "--shard=0", &address]);
    master.process.wait_for_stderr("server shard 0 is at", MARGIN);
    let _silent = connect(&server, 150).await;
    let end = Instant::now() + Duration::from_secs(6);
    let again = (0..64).map(|_| async {
        while Instant::now() < end {
            let _ = TcpStream::connect(&server.address).await;
        }
    });
    join_all(again).await;
    let log = master.process.stderr();
    assert!(!log.contains("is away") && !log.contains("silent"), "{log}");
}

/// A listener at which there is always one more, as a faster machine makes it: each costs what tokio's own listener counts.
fn endless() -> Incoming {
    Box::pin(stream::unfold((), |()| async {
        tokio::task::coop::consume_budget().await;
        let gone = || Err(std::io::ErrorKind::ConnectionAborted.into());
        Some((Ok(AcceptedConnection::new(gone)), ()))
    }))
}

/// Where callers are faster than the server accepts, accepting uses up all that a task may do in one turn: nothing was left for heartbeats,
/// which came after it.
#[tokio::test]
async fn heartbeats_come_ahead_of_connections_without_an_end() {
    let out = tempfile::tempdir().unwrap();
    let out = format!("--out={}", out.path().display());
    let master =
        Victim::start(&["ps-master", "--lease-ms=1500", "--servers=1", "--workers=1", &out]);
    let bounds = Bounds { connections: 0, ..Bounds::default() };
    let config = Config { master: Some(master.address.clone()), ..config(0, bounds) };
    let (_trigger, shutdown) = Shutdown::new();
    let (lanes, address) = (Lanes::per_core(), "127.0.0.1:9".to_owned());
    let served = ps_server::serve::run(
        config,
        endless(),
        lanes,
        address,
        outside(),
        shutdown,
        ps_server::serve::ServerFiles::default(),
    );
    let server = tokio::spawn(served);
    // Several leases; waiting for a line of the master would hold up the server.
    tokio::time::sleep(Duration::from_secs(6)).await;
    server.abort();
    let log = master.process.stderr();
    assert!(log.contains("server shard 0 is at"), "it did not even register: {log}");
    assert!(!log.contains("is away") && !log.contains("silent"), "{log}");
}
