//! A worker process: does one step of an operation when it is told to, and says how long it took.
//!
//! Words: `OPERATION BYTES`, answered by `NANOSECONDS` or, for a check, `ok`.

use super::layouts;
use super::ours::Ours;
use super::raw::{self, Greedy, Operation, pattern};
use anyhow::{Context, bail, ensure};
use ps_core::TensorSpec;
use ps_core::settings::Wire;
use ps_kernels::encoding::Encoding;
use ps_runtime::Connector;
use std::io::Write;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

/// Bytes of a message that is written or read at once by hand.
pub(crate) const MESSAGE_BYTES: usize = 4 << 20;

const F32: Wire = Wire { push: Encoding::F32, pull: Encoding::F32, top_k: None };
const BF16: Wire = Wire { push: Encoding::Bf16, pull: Encoding::Bf16, top_k: None };

/// Where everybody is.
struct Places {
    worker: u32,
    tensors: Vec<TensorSpec>,
    bytes: usize,
    raw: Vec<String>,
    raw_unix: Vec<String>,
    ours: Vec<String>,
}

/// `WORKER MODEL raw=ADDRESS,... unix=PATH,... ours=ADDRESS,...`
pub(crate) fn run(words: &[&str]) -> anyhow::Result<()> {
    let [worker, model, raw, raw_unix, ours] = words else { bail!("unexpected {words:?}") };
    let list = |text: &str| -> Vec<String> {
        let list = text.split_once('=').map_or("", |(_, list)| list);
        list.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect()
    };
    let tensors = layouts::parse(model)?;
    let bytes = layouts::elements(&tensors) * size_of::<f32>();
    let places = Places {
        worker: worker.parse()?,
        tensors,
        bytes,
        raw: list(raw),
        raw_unix: list(raw_unix),
        ours: list(ours),
    };
    let runtime = super::runtime()?;
    runtime.block_on(work(&places))
}

async fn work(places: &Places) -> anyhow::Result<()> {
    let mut by_hand = Sockets::connect(places).await?;
    let mut ours = Clients::connect(places).await?;
    println!("ready");
    let mut line = String::new();
    loop {
        line.clear();
        if std::io::stdin().read_line(&mut line)? == 0 {
            return Ok(());
        }
        let line = line.trim_end();
        let (operation, argument) = line.split_once(' ').unwrap_or((line, ""));
        if operation == "pushes" {
            println!("{}", ours.pushes());
            continue;
        }
        let begun = Instant::now();
        if !by_hand.run(operation).await? {
            ours.run(operation, argument).await?;
        }
        println!("{}", begun.elapsed().as_nanos());
        std::io::stdout().flush()?;
    }
}

/// Connections by hand, of either kind.
struct Sockets {
    tcp: Vec<ByHand<tcp::OwnedReadHalf, tcp::OwnedWriteHalf>>,
    unix: Vec<ByHand<unix::OwnedReadHalf, unix::OwnedWriteHalf>>,
}

impl Sockets {
    async fn connect(places: &Places) -> anyhow::Result<Self> {
        let (mut tcp, mut unix) = (Vec::new(), Vec::new());
        for address in &places.raw {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (reader, writer) = stream.into_split();
            tcp.push(ByHand::new(reader, writer, places.bytes / places.raw.len()));
        }
        for path in &places.raw_unix {
            let stream = UnixStream::connect(path).await?;
            raw::set_buffers(&stream)?;
            let (reader, writer) = stream.into_split();
            unix.push(ByHand::new(reader, writer, places.bytes / places.raw_unix.len()));
        }
        Ok(Self { tcp, unix })
    }

    /// Whether the operation is one by hand, and then done.
    async fn run(&mut self, operation: &str) -> anyhow::Result<bool> {
        match operation {
            "raw-push" => all(&mut self.tcp, Operation::Push).await?,
            "raw-pull" => all(&mut self.tcp, Operation::Pull).await?,
            "raw-both" => all(&mut self.tcp, Operation::Both).await?,
            "greedy-push" => all(&mut self.tcp, Operation::GreedyPush).await?,
            "greedy-pull" => all_greedily(&mut self.tcp).await?,
            "apply-push" => all(&mut self.tcp, Operation::ApplyPush).await?,
            "apply-unix-push" => all(&mut self.unix, Operation::ApplyPush).await?,
            "raw-unix-push" => all(&mut self.unix, Operation::Push).await?,
            "raw-unix-pull" => all(&mut self.unix, Operation::Pull).await?,
            "greedy-unix-push" => all(&mut self.unix, Operation::GreedyPush).await?,
            "check-raw" => check(&mut self.tcp).await?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Our clients, each opened when it is first needed.
struct Clients<'a> {
    places: &'a Places,
    tcp: Option<Ours>,
    unix: Option<Ours>,
    bf16: Option<Ours>,
}

impl<'a> Clients<'a> {
    async fn connect(places: &'a Places) -> anyhow::Result<Self> {
        let mut clients = Self { places, tcp: None, unix: None, bf16: None };
        if !places.ours.is_empty() {
            clients.tcp = Some(clients.open(0, Connector::tcp(), F32).await?);
        }
        Ok(clients)
    }

    async fn open(&self, number: u32, connector: Connector, wire: Wire) -> anyhow::Result<Ours> {
        let Places { worker, tensors, ours, .. } = self.places;
        Ours::start(4 * worker + number, ours, tensors.clone(), connector, wire).await
    }

    fn pushes(&self) -> u64 {
        [&self.tcp, &self.unix, &self.bf16].into_iter().flatten().map(Ours::pushes).sum()
    }

    async fn run(&mut self, operation: &str, argument: &str) -> anyhow::Result<()> {
        match operation {
            "open-unix" => {
                self.unix = Some(self.open(1, Connector::local_first(), F32).await?);
                return Ok(());
            }
            "open-bf16" => {
                self.bf16 = Some(self.open(2, Connector::tcp(), BF16).await?);
                return Ok(());
            }
            _ => (),
        }
        let (client, operation) = match operation.split_once('-') {
            Some(("unix", operation)) => (&mut self.unix, operation),
            Some(("bf16", operation)) => (&mut self.bf16, operation),
            _ => (&mut self.tcp, operation),
        };
        let client = client.as_mut().context("not open")?;
        match operation {
            "push" => client.push().await,
            "pull" => client.pull().await,
            "both" => client.push_pull().await,
            "small" => client.push_small().await,
            "many" => client.push_many(argument.parse()?, 256).await,
            "flood" => client.push_many(argument.parse()?, 4).await,
            "crowd" => {
                let others = 0..argument.parse()?;
                let crowd = others.map(|other| client.sibling(100 + other, &self.places.ours));
                let mut crowd = crowd.collect::<anyhow::Result<Vec<_>>>()?;
                let pushes = crowd.iter_mut().map(Ours::push);
                futures_util::future::try_join_all(pushes).await.map(drop)
            }
            "check" => client.check(Some(argument.parse()?)).await,
            other => bail!("unknown operation {other}"),
        }
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
        // As many as whole numbers have.
        let bytes = bytes.next_multiple_of(size_of::<f32>());
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
            Operation::Push | Operation::GreedyPush | Operation::ApplyPush => {
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
