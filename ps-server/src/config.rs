//! The options of a server.

use crate::journal::WriterSettings;
use clap::Parser;
use ps_cli::process::ProcessArgs;
use ps_core::limits;
use ps_core::shard::Guards;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;

const EXAMPLES: &str = "Examples:
  ps-server --shard 0                                    # the only server, workers connect to 127.0.0.1:2223
  ps-server --shard 1 --listen 0.0.0.0:2223 --master host1:2222 --advertise host2:2223

Standard output carries one line, `role=server; shard=0; listening=HOST:PORT;`; logs go to standard
error. Exit codes: 0 done, 1 failed, 64 bad usage, 130 Ctrl-C, 143 SIGTERM.";

/// Hold one shard of the model: serve weights, apply gradients.
#[derive(Parser, Clone, Debug)]
#[command(name = "ps-server", version, after_help = EXAMPLES)]
pub struct Args {
    /// Which shard this server holds, from 0.
    #[arg(long, env = "PS_SHARD", value_name = "I")]
    pub shard: u32,
    /// Where to listen; port 0 takes any free one. Other machines reach it only when it says so.
    #[arg(long, env = "PS_LISTEN", default_value = "127.0.0.1:2223", value_name = "ADDR")]
    pub listen: String,
    /// Where others reach this server, when that differs from where it listens; without a port, or
    /// with port 0, it is the one that was bound.
    #[arg(long, env = "PS_ADVERTISE", value_name = "HOST[:PORT]")]
    pub advertise: Option<String>,
    /// The master to register with; without one, the first worker creates the model.
    #[arg(long, env = "PS_MASTER", value_name = "HOST:PORT")]
    pub master: Option<String>,
    /// Without a master: milliseconds after its last sign of life that a worker counts as active.
    #[arg(long, env = "PS_LEASE_MS", default_value_t = 10_000, value_name = "MS")]
    pub lease_ms: u64,
    /// With a master: where this shard's part of checkpoints is written, and read when a job goes
    /// on; give the master the same option.
    #[arg(long, env = "PS_CHECKPOINTS", value_name = "DIR", requires = "master")]
    pub checkpoints: Option<PathBuf>,
    /// Take the place of a server that was killed and had no journal: the master has this one read that one's part from the newest
    /// checkpoint, while the other servers stay where they are. What was pushed to it since is lost.
    #[arg(long, requires = "checkpoints", conflicts_with = "journal")]
    pub go_back: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub durability: DurabilityArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub limits: ServerLimitArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub process: ProcessArgs,
}

/// What a push outlives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Durability {
    /// A push is acknowledged when it is applied: it is lost with its server's process.
    #[default]
    Memory,
    /// A push is acknowledged when it is in its server's journal on the disk: it outlives the process.
    Wal,
}

/// What a push outlives, and where it does.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Durability of a server")]
pub struct DurabilityArgs {
    /// When a push is acknowledged: once it is applied in memory, or once it is in the journal of its server on the disk, too
    /// (a write-ahead log). With `wal` a server that dies is started again and loses nothing.
    #[arg(long, env = "PS_DURABILITY", value_enum, default_value_t, value_name = "MODE")]
    pub durability: Durability,
    /// With `wal`: where the journals are, each server's in a folder of its own.
    #[arg(long, env = "PS_JOURNAL", value_name = "DIR")]
    pub journal: Option<PathBuf>,
    /// With `wal`: the journals stay, with all that was ever in them, also when the job is over: `psrun replay` makes the
    /// weights from them again, bit for bit, and names the push after which a run went wrong. They take as much room as all
    /// gradients that are pushed.
    #[arg(long, env = "PS_KEEP_JOURNAL")]
    pub keep_journal: bool,
}

/// The folder of a server's journal, among those of its job.
pub fn shard_folder(shard: u32) -> String {
    format!("shard-{shard}")
}

impl DurabilityArgs {
    /// Whether servers have journals.
    pub fn has_journals(&self) -> bool {
        self.durability == Durability::Wal
    }

    /// Where the journals of a job are, given where they are unless somebody says so.
    pub fn journals(&self, otherwise: impl FnOnce() -> PathBuf) -> Option<PathBuf> {
        let is_wanted = self.has_journals();
        is_wanted.then(|| self.journal.clone().unwrap_or_else(otherwise))
    }

