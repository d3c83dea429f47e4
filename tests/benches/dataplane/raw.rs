//! The same bytes moved by hand: what any protocol over these sockets could at best reach.
//!
//! A request is an operation, bytes in all and bytes of a message; pushed bytes land in memory that
//! stays, pulled ones come from there, as on a server.

use super::plain;
use anyhow::{Context, bail};
use ps_core::limits::CHUNK_ELEMENTS_MAX;
use std::io;
use std::sync::OnceLock;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

/// What is asked of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Operation {
    /// Take so many bytes and say when all are there.
    Push = 0,
    /// Send so many bytes.
    Pull = 1,
    /// Both at once.
    Both = 2,
    /// As push, with reads until the socket would block.
    GreedyPush = 3,
    /// As greedy push, and a step of plain SGD with every 256 KiB that came.
    ApplyPush = 4,
    /// Say whether what was pushed last is what should have come.
    Check = 5,
}

const OPERATIONS: [Operation; 6] = [
    Operation::Push,
    Operation::Pull,
    Operation::Both,
    Operation::GreedyPush,
    Operation::ApplyPush,
    Operation::Check,
];

/// Bytes that are applied at once: a full chunk of ours.
const APPLIED_BYTES: usize = CHUNK_ELEMENTS_MAX * size_of::<f32>();

/// Socket buffers of Unix sockets, whose default makes them unsteady.
pub(crate) const UNIX_BUFFER_BYTES: usize = 4 << 20;

/// Bytes that are neither all alike nor repeat with a page.
pub(crate) fn pattern(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (index % 251) as u8).collect()
}

/// The reading half of a socket of either kind, which can be read until it would block.
pub(crate) trait Greedy: AsyncRead + Unpin + Send + Sync + 'static {
    fn try_read_some(&self, room: &mut [u8]) -> io::Result<usize>;
    fn readable_again(&self) -> impl Future<Output = io::Result<()>> + Send;
}

impl Greedy for tcp::OwnedReadHalf {
    fn try_read_some(&self, room: &mut [u8]) -> io::Result<usize> {
        self.try_read(room)
    }
    fn readable_again(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.readable()
    }
}

impl Greedy for unix::OwnedReadHalf {
    fn try_read_some(&self, room: &mut [u8]) -> io::Result<usize> {
        self.try_read(room)
    }
    fn readable_again(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.readable()
    }
}

