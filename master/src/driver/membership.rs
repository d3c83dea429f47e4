//! Tells every shard who the workers are, until it has heard.

use super::event::Event;
use ps_core::limits::CONTROL_MESSAGE_BYTES_MAX;
use ps_core::master::{Membership, ShardMap};
use ps_proto::convert::control::membership_request;
use ps_proto::v1::shard_control_client::ShardControlClient;
use ps_runtime::Outside;
use ps_runtime::link::{Link, Patience, is_retryable};
use ps_runtime::transport::BadAddress;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// One attempt; a shard answers at once.
const ATTEMPT: Duration = Duration::from_secs(2);

/// How long one round of attempts lasts; then it is logged and the next one begins. Whether the
/// server is dead is for its lease to say.
const ROUND: Duration = Duration::from_secs(10);

/// The servers of the present shard map, and the tasks that tell them.
pub(super) struct MembershipBroadcaster {
    job: String,
    outside: Outside,
    events: mpsc::Sender<Event>,
    shard_map: Option<ShardMap>,
    links: Vec<Arc<Link>>,
    newest: watch::Sender<Option<Membership>>,
    senders: JoinSet<()>,
}

impl MembershipBroadcaster {
    pub(super) fn new(job: &str, outside: &Outside, events: mpsc::Sender<Event>) -> Self {
        Self {
            job: job.to_owned(),
            outside: outside.clone(),
            events,
            shard_map: None,
            links: Vec::new(),
            newest: watch::channel(None).0,
            senders: JoinSet::new(),
        }
    }

    /// Connections to the shards, in their order.
    pub(super) fn links(&self) -> &[Arc<Link>] {
        &self.links
    }

    /// Has every shard told; an older membership that a shard has not heard is dropped.
    pub(super) fn send(&mut self, membership: Membership) -> Result<(), BadAddress> {
        if self.shard_map.as_ref() != Some(&membership.shard_map) {
            self.connect(&membership.shard_map)?;
        }
        self.newest.send_replace(Some(membership));
        Ok(())
    }

    fn connect(&mut self, shard_map: &ShardMap) -> Result<(), BadAddress> {
        self.senders = JoinSet::new();
        self.newest = watch::channel(None).0;
        self.links.clear();
        for (shard, address) in (0..).zip(&shard_map.addresses) {
            let Outside { connector, clock, seed, .. } = &self.outside;
            let link = Arc::new(Link::new(connector, address, clock, seed.wrapping_add(shard))?);
            self.links.push(link.clone());
            let sender = MembershipSender {
                job: self.job.clone(),
                shard: shard as u32,
                link,
                newest: self.newest.subscribe(),
                events: self.events.clone(),
            };
            self.senders.spawn(sender.run());
        }
        self.shard_map = Some(shard_map.clone());
        Ok(())
    }
}

/// Tells one shard.
struct MembershipSender {
    job: String,
    shard: u32,
    link: Arc<Link>,
    newest: watch::Receiver<Option<Membership>>,
    events: mpsc::Sender<Event>,
}

impl MembershipSender {
    async fn run(mut self) {
        while self.newest.changed().await.is_ok() {
            while !self.send_newest().await {}
        }
    }

    /// Whether the shard needs to hear no more for now.
    async fn send_newest(&mut self) -> bool {
        let told = self.newest.clone();
        let attempt = |channel| {
            // Each attempt sends the newest there is: what it replaces needs no telling.
            let request =
                told.borrow().as_ref().map(|m| membership_request(&self.job, self.shard, m));
            async move {
                let mut client = ShardControlClient::new(channel)
                    .max_decoding_message_size(CONTROL_MESSAGE_BYTES_MAX);
                match request {
                    Some(request) => {
                        Ok(client.set_membership(request).await?.into_inner().revision)
                    }
                    None => Ok(0),
                }
            }
        };
        let patience = Patience { attempt: ATTEMPT, total: ROUND, waits: false };
        let (shard, address) = (self.shard, self.link.address());
        match self.link.call(patience, attempt, |_| ()).await {
            Ok(revision) => {
                let _ = self.events.send(Event::MembershipAcknowledged { shard, revision }).await;
                true
            }
            Err(status) if is_retryable(&status) => {
                tracing::warn!("telling shard {shard} at {address} of the workers: {status}");
                false
            }
            Err(status) => {
                let message = status.message().to_owned();
                let _ = self.events.send(Event::ShardRefused { shard, message }).await;
                true
            }
        }
    }
}
