//! A server with a master: it registers, stays alive, comes back after a silence, and leaves when the master
//! lets it.

use crate::config::Config;
use crate::error::Error;
use crate::journal::JournalFiles;
use ps_core::shard::Shard;
use ps_proto::{PROTOCOL, v1};
use ps_runtime::advertise::advertised;
use ps_runtime::health::{Health, ServingStatus};
use ps_runtime::member::{self, Member};
use ps_runtime::{Outside, Shutdown, Signal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// Where a server and its master are.
pub(crate) struct Place {
    pub(crate) master: String,
    /// Where the server listens.
    pub(crate) bound: String,
    /// Whether it goes on for a process before it, should there have been one: with all that that one had acknowledged, or, where it
    /// goes back to a checkpoint, with nothing yet.
    pub(crate) is_successor: bool,
    /// To be set once the master has taken it in: nobody starts its shard before.
    pub(crate) is_member: Arc<AtomicBool>,
}

/// How a server ended that has a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The master let it leave: nobody needs what it holds any more. With this exit code.
    Released(u8),
    /// The same for now: the job goes on from what it keeps. With this exit code.
    Suspended(u8),
    /// It was told to end, and the master said nothing. With this exit code.
    Alone(u8),
}

impl End {
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Released(code) | Self::Suspended(code) | Self::Alone(code) => code,
        }
    }
}

/// Stays registered until the master says leave, or the time after a signal is over.
pub(crate) async fn run(
    config: &Config,
    place: Place,
    (shard, journal): (&Shard, Option<&JournalFiles>),
    outside: &Outside,
    shutdown: Shutdown,
    health: &Health,
) -> Result<End, Error> {
    let advertise = config.advertise.clone();
    let end = None;
    let mut member =
        ManagedServer { config, place, advertise, shard, journal, outside, shutdown, end };
    loop {
        let registered = match member.register().await {
            Some(registered) => registered.map_err(|error| member.failed(error))?,
            None => return Ok(End::Alone(member.exit_code())),
        };
        // A member that was here before is no other process any more.
        member.place.is_successor = false;
        member.place.is_member.store(true, Ordering::Release);
        // For good: also after a signal it serves until the master has saved.
        health.set(ServingStatus::Serving).await;
        if let Some(end) = member.beat(&registered).await? {
            return Ok(end);
        }
    }
}

/// What a server is to its master.
struct ManagedServer<'a> {
    config: &'a Config,
    place: Place,
    advertise: Option<watch::Receiver<String>>,
    shard: &'a Shard,
    journal: Option<&'a JournalFiles>,
    outside: &'a Outside,
    shutdown: Shutdown,
    /// The signal that it was given, and until when it serves.
    end: Option<(Signal, Duration)>,
}

impl ManagedServer<'_> {
    fn failed(&self, error: member::Error) -> Error {
        Error::Master { shard: self.config.shard, error }
    }

    fn exit_code(&self) -> u8 {
        let signal = self.end.map(|(signal, _)| signal).or(self.shutdown.signal());
        signal.map_or(0, Signal::exit_code)
    }

    /// Whether it has a model that the next process here will have as well: who says so and comes back empty has lost it. A start
    /// that is not written down yet was not acknowledged, and comes again.
    fn holds_weights(&self) -> bool {
        let is_kept = self.journal.is_none_or(JournalFiles::is_founded);
        is_kept && self.shard.model().is_some()
    }

    /// Registers, with what it holds if it was here before; `None` when a signal came, or its time is over.
    async fn register(&mut self) -> Option<Result<Member, member::Error>> {
        let request = self.registration();
        let register = Member::register(self.outside, &self.place.master, request);
        match self.end {
            Some((_, deadline)) => {
                let left = deadline.saturating_sub(self.outside.clock.now());
                tokio::time::timeout(left, register).await.ok()
            }
            None => tokio::select! {
                biased;
                registered = register => Some(registered),
                _ = self.shutdown.wait() => None,
            },
        }
    }

    fn registration(&mut self) -> v1::RegisterRequest {
        let advertise = self.advertise.as_mut().map(|address| address.borrow_and_update().clone());
        v1::RegisterRequest {
            job: self.config.job.clone(),
            role: v1::Role::Server.into(),
            token: self.outside.seed,
            index: Some(self.config.shard),
            address: advertised(advertise.as_deref(), &self.place.bound),
            highest: self.shard.highest(),
            protocol: PROTOCOL,
            life: self.shard.life(),
            holds_weights: self.holds_weights(),
            recovered: self.place.is_successor && !self.config.goes_back,
            goes_back: self.place.is_successor && self.config.goes_back,
            ..v1::RegisterRequest::default()
        }
    }

    /// Beats until it may leave, with what; `None`: it is to register anew.
    async fn beat(&mut self, member: &Member) -> Result<Option<End>, Error> {
        loop {
            tokio::select! {
                biased;
                () = tokio::time::sleep(member.heartbeat_interval()) => (),
                () = moved(&mut self.advertise) => return Ok(None),
                signal = self.shutdown.wait(), if self.end.is_none() => self.signalled(signal),
            }
            let leaving = self.end.is_some();
            let parent_gone = matches!(self.end, Some((Signal::ParentGone, _)));
            let clock = self.shard.worker_counts().iter().map(|(_, counts)| counts.steps).sum();
            let beat = v1::HeartbeatRequest {
                leaving,
                parent_gone,
                clock,
                holds_weights: self.holds_weights(),
                updates: self.shard.model().map_or(0, |model| model.updates()),
                ..Default::default()
            };
            let answer = tokio::select! {
                biased;
                answer = member.heartbeat(beat) => answer,
                () = moved(&mut self.advertise) => return Ok(None),
                () = until(self.outside, self.end) => return Ok(Some(End::Alone(self.exit_code()))),
                signal = self.shutdown.wait(), if self.end.is_none() => {
                    self.signalled(signal);
                    continue;
                }
            };
            match answer {
                Ok(v1::HeartbeatReply { leave: Some(leave), .. }) => {
                    return left(self.config.shard, leave).map(Some);
                }
                Ok(_) => (),
                Err(_) if leaving => return Ok(Some(End::Alone(self.exit_code()))),
                Err(member::Error::Expired) => {
                    let shard = self.config.shard;
                    tracing::info!("shard {shard} is no member any more: it registers anew");
                    return Ok(None);
                }
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    fn signalled(&mut self, signal: Signal) {
        // Until the master has saved it serves on, at most this long.
        self.end = Some((signal, self.outside.clock.now() + self.config.serve_after_signal));
    }
}

/// Waits until others reach the server at another address.
async fn moved(advertise: &mut Option<watch::Receiver<String>>) {
    if let Some(address) = advertise
        && address.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// Waits until the time after a signal is over.
async fn until(outside: &Outside, end: Option<(Signal, Duration)>) {
    match end {
        Some((_, deadline)) => {
            tokio::time::sleep(deadline.saturating_sub(outside.clock.now())).await;
        }
        None => std::future::pending().await,
    }
}

fn left(shard: u32, leave: v1::Leave) -> Result<End, Error> {
    let v1::Leave { reason, goes_on, .. } = leave;
    match u8::try_from(leave.exit_code).unwrap_or(1) {
        1 => Err(Error::JobFailed { shard, reason, goes_on }),
        code if goes_on => Ok(End::Suspended(code)),
        code => Ok(End::Released(code)),
    }
}
