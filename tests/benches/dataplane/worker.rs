//! A worker process: does one step of an operation when it is told to, and says how long it took.
//!
//! Words: `OPERATION BYTES`, answered by `NANOSECONDS` or, for a check, `ok`.

use super::ours::Ours;
use super::raw::{self, Greedy, Operation};
use anyhow::{Context, bail, ensure};
use ps_core::settings::Wire;
use ps_kernels::encoding::Encoding;
use ps_runtime::Connector;
use std::io::Write;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// Bytes of a message that is written or read at once by hand.
pub(crate) const MESSAGE_BYTES: usize = 4 << 20;

/// Bytes that are neither all alike nor repeat with a page.
pub(crate) fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index % 251) as u8).collect()
}

const F32: Wire = Wire { push: Encoding::F32, pull: Encoding::F32, top_k: None };
const BF16: Wire = Wire { push: Encoding::Bf16, pull: Encoding::Bf16, top_k: None };

/// Where everybody is.
struct Places {
    worker: u32,
    bytes: usize,
    raw: Vec<String>,
    raw_unix: Vec<String>,
    ours: Vec<String>,
}

/// `WORKER BYTES raw=ADDRESS,... unix=PATH,... ours=ADDRESS,...`
pub(crate) fn run(words: &[&str]) -> anyhow::Result<()> {
    let [worker, bytes, raw, raw_unix, ours] = words else { bail!("unexpected {words:?}") };
    let list = |text: &str| -> Vec<String> {
        let list = text.split_once('=').map_or("", |(_, list)| list);
        list.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect()
    };
    let places = Places {
        worker: worker.parse()?,
        bytes: bytes.parse()?,
        raw: list(raw),
        raw_unix: list(raw_unix),
        ours: list(ours),
    };
    let runtime = super::runtime()?;
    runtime.block_on(work(&places))
}

async fn work(places: &Places) -> anyhow::Result<()> {
    let mut tcp = Vec::new();
    for address in &places.raw {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        tcp.push(ByHand::new(reader, writer, places.bytes / places.raw.len()));
    }
    let mut unix = Vec::new();
    for path in &places.raw_unix {
        let stream = UnixStream::connect(path).await?;
        raw::set_buffers(&stream)?;
        let (reader, writer) = stream.into_split();
        unix.push(ByHand::new(reader, writer, places.bytes / places.raw_unix.len()));
    }
    let (worker, bytes) = (places.worker, places.bytes);
    let mut ours = match places.ours.is_empty() {
        true => None,
        false => Some(Ours::start(4 * worker, &places.ours, bytes, Connector::tcp(), F32).await?),
    };
    let (mut local, mut short): (Option<Ours>, Option<Ours>) = (None, None);
    println!("ready");
    let mut line = String::new();
    loop {
        line.clear();
        if std::io::stdin().read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        let (operation, rest) = line.split_once(' ').unwrap_or((line, ""));
        let begun = Instant::now();
        match operation {
            "raw-push" => all(&mut tcp, Operation::Push).await?,
            "raw-pull" => all(&mut tcp, Operation::Pull).await?,
            "raw-both" => all(&mut tcp, Operation::Both).await?,
            "greedy-push" => all(&mut tcp, Operation::GreedyPush).await?,
            "greedy-pull" => all_greedily(&mut tcp).await?,
            "raw-unix-push" => all(&mut unix, Operation::Push).await?,
            "raw-unix-pull" => all(&mut unix, Operation::Pull).await?,
            "greedy-unix-push" => all(&mut unix, Operation::GreedyPush).await?,
            "push" => ours.as_mut().context("no server")?.push().await?,
            "pull" => ours.as_mut().context("no server")?.pull().await?,
            "both" => ours.as_mut().context("no server")?.push_pull().await?,
            "unix-push" => local.as_mut().context("not open")?.push().await?,
            "unix-pull" => local.as_mut().context("not open")?.pull().await?,
            "unix-both" => local.as_mut().context("not open")?.push_pull().await?,
            "open-unix" => {
                let connector = Connector::local_first();
                local =
                    Some(Ours::start(4 * worker + 1, &places.ours, bytes, connector, F32).await?);
            }
            "open-bf16" => {
                let (tcp, wire) = (Connector::tcp(), BF16);
                short = Some(Ours::start(4 * worker + 2, &places.ours, bytes, tcp, wire).await?);
            }
            "bf16-both" => short.as_mut().context("not open")?.push_pull().await?,
            "small" => ours.as_mut().context("no server")?.push_small().await?,
            "many" => ours.as_mut().context("no server")?.push_many(rest.parse()?, 256).await?,
            "unix-many" => {
                local.as_mut().context("not open")?.push_many(rest.parse()?, 256).await?
            }
            "flood" => ours.as_mut().context("no server")?.push_many(rest.parse()?, 4).await?,
            "crowd" => {
                let first = ours.as_ref().context("no server")?;
                let crowd =
                    (0..rest.parse()?).map(|other| first.sibling(100 + other, &places.ours));
                let mut crowd = crowd.collect::<anyhow::Result<Vec<_>>>()?;
                let pushes = crowd.iter_mut().map(Ours::push);
                futures_util::future::try_join_all(pushes).await?;
            }
            "pushes" => {
                let pushes =
                    [&ours, &local, &short].map(|one| one.as_ref().map_or(0, Ours::pushes));
                println!("{}", pushes.iter().sum::<u64>());
                continue;
            }
            "check" => {
                ours.as_mut().context("no server")?.check(Some(rest.parse()?)).await?;
            }
            "check-raw" => check(&mut tcp).await?,
            other => bail!("unknown operation {other}"),
        }
        println!("{}", begun.elapsed().as_nanos());
        std::io::stdout().flush()?;
    }
}