    /// Where this server's journal is, if it has one.
    pub fn folder(&self, shard: u32) -> Option<PathBuf> {
        let journal = self.journal.as_ref().filter(|_| self.durability == Durability::Wal)?;
        Some(journal.join(shard_folder(shard)))
    }

    /// What contradicts itself for a server, in one sentence.
    ///
    /// # Errors
    /// One option is there without the other.
    pub fn check(&self) -> Result<(), String> {
        match (self.durability, &self.journal) {
            (Durability::Wal, None) => Err(
                "--durability wal: say with --journal DIR where the journal is; a server that is started again needs the same"
                    .to_owned(),
            ),
            _ => self.check_job(),
        }
    }

    /// What contradicts itself for a job, which has a folder anyhow.
    ///
    /// # Errors
    /// A folder is named that nobody would write to, or what nobody writes is to be kept.
    pub fn check_job(&self) -> Result<(), String> {
        if self.keep_journal && !self.has_journals() {
            return Err(
                "--keep-journal (or PS_KEEP_JOURNAL): there are journals with --durability wal only".to_owned()
            );
        }
        match (self.durability, &self.journal) {
            (Durability::Memory, Some(journal)) => Err(format!(
                "--journal {}: there is one with --durability wal only",
                journal.display()
            )),
            _ => Ok(()),
        }
    }
}

/// What callers may make a server hold beside the weights and the optimizer's state.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Limits of a server")]
pub struct ServerLimitArgs {
    /// Mebibytes of chunks that are received and sent at once, whoever calls; beside the weights,
    /// the optimizer's state and a window for each connection.
    #[arg(long, env = "PS_BUFFER_MIB", default_value_t = DEFAULTS.buffer_mib, value_name = "MIB",
        value_parser = clap::value_parser!(u64).range(1..=1024 * 1024))]
    pub buffer_mib: u64,
    /// Connections at once, each with a window of 4 MiB that its peer may fill; fewer where the process may not
    /// have as many files open (ulimit -Hn).
    #[arg(long, env = "PS_CONNECTIONS", default_value_t = DEFAULTS.connections, value_name = "C",
        value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub connections: u32,
    /// Milliseconds that a caller may leave weights unread before its connection is cut.
    #[arg(long, env = "PS_UNREAD_MS", default_value_t = DEFAULTS.unread_ms,
        value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    pub unread_ms: u64,
    /// Percent of the shard that may be in memory twice while a checkpoint is written: what is pushed meanwhile leaves
    /// the checkpoint as it was. Beyond it, pushes wait for the disk.
    #[arg(long, env = "PS_CUT_MEMORY", default_value_t = DEFAULTS.cut_memory,
        value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub cut_memory: u8,
    /// With --durability wal: mebibytes of records after which a server writes its shard whole and forgets them, or as many
    /// as the shard has, where that is more. Fewer are read sooner at a restart, and the shard is written more often.
    #[arg(long, env = "PS_JOURNAL_MIB", default_value_t = DEFAULTS.journal_mib,
        value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1024 * 1024))]
    pub journal_mib: u64,
}

impl ServerLimitArgs {
    /// What contradicts itself, in one sentence.
    ///
    /// # Errors
    /// It is said how long journals may be that there are not.
    pub fn check(&self, has_journals: bool) -> Result<(), String> {
        if has_journals || self.journal_mib == DEFAULTS.journal_mib {
            return Ok(());
        }
        Err("--journal-mib (or PS_JOURNAL_MIB): there are journals with --durability wal only"
            .to_owned())
    }
}

const DEFAULTS: ServerLimitArgs = ServerLimitArgs {
    buffer_mib: 512,
    connections: 1024,
    unread_ms: limits::PULL_WAIT_MS_MAX,
    cut_memory: 25,
    journal_mib: limits::JOURNAL_BYTES_MIN >> 20,
};

impl Args {
    /// What contradicts itself, in one sentence.
    ///
    /// # Errors
    /// The master would be given an address at which nobody reaches this server, or the journal has no folder.
    pub fn check(&self) -> Result<(), String> {
        self.durability.check()?;
        let everywhere = ["0.0.0.0:", "[::]:"].iter().any(|any| self.listen.starts_with(any));
        if self.master.is_some() && self.advertise.is_none() && everywhere {
            return Err(format!(
                "--listen {}: with --master, say with --advertise HOST[:PORT] where others reach \
                 this server",
                self.listen
            ));
        }
        Ok(())
    }
}

