//! A member's side of the control plane: register, stay alive, ask for work, leave.

use crate::link::{Link, Patience};
use crate::{Outside, backoff};
use ps_core::limits::CONTROL_MESSAGE_BYTES_MAX;
use ps_core::master::CheckpointProgress;
use ps_proto::convert::check_protocol;
use ps_proto::convert::refusal::{self, Reason};
use ps_proto::v1;
use ps_proto::v1::master_client::MasterClient;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tonic::Status;
use tonic::transport::Channel;

/// How long a member looks for its master at the start.
pub const REGISTER_PATIENCE: Duration = Duration::from_secs(60);

/// One attempt of a call to the master; answers are immediate.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(2);

/// However long the lease is.
const HEARTBEAT_LONGEST: Duration = Duration::from_millis(500);

/// Why a member cannot go on with its master.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    /// The address is malformed.
    #[error(transparent)]
    Address(#[from] crate::transport::BadAddress),
    /// The master does not answer any more, or never did.
    #[error("the master at {address} is lost: {message}")]
    MasterLost { address: String, message: String },
    /// The master expired this member: it must register anew.
    #[error("the lease with the master expired: register anew")]
    Expired,
    /// The master refused for good.
    #[error("the master at {address} refused: {message}")]
    Refused { address: String, message: String },
}

/// A registered member of a job.
pub struct Member {
    link: Link,
    job: String,
    role: v1::Role,
    registered: v1::RegisterReply,
}

impl Member {
    /// Registers with the master at this address; looks for it for a while when it is not there.
    ///
    /// # Errors
    /// No answer in time, or a refusal.
    pub async fn register(
        outside: &Outside,
        address: &str,
        request: v1::RegisterRequest,
    ) -> Result<Self, Error> {
        // A master has many members: what each saves it, it saves a thousand times.
        let connector = outside.connector.gathering();
        let link = Link::new(&connector, address, &outside.clock, outside.seed)?;
        let patience = Patience { attempt: ATTEMPT, total: REGISTER_PATIENCE };
        let start = outside.clock.now();
        let mut waits = backoff::Backoff::new(ATTEMPT / 4, ATTEMPT, outside.seed);
        let registered = loop {
            let attempt = |channel| {
                let request = request.clone();
                async move { Ok(client(channel).register(request).await?.into_inner()) }
            };
            let told = AtomicBool::new(false);
            let retried = |status: &Status| {
                if !told.swap(true, Ordering::Relaxed) {
                    tracing::info!("waiting for the master at {address}: {}", status.message());
                }
            };
            match link.call(patience, attempt, retried).await {
                Ok(reply) => break reply,
                // The place may be that of a process that died: its lease ends soon.
                Err(status) if is_taken(&status) => {
                    if outside.clock.now().saturating_sub(start) >= REGISTER_PATIENCE {
                        return Err(error(address, &status));
                    }
                    tracing::info!("{}; trying again", status.message());
                    tokio::time::sleep(waits.next_wait()).await;
                }
                Err(status) => return Err(error(address, &status)),
            }
        };
        check_protocol("RegisterReply", registered.protocol)
            .map_err(|other| error(address, &other.into()))?;
        let role = request.role();
        Ok(Self { link, job: request.job, role, registered })
    }

    /// Where the master is.
    pub fn address(&self) -> &str {
        self.link.address()
    }

    /// What the master answered.
    pub fn registered(&self) -> &v1::RegisterReply {
        &self.registered
    }

    /// How often the master hears of this member: often enough for the lease, and for the end of
    /// the job, which a heartbeat brings, to be noticed soon.
    pub fn heartbeat_interval(&self) -> Duration {
        (self.lease() / 5).min(HEARTBEAT_LONGEST)
    }

    /// How long the master waits for a silent member that is no server, and such a member for a silent
    /// master.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.registered.lease_ms.max(1))
    }

    /// How long this member looks for a master that is silent: as long as the master waits for it. A server
    /// has weights that are lost with it.
    fn patience(&self) -> Duration {
        match self.role {
            v1::Role::Server => {
                self.lease().max(Duration::from_millis(self.registered.server_away_ms))
            }
            _ => self.lease(),
        }
    }

    /// One sign of life; identity is filled in.
    ///
    /// # Errors
    /// The master is lost or has expired this member.
    pub async fn heartbeat(
        &self,
        mut request: v1::HeartbeatRequest,
    ) -> Result<v1::HeartbeatReply, Error> {
        request.job.clone_from(&self.job);
        request.role = self.role.into();
        request.index = self.registered.index;
        request.incarnation = self.registered.incarnation;
        let attempt = |channel| {
            let request = request.clone();
            async move { Ok(client(channel).heartbeat(request).await?.into_inner()) }
        };
        self.call(attempt).await
    }

    /// Reports work and asks for more; identity is filled in.
    ///
    /// # Errors
    /// The master is lost or has expired this member.
    pub async fn next_task(
        &self,
        mut request: v1::NextTaskRequest,
    ) -> Result<v1::NextTaskReply, Error> {
        request.job.clone_from(&self.job);
        request.role = self.role.into();
        request.index = self.registered.index;
        request.incarnation = self.registered.incarnation;
        let attempt = |channel| {
            let request = request.clone();
            async move { Ok(client(channel).next_task(request).await?.into_inner()) }
        };
        self.call(attempt).await
    }

    async fn call<T, F>(&self, attempt: impl FnMut(Channel) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let (address, total) = (self.link.address(), self.patience());
        let patience = Patience { attempt: ATTEMPT.min(self.lease() / 5), total };
        let mut failed = 0;
        let retried = |status: &Status| {
            // One that is lost is nothing to talk about.
            failed += 1;
            if failed == 2 {
                let message = status.message();
                tracing::info!(
                    "the master at {address} is looked for, up to {total:.0?}: {message}"
                );
            }
        };
        let answer = self.link.call(patience, attempt, retried).await;
        answer.map_err(|status| error(address, &status))
    }
}