/// A connection by hand, and the memory behind it.
struct ByHand<R, W> {
    reader: R,
    writer: Option<W>,
    sent: Vec<u8>,
    received: Vec<u8>,
}

impl<R: Greedy, W: AsyncWrite + Unpin + Send + 'static> ByHand<R, W> {
    fn new(reader: R, writer: W, bytes: usize) -> Self {
        Self { reader, writer: Some(writer), sent: pattern(bytes), received: vec![0; bytes] }
    }

    async fn step(&mut self, operation: Operation, greedily: bool) -> anyhow::Result<()> {
        let mut writer = self.writer.take().context("the connection broke")?;
        let (total, message) = (self.sent.len(), MESSAGE_BYTES.min(self.sent.len()));
        let mut request = vec![operation as u8];
        request.extend((total as u64).to_le_bytes());
        request.extend((message as u64).to_le_bytes());
        writer.write_all(&request).await?;
        match operation {
            Operation::Push | Operation::GreedyPush => {
                raw::send(&mut writer, &self.sent, message).await?;
                ensure!(self.reader.read_u8().await? == 1);
            }
            Operation::Pull => {
                raw::receive(&mut self.reader, &mut self.received, message, greedily).await?;
            }
            Operation::Both => {
                let room = &mut self.received;
                writer = raw::both(&mut self.reader, writer, room, message).await?;
            }
            Operation::Check => ensure!(self.reader.read_u8().await? == 1, "pushed bytes differ"),
        }
        self.writer = Some(writer);
        Ok(())
    }
}

async fn all<R: Greedy, W>(
    connections: &mut [ByHand<R, W>],
    operation: Operation,
) -> anyhow::Result<()>
where
    W: AsyncWrite + Unpin + Send + 'static,
{
    let steps = connections.iter_mut().map(|one| one.step(operation, false));
    futures_util::future::try_join_all(steps).await.map(|_| ())
}

async fn all_greedily<R: Greedy, W>(connections: &mut [ByHand<R, W>]) -> anyhow::Result<()>
where
    W: AsyncWrite + Unpin + Send + 'static,
{
    let steps = connections.iter_mut().map(|one| one.step(Operation::Pull, true));
    futures_util::future::try_join_all(steps).await.map(|_| ())
}

/// Whether everything that was pushed and pulled is where it should be.
async fn check<R: Greedy, W>(connections: &mut [ByHand<R, W>]) -> anyhow::Result<()>
where
    W: AsyncWrite + Unpin + Send + 'static,
{
    for connection in connections {
        connection.received.fill(0);
        connection.step(Operation::Push, false).await?;
        connection.step(Operation::Pull, false).await?;
        ensure!(connection.received == connection.sent, "pulled bytes differ");
        connection.step(Operation::Check, false).await?;
    }
    Ok(())
}