/// What a server is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The job it belongs to.
    pub job: String,
    /// Its shard.
    pub shard: u32,
    /// The address asked for.
    pub listen: String,
    /// The address for others, when it differs from the one bound. Another one is told to the master, and by
    /// it to everybody.
    pub advertise: Option<watch::Receiver<String>>,
    /// The master's address.
    pub master: Option<String>,
    /// Whether it takes the place of a server that was killed, and goes back to a checkpoint.
    pub goes_back: bool,
    /// Without a master: how long a silent worker counts as active.
    pub lease: Duration,
    /// After a signal a server serves on until the master has saved, or the workers are gone, at most
    /// this long.
    pub serve_after_signal: Duration,
    /// What callers may make the server hold.
    pub bounds: Bounds,
    /// How the journal is written, where there is one.
    pub journal: WriterSettings,
    /// What the shard checks: only tests that prove the simulation's worth leave something out.
    pub guards: Guards,
}

impl From<Args> for Config {
    fn from(args: Args) -> Self {
        let whole_every_bytes = args.limits.journal_mib << 20;
        Self {
            serve_after_signal: args.process.stop_times().left,
            job: args.process.job_id,
            shard: args.shard,
            listen: args.listen,
            advertise: args.advertise.map(|address| watch::channel(address).1),
            master: args.master,
            goes_back: args.go_back,
            lease: Duration::from_millis(args.lease_ms.max(1)),
            bounds: args.limits.into(),
            journal: WriterSettings {
                whole_every_bytes,
                is_kept: args.durability.keep_journal,
                ..WriterSettings::default()
            },
            guards: Guards::ALL,
        }
    }
}

/// What callers may make a server hold beside the weights and the optimizer's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of chunks on their way in and out, half for each.
    pub buffer_bytes: usize,
    /// Connections, each with [`limits::CONNECTION_WINDOW_BYTES`] that its peer may fill.
    pub connections: usize,
    /// How long sent weights may stay unread.
    pub unread: Duration,
    /// Percent of the shard that may be in memory twice while a checkpoint is written.
    pub cut_memory_percent: u8,
    /// As many bytes of it in any case: a percentage of a small shard is nothing to wait for.
    pub cut_memory_bytes_min: usize,
}

impl From<ServerLimitArgs> for Bounds {
    fn from(args: ServerLimitArgs) -> Self {
        Self {
            buffer_bytes: usize::try_from(args.buffer_mib << 20).unwrap_or(usize::MAX),
            connections: args.connections as usize,
            unread: Duration::from_millis(args.unread_ms),
            cut_memory_percent: args.cut_memory,
            cut_memory_bytes_min: limits::CUT_MEMORY_BYTES_MIN,
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        DEFAULTS.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_configured_and_checked() {
        let parse = |args: &[&str]| {
            Args::try_parse_from(["ps-server", "--shard", "0"].iter().chain(args)).map(Config::from)
        };
        assert_eq!(parse(&[]).unwrap().bounds, Bounds::default());
        let given = "--buffer-mib 1 --connections 3 --unread-ms 70 --cut-memory 9";
        let given: Vec<&str> = given.split(' ').collect();
        let expected = Bounds {
            buffer_bytes: 1 << 20,
            connections: 3,
            unread: Duration::from_millis(70),
            cut_memory_percent: 9,
            cut_memory_bytes_min: limits::CUT_MEMORY_BYTES_MIN,
        };
        assert_eq!(parse(&given).unwrap().bounds, expected);
        let journal = |args: &[&str]| parse(args).unwrap().journal;
        assert_eq!(journal(&[]), WriterSettings::default());
        assert_eq!(journal(&["--journal-mib", "2"]).whole_every_bytes, 2 << 20);
        for bad in [
            "--journal-mib=0",
            "--buffer-mib=0",
            "--connections=0",
            "--unread-ms=0",
            "--cut-memory=101",
        ] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_address_that_nobody_reaches_is_not_advertised() {
        let check = |args: &[&str]| {
            let args = ["ps-server", "--shard", "0"].iter().chain(args);
            Args::try_parse_from(args).unwrap().check()
        };
        let everywhere = ["--listen", "0.0.0.0:1", "--master", "m:2"];
        assert!(check(&everywhere).unwrap_err().contains("--advertise"));
        assert!(check(&[&everywhere[..], &["--advertise", "me:1"]].concat()).is_ok());
        assert!(check(&["--listen", "0.0.0.0:1"]).is_ok());
    }
}
