//! Tells every shard who the workers are, until it has heard.

use super::event::{Event, event, passing_event};
use crate::cluster::{Cluster, shard_control};
use crate::config::Config;
use ps_core::master::{Membership, ShardMap};
use ps_proto::convert::control::membership_request;
use ps_proto::v1;
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
    outside: Outside,
    events: mpsc::Sender<Event>,
    cluster: Cluster,
    newest: watch::Sender<Membership>,
    senders: JoinSet<()>,
}

impl MembershipBroadcaster {
    /// Of a job whose servers are yet to come.
    pub(super) fn new(config: &Config, outside: &Outside, events: mpsc::Sender<Event>) -> Self {
        let (job, lease) = (config.job.clone(), config.machine.lease);
        Self {
            outside: outside.clone(),
            events,
            cluster: Cluster { job, lease, epoch: 0, links: Vec::new() },
            newest: watch::Sender::default(),
            senders: JoinSet::new(),
        }
    }

    /// The servers that were told last.
    pub(super) fn cluster(&self) -> Cluster {
        self.cluster.clone()
    }

    /// Has every shard told; an older membership that a shard has not heard is dropped.
    pub(super) fn send(&mut self, membership: Membership) -> Result<(), BadAddress> {
        if self.cluster.epoch != membership.shard_map.epoch {
            self.connect(&membership.shard_map)?;
        }
        self.newest.send_replace(membership);
        Ok(())
    }

    fn connect(&mut self, shard_map: &ShardMap) -> Result<(), BadAddress> {
        self.senders = JoinSet::new();
        self.newest = watch::Sender::default();
        self.cluster.epoch = shard_map.epoch;
        self.cluster.links.clear();
        for (shard, address) in (0..).zip(&shard_map.addresses) {
            let Outside { connector, clock, seed, .. } = &self.outside;
            let seed = seed.wrapping_add(u64::from(shard));
            let link = Arc::new(Link::new(connector, address, clock, seed)?);
            self.cluster.links.push(link.clone());
            let sender = MembershipSender {
                job: self.cluster.job.clone(),
                shard,
                link,
                newest: self.newest.subscribe(),
                events: self.events.clone(),
            };
            self.senders.spawn(sender.run());
        }
        Ok(())
    }
}

/// Tells one shard.
struct MembershipSender {
    job: String,
    shard: u32,
    link: Arc<Link>,
    newest: watch::Receiver<Membership>,
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
        let newest = self.newest.clone();
        let epoch = newest.borrow().shard_map.epoch;
        let attempt = |channel| {
            // Each attempt sends the newest there is: what it replaces needs no telling.
            let request = membership_request(&self.job, self.shard, &newest.borrow());
            async move {
                let reply = shard_control(channel).set_membership(request).await?;
                Ok(reply.into_inner())
            }
        };
        let patience = Patience { attempt: ATTEMPT, total: ROUND };
        let (shard, address) = (self.shard, self.link.address());
        let event = match self.link.call(patience, attempt, |_| ()).await {
            Ok(v1::MembershipReply { revision, token }) => passing_event(move |machine, now| {
                machine.membership_acknowledged(shard, revision, token, now);
            }),
            Err(status) if is_retryable(&status) => {
                tracing::warn!("telling shard {shard} at {address} of the workers: {status}");
                return false;
            }
            Err(status) => event(move |machine, now| {
                machine.shard_refused(shard, epoch, status.message(), now)
            }),
        };
        let _ = self.events.send(event).await;
        true
    }
}
