//! Workers that train nothing: each has its connection, its place, its lease and its heartbeat.
//!
//! Says `ready` once all are active, and then, over and over, `COUNT P50_MS P99_MS` of the heartbeats
//! that were answered in so many seconds.

use anyhow::bail;
use ps_client::{Counters, PushReport};
use ps_core::DataDescription;
use ps_proto::v1::next_task_reply::Task;
use ps_proto::{PROTOCOL, v1};
use ps_runtime::member::Member;
use ps_runtime::{Connector, Outside, SystemClock};
use ps_tests::bench::report::Samples;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

/// Samples for each worker: a lease is a part of them, and nobody finishes one.
const SAMPLES_PER_WORKER: u64 = 1_000;

/// Milliseconds that answers took.
type Answers = Arc<Mutex<Samples>>;

/// The load's process.
pub(crate) fn run(master: &str, connections: &str, seconds: &str) -> anyhow::Result<()> {
    let (connections, seconds) = (connections.parse()?, seconds.parse()?);
    std::thread::spawn(|| {
        // Whoever measures is gone.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(load(master, connections, Duration::from_secs(seconds)))
}

async fn load(master: &str, connections: u32, time: Duration) -> anyhow::Result<()> {
    let (answers, begun) = (Answers::default(), Instant::now());
    let (failed, mut failures) = mpsc::channel(1);
    let (active, mut actives) = mpsc::channel(1);
    for worker in 0..connections {
        let member = register(master, worker, connections).await?;
        // Spread over the time between two heartbeats.
        let first = begun + member.heartbeat_interval() * worker / connections;
        let (answers, failed, active) = (answers.clone(), failed.clone(), active.clone());
        tokio::spawn(async move {
            if let Err(error) = work(&member, first, &answers, active).await {
                let _ = failed.send(error).await;
            }
        });
    }
    // Each drops its own once it is active.
    drop(active);
    let () = actives.recv().await.unwrap_or_default();
    println!("ready");
    let mut ticks = interval_at(Instant::now() + time, time);
    loop {
        tokio::select! {
            Some(error) = failures.recv() => return Err(error),
            _ = ticks.tick() => (),
        }
        let samples = std::mem::take(&mut *answers.lock().unwrap_or_else(PoisonError::into_inner));
        println!("{} {} {}", samples.0.len(), samples.median(), samples.quantile(0.99));
    }
}

/// A worker's place, over a connection of its own.
async fn register(master: &str, worker: u32, connections: u32) -> anyhow::Result<Member> {
    let outside = Outside {
        connector: Connector::tcp(),
        clock: SystemClock::start(),
        seed: worker.into(),
        metrics: Arc::new(|_: &str| ()),
    };
    let samples = SAMPLES_PER_WORKER * u64::from(connections);
    let request = v1::RegisterRequest {
        job: "default".to_owned(),
        role: v1::Role::Worker.into(),
        token: 1 + u64::from(worker),
        address: format!("worker{worker}:0"),
        data: Some(DataDescription::replicated(samples).into()),
        protocol: PROTOCOL,
        ..v1::RegisterRequest::default()
    };
    Ok(Member::register(&outside, master, request).await?)
}

/// Waits for the servers, takes a lease, and says how it goes until the load ends.
async fn work(
    member: &Member,
    first: Instant,
    answers: &Answers,
    active: mpsc::Sender<()>,
) -> anyhow::Result<()> {
    let mut ticks = interval_at(first, member.heartbeat_interval());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let counters = Counters::default();
    let mut active = Some(active);
    for clock in 1.. {
        ticks.tick().await;
        // As many steps as heartbeats, of some staleness each.
        let report = PushReport { staleness: clock % 8, chunks_refused: 0 };
        counters.stepped(64, 0.5, clock, &report);
        let request = v1::HeartbeatRequest {
            clock,
            counters: Some(counters.to_wire()),
            ..v1::HeartbeatRequest::default()
        };
        let sent = Instant::now();
        let reply = member.heartbeat(request).await?;
        let milliseconds = sent.elapsed().as_secs_f64() * 1e3;
        answers.lock().unwrap_or_else(PoisonError::into_inner).push(milliseconds);
        if let Some(leave) = reply.leave {
            bail!("the job ended: {}", leave.reason);
        }
        if reply.shard_map.is_some()
            && let Some(active) = active.take()
        {
            take_lease(member).await?;
            drop(active);
        }
    }
    Ok(())
}

/// Asks for work until there is some.
async fn take_lease(member: &Member) -> anyhow::Result<()> {
    for number in 1.. {
        let request = v1::NextTaskRequest { number, ..v1::NextTaskRequest::default() };
        match member.next_task(request).await?.task {
            Some(Task::Train(_)) => return Ok(()),
            Some(Task::Wait(wait)) => sleep(Duration::from_millis(wait.milliseconds)).await,
            task => bail!("unexpected {task:?}"),
        }
    }
    Ok(())
}
