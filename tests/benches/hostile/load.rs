//! The hostile peers: a process of their own, which gives way to all others.

use crate::kinds::{KINDS, Kind, Then};
use anyhow::Context;
use std::io::Write as _;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a peer that was thrown out waits before it comes again.
const AGAIN: Duration = Duration::from_millis(100);

/// Does what a kind does to this address until it is killed.
pub(crate) fn run(name: &str, address: &str, job: &str) -> anyhow::Result<()> {
    let kind = KINDS.iter().find(|kind| kind.name == name).context("no such kind")?;
    // What is measured is what the victim spends on it, not who has the processor.
    rustix::process::nice(19)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for _ in 0..kind.connections {
            let (address, job) = (address.to_owned(), job.to_owned());
            tokio::spawn(async move {
                loop {
                    let _ = attack(kind, &address, &job).await;
                    tokio::time::sleep(AGAIN).await;
                }
            });
        }
        writeln!(std::io::stdout(), "attacking")?;
        std::future::pending().await
    })
}

/// One connection, until it is closed.
async fn attack(kind: &Kind, address: &str, job: &str) -> std::io::Result<()> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut reading, mut writing) = stream.into_split();
    let write = async {
        writing.write_all(&(kind.first)(job)).await?;
        match kind.then {
            Then::Stay => std::future::pending().await,
            Then::Trickle => loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                writing.write_u8(b'\r').await?;
            },
            Then::Flood(next) => {
                for sent in 0..u32::MAX / 2 {
                    writing.write_all(&next(sent)).await?;
                }
                Ok(())
            }
        }
    };
    let read = async {
        let mut buffer = vec![0; 16 * 1024];
        while reading.read(&mut buffer).await? > 0 {}
        Ok(())
    };
    tokio::select! { ended = write => ended, ended = read => ended }
}