/// Tells the master at this address why a host cannot do its part, and which workers have ended for it; the job fails with
/// that reason.
///
/// # Errors
/// The master does not answer, or refuses.
pub async fn report_failure(
    outside: &Outside,
    address: &str,
    job: &str,
    reason: &str,
    ended_workers: Vec<u32>,
) -> Result<(), Error> {
    let link = Link::new(&outside.connector, address, &outside.clock, outside.seed)?;
    let patience = Patience { attempt: ATTEMPT, total: ATTEMPT };
    let attempt = |channel| {
        let (job, reason) = (job.to_owned(), reason.to_owned());
        let report = v1::FailureReport { job, reason, ended_workers: ended_workers.clone() };
        async move { client(channel).report_failure(report).await.map(drop) }
    };
    link.call(patience, attempt, |_| ()).await.map_err(|status| error(address, &status))
}

/// Members that have ended, as who started them says.
#[derive(Clone, Debug, Default)]
pub struct Ended {
    /// Ranks of workers.
    pub workers: Vec<u32>,
    /// Places of evaluators.
    pub evaluators: Vec<u32>,
    /// Shards of servers that nobody starts again.
    pub servers: Vec<u32>,
    /// How they ended, as what follows `it`: "was killed by signal 9".
    pub how: String,
}

/// Tells the master at this address that processes have ended: what becomes of the job is for it to say.
///
/// # Errors
/// The master does not answer, or refuses.
pub async fn report_ended(
    outside: &Outside,
    address: &str,
    job: &str,
    Ended { workers, evaluators, servers, how }: Ended,
) -> Result<(), Error> {
    let report = v1::EndedReport { job: job.to_owned(), workers, evaluators, servers, how };
    let link = Link::new(&outside.connector, address, &outside.clock, outside.seed)?;
    let patience = Patience { attempt: ATTEMPT, total: ATTEMPT };
    let attempt = |channel| {
        let report = report.clone();
        async move { client(channel).report_ended(report).await.map(drop) }
    };
    link.call(patience, attempt, |_| ()).await.map_err(|status| error(address, &status))
}

/// Has the master at this address write a checkpoint now, or, with its number, says how far that is.
///
/// # Errors
/// The master does not answer, or refuses.
pub async fn checkpoint_now(
    outside: &Outside,
    address: &str,
    job: &str,
    number: Option<u64>,
) -> Result<(u64, CheckpointProgress), Error> {
    let link = Link::new(&outside.connector, address, &outside.clock, outside.seed)?;
    let patience = Patience { attempt: ATTEMPT, total: ATTEMPT };
    let attempt = |channel| {
        let (job, number) = (job.to_owned(), number.unwrap_or(0));
        let request = v1::CheckpointNowRequest { job, number };
        async move { client(channel).checkpoint_now(request).await }
    };
    let reply = link.call(patience, attempt, |_| ()).await;
    let reply = reply.map_err(|status| error(address, &status))?.into_inner();
    reply.try_into().map_err(|wrong: ps_proto::convert::Error| {
        let (address, message) = (address.to_owned(), wrong.to_string());
        Error::Refused { address, message }
    })
}

/// How often the master hears that data are being loaded: it takes who is silent for a start's time-out
/// for missing.
const LOADING_INTERVAL: Duration = Duration::from_secs(2);

/// Tells the master at this address that a process that `caller` names has not read its data yet, again
/// and again until this is dropped. A master that does not answer is not there yet, or no more: who has
/// read its data finds out.
pub async fn report_loading(
    outside: &Outside,
    address: &str,
    job: &str,
    role: v1::Role,
    caller: &str,
) -> std::convert::Infallible {
    let link = Link::new(&outside.connector, address, &outside.clock, outside.seed);
    let patience = Patience { attempt: ATTEMPT, total: ATTEMPT };
    loop {
        let attempt = |channel| {
            let (job, address) = (job.to_owned(), caller.to_owned());
            let report = v1::LoadingReport { job, address, role: role.into() };
            async move { client(channel).report_loading(report).await.map(drop) }
        };
        // A malformed address is named when the process registers.
        if let Ok(link) = &link {
            let _ = link.call(patience, attempt, |_| ()).await;
        }
        tokio::time::sleep(LOADING_INTERVAL).await;
    }
}

pub(crate) fn client(channel: Channel) -> MasterClient<Channel> {
    MasterClient::new(channel).max_decoding_message_size(CONTROL_MESSAGE_BYTES_MAX)
}

fn is_taken(status: &Status) -> bool {
    refusal::from_status(status).is_some_and(|refusal| refusal.reason() == Reason::Taken)
}

pub(crate) fn error(address: &str, status: &Status) -> Error {
    let (address, message) = (address.to_owned(), status.message().to_owned());
    match refusal::from_status(status).map(|refusal| refusal.reason()) {
        Some(Reason::StaleIncarnation) => Error::Expired,
        Some(_) => Error::Refused { address, message },
        None if crate::link::is_retryable(status) => Error::MasterLost { address, message },
        None => Error::Refused { address, message },
    }
}