/// Fills the room without going through the event loop for every short read.
pub(crate) async fn read_greedily(stream: &impl Greedy, room: &mut [u8]) -> io::Result<()> {
    let mut at = 0;
    while at < room.len() {
        match stream.try_read_some(&mut room[at..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => at += bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                stream.readable_again().await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Serves TCP on a free port, printed, and Unix sockets at a path.
pub(crate) fn serve(sockets: &[&str]) -> anyhow::Result<()> {
    let [unix] = sockets else { bail!("expected the path of a Unix socket") };
    let tcp = std::net::TcpListener::bind("127.0.0.1:0")?;
    let unix = std::os::unix::net::UnixListener::bind(unix)?;
    println!("{}", tcp.local_addr()?);
    std::thread::spawn(move || {
        while let Ok((stream, _)) = unix.accept() {
            on_its_own_thread(move || {
                stream.set_nonblocking(true)?;
                let stream = UnixStream::from_std(stream)?;
                set_buffers(&stream)?;
                Ok(stream.into_split())
            });
        }
    });
    while let Ok((stream, _)) = tcp.accept() {
        on_its_own_thread(move || {
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            Ok(TcpStream::from_std(stream)?.into_split())
        });
    }
    Ok(())
}

/// Serves a connection on a thread and an event loop of its own, which is the best it can have.
fn on_its_own_thread<R: Greedy, W: AsyncWrite + Unpin + Send + 'static>(
    open: impl FnOnce() -> io::Result<(R, W)> + Send + 'static,
) {
    std::thread::spawn(move || -> anyhow::Result<()> {
        super::runtime()?.block_on(async move {
            let (reader, writer) = open()?;
            answer(reader, writer).await
        })
    });
}

/// Gives a Unix socket room for more than one write.
pub(crate) fn set_buffers(stream: &UnixStream) -> io::Result<()> {
    let socket = socket2::SockRef::from(stream);
    socket.set_send_buffer_size(UNIX_BUFFER_BYTES)?;
    socket.set_recv_buffer_size(UNIX_BUFFER_BYTES)
}

async fn answer<W>(mut reader: impl Greedy, mut writer: W) -> anyhow::Result<()>
where
    W: AsyncWrite + Unpin + Send + 'static,
{
    let mut memory = Vec::new();
    let mut weights = Vec::new();
    let mut pushed = 0;
    loop {
        let mut request = [0; 17];
        if reader.read_exact(&mut request).await.is_err() {
            return Ok(());
        }
        let [operation, sizes @ ..] = request;
        let operation = *OPERATIONS.get(operation as usize).context("no such operation")?;
        let (total, message) = sizes.split_at(8);
        let total = u64::from_le_bytes(total.try_into()?) as usize;
        let message = u64::from_le_bytes(message.try_into()?) as usize;
        if memory.len() < total {
            memory = pattern(total);
        }
        let memory = &mut memory[..total];
        match operation {
            Operation::Push | Operation::GreedyPush => {
                let greedily = operation == Operation::GreedyPush;
                receive(&mut reader, memory, message, greedily).await?;
                pushed = total;
                writer.write_all(&[1]).await?;
            }
            Operation::ApplyPush => {
                weights.resize(total / size_of::<f32>(), 0.0);
                apply(&mut reader, &mut weights).await?;
                writer.write_all(&[1]).await?;
            }
            Operation::Pull => send(&mut writer, memory, message).await?,
            Operation::Both => writer = both(&mut reader, writer, memory, message).await?,
            Operation::Check => {
                let arrived = memory[..pushed.min(total)] == pattern(pushed.min(total));
                writer.write_all(&[u8::from(arrived)]).await?;
                // The next push must not find the bytes there already.
                memory.fill(0);
            }
        }
    }
}

/// Fills the memory, message by message.
pub(crate) async fn receive(
    reader: &mut impl Greedy,
    memory: &mut [u8],
    message: usize,
    greedily: bool,
) -> io::Result<()> {
    for part in memory.chunks_mut(message) {
        match greedily {
            true => read_greedily(reader, part).await?,
            false => drop(reader.read_exact(part).await?),
        }
    }
    Ok(())
}

/// Receives a gradient for these weights into memory that stays in the cache, and applies it.
async fn apply(reader: &mut impl Greedy, weights: &mut [f32]) -> io::Result<()> {
    let mut gradient = vec![0_f32; APPLIED_BYTES / size_of::<f32>()];
    for weights in weights.chunks_mut(gradient.len()) {
        let gradient = &mut gradient[..weights.len()];
        read_greedily(reader, bytemuck::cast_slice_mut(gradient)).await?;
        plain::sgd(weights, &mut [], &mut [], gradient);
    }
    Ok(())
}

/// Sends the memory, message by message.
pub(crate) async fn send(
    writer: &mut (impl AsyncWrite + Unpin),
    memory: &[u8],
    message: usize,
) -> io::Result<()> {
    for part in memory.chunks(message) {
        writer.write_all(part).await?;
    }
    Ok(())
}

/// Takes as many bytes as it sends, at the same time and each on a task of its own.
pub(crate) async fn both<W: AsyncWrite + Unpin + Send + 'static>(
    reader: &mut impl Greedy,
    mut writer: W,
    memory: &mut [u8],
    message: usize,
) -> io::Result<W> {
    let total = memory.len();
    let sending = tokio::spawn(async move {
        let sent = SENT.get_or_init(|| pattern(64 << 20));
        for at in (0..total).step_by(message) {
            writer.write_all(&sent[at..total.min(at + message)]).await?;
        }
        io::Result::Ok(writer)
    });
    receive(reader, memory, message, false).await?;
    sending.await.map_err(io::Error::other)?
}

/// What is sent while as much is received: memory of its own.
static SENT: OnceLock<Vec<u8>> = OnceLock::new();
