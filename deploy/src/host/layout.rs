//! From the hosts of a job to what this host does; pure.

use crate::contract::resources::Resources;
use ps_core::limits::WORKERS_MAX;
use std::collections::BTreeSet;
use std::ops::Range;

/// What this host does in the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Servers of the job.
    pub servers: u32,
    /// Workers of the job that may come.
    pub workers: u32,
    /// How others call this host.
    pub host: String,
    /// How this host and others call the master's host.
    pub master_host: String,
    /// The master runs here.
    pub has_master: bool,
    /// The evaluator runs here.
    pub has_evaluator: bool,
    /// The shard of the server that runs here.
    pub shard: Option<u32>,
    /// The rank of the worker that runs here, or of several the first.
    pub rank: Option<u32>,
    /// How many workers each host has that has any.
    pub workers_each: u32,
    /// Whether everything is on this host.
    pub is_alone: bool,
}

/// What decides the layout beside the hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// The master's host has a worker, too.
    pub master_trains: bool,
    /// Instance groups with servers; all hosts where there are none.
    pub server_groups: Vec<String>,
    /// Instance groups with workers; all hosts where there are none.
    pub worker_groups: Vec<String>,
}

impl Layout {
    /// The host's part: hosts are sorted as text, the first with a server is master and evaluator
    /// and has shard 0, the others have the next shards, and each but the master's a worker.
    ///
    /// # Errors
    /// A group that does not exist, or a host without anything to do, in words.
    pub fn new(resources: &Resources, wishes: &Wishes) -> Result<Self, String> {
        let servers = chosen(resources, "server-groups", &wishes.server_groups)?;
        let willing = chosen(resources, "worker-groups", &wishes.worker_groups)?;
        let master = servers.first().ok_or("no host has a server")?;
        let mut workers: Vec<&String> = willing.clone();
        if !wishes.master_trains {
            workers.retain(|host| host != master);
        }
        // Somebody has to train.
        if workers.is_empty() {
            workers = vec![willing.first().copied().unwrap_or(master)];
        }
        let host = &resources.current_host;
        let position = |list: &[&String]| {
            let found = list.iter().position(|listed| *listed == host)?;
            u32::try_from(found).ok()
        };
        let layout = Self {
            servers: count(servers.len())?,
            workers: count(workers.len())?,
            host: host.clone(),
            master_host: (*master).clone(),
            has_master: host == *master,
            has_evaluator: host == *master,
            shard: position(&servers),
            rank: position(&workers),
            workers_each: 1,
            is_alone: resources.hosts.len() == 1,
        };
        match (layout.shard, layout.rank) {
            (None, None) => Err(format!(
                "host {host} has nothing to do: its instance group is in neither server-groups nor \
                 worker-groups; name every group in one of them"
            )),
            _ => Ok(layout),
        }
    }

    /// The same with so many workers on each host that has one.
    ///
    /// # Errors
    /// More than a job may have, in words.
    pub fn with_workers_each(self, each: u32) -> Result<Self, String> {
        let workers = self.workers.checked_mul(each).filter(|workers| *workers <= WORKERS_MAX);
        let workers = workers.ok_or_else(|| {
            let hosts = self.workers;
            format!("workers-per-instance {each}: on {hosts} hosts that is more than {WORKERS_MAX} workers")
        })?;
        let rank = self.rank.map(|host| host * each);
        Ok(Self { workers, rank, workers_each: each, ..self })
    }

    /// The ranks of the workers that run here.
    pub fn ranks(&self) -> Range<u32> {
        match self.rank {
            Some(first) => first..first + self.workers_each,
            None => 0..0,
        }
    }

    /// For people: who does what.
    pub fn describe(&self) -> String {
        let here = [
            self.has_master.then(|| "the master".to_owned()),
            self.shard.map(|shard| format!("server {shard}")),
            self.has_evaluator.then(|| "the evaluator".to_owned()),
        ];
        let ranks = self.ranks().map(|rank| Some(format!("worker {rank}")));
        let here: Vec<String> = here.into_iter().chain(ranks).flatten().collect();
        let (servers, workers) = (plural(self.servers, "server"), plural(self.workers, "worker"));
        format!(
            "{servers}, {workers}; master on {}; here ({}): {}",
            self.master_host,
            self.host,
            here.join(", ")
        )
    }
}

fn plural(count: u32, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn count(hosts: usize) -> Result<u32, String> {
    u32::try_from(hosts).map_err(|_| format!("{hosts} hosts are too many"))
}

/// The hosts of these groups in order; all where no group is named.
fn chosen<'a>(
    resources: &'a Resources,
    option: &str,
    groups: &[String],
) -> Result<Vec<&'a String>, String> {
    if groups.is_empty() {
        return Ok(resources.hosts.iter().collect());
    }
    let mut hosts = BTreeSet::new();
    for group in groups {
        let members = resources.groups.get(group).ok_or_else(|| {
            let known: Vec<&str> = resources.groups.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            format!("{option}: no instance group is named `{group}`; this job has: {known}")
        })?;
        hosts.extend(members);
    }
    Ok(hosts.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resources(hosts: &[&str], current: &str) -> Resources {
        Resources::of(hosts.iter().map(|host| (*host).to_owned()).collect(), current)
    }

    fn layout(hosts: &[&str], current: &str, wishes: &Wishes) -> Layout {
        Layout::new(&resources(hosts, current), wishes).unwrap()
    }

    #[test]
    fn numbers_in_names_mean_nothing() {
        let hosts = ["algo-2", "algo-10", "algo-1"];
        let first = layout(&hosts, "algo-1", &Wishes::default());
        assert!(first.has_master && first.has_evaluator);
        assert_eq!((first.servers, first.workers), (3, 2));
        assert_eq!((first.shard, first.rank), (Some(0), None));
        let second = layout(&hosts, "algo-10", &Wishes::default());
        assert_eq!((second.shard, second.rank), (Some(1), Some(0)));
        assert_eq!(second.master_host, "algo-1");
        let third = layout(&hosts, "algo-2", &Wishes::default());
        assert_eq!((third.shard, third.rank), (Some(2), Some(1)));
    }

    #[test]
    fn one_host_has_everything() {
        let alone = layout(&["algo-1-x8k2p"], "algo-1-x8k2p", &Wishes::default());
        assert!(alone.has_master && alone.has_evaluator && alone.is_alone);
        assert_eq!((alone.shard, alone.rank), (Some(0), Some(0)));
        assert_eq!((alone.servers, alone.workers), (1, 1));
    }

    #[test]
    fn a_master_that_trains_shifts_the_ranks() {
        let wishes = Wishes { master_trains: true, ..Wishes::default() };
        let ranks = ["a", "b", "c"].map(|host| layout(&["a", "b", "c"], host, &wishes).rank);
        assert_eq!(ranks, [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn groups_say_where_servers_and_workers_are() {
        let groups = |current: &str| {
            let mut all = resources(&["h1", "h2", "h3", "h4"], current);
            all.groups.insert("cpu".into(), vec!["h2".into(), "h3".into()]);
            all.groups.insert("gpu".into(), vec!["h1".into(), "h4".into()]);
            all
        };
        let wishes = Wishes {
            server_groups: vec!["cpu".into()],
            worker_groups: vec!["gpu".into()],
            ..Wishes::default()
        };
        let of = |host: &str| Layout::new(&groups(host), &wishes).unwrap();
        assert!(of("h2").has_master && !of("h1").has_master);
        assert_eq!((of("h2").shard, of("h2").rank), (Some(0), None));
        assert_eq!((of("h3").shard, of("h3").rank), (Some(1), None));
        assert_eq!((of("h1").shard, of("h1").rank), (None, Some(0)));
        assert_eq!((of("h4").shard, of("h4").rank), (None, Some(1)));
        let typo = Wishes { server_groups: vec!["cpus".into()], ..Wishes::default() };
        let error = Layout::new(&groups("h1"), &typo).unwrap_err();
        assert!(error.contains("cpus") && error.contains("cpu, gpu"), "{error}");
        let both = Wishes {
            server_groups: vec!["cpu".into()],
            worker_groups: vec!["cpu".into()],
            ..Wishes::default()
        };
        assert!(Layout::new(&groups("h1"), &both).unwrap_err().contains("nothing to do"));
    }

    #[test]
    fn a_host_may_have_several_workers() {
        let hosts = ["a", "b", "c"];
        let of = |host| layout(&hosts, host, &Wishes::default()).with_workers_each(2).unwrap();
        assert_eq!((of("a").ranks(), of("a").workers), (0..0, 4));
        assert_eq!((of("b").ranks(), of("c").ranks()), (0..2, 2..4));
        assert!(of("c").describe().contains("server 2, worker 2, worker 3"), "{:?}", of("c"));
        let many = layout(&hosts, "a", &Wishes::default()).with_workers_each(WORKERS_MAX);
        assert!(many.unwrap_err().contains("workers-per-instance"));
    }

    proptest! {
        /// Whatever the hosts are called and in whatever order they are told: all agree on the
        /// master, shards and ranks are 0.. without holes, and each host has a server.
        #[test]
        fn all_hosts_agree(hosts in prop::collection::btree_set("[a-z0-9-]{1,12}", 1..9),
                           master_trains: bool, turn in 0..9_usize, each in 1..9_u32) {
            let mut told: Vec<&str> = hosts.iter().map(String::as_str).collect();
            let turn = turn % told.len();
            told.rotate_left(turn);
            let wishes = Wishes { master_trains, ..Wishes::default() };
            let layouts: Vec<Layout> = hosts
                .iter()
                .map(|host| layout(&told, host, &wishes).with_workers_each(each).unwrap())
                .collect();
            let masters = layouts.iter().filter(|layout| layout.has_master).count();
            prop_assert_eq!(masters, 1);
            let shards: Vec<_> = layouts.iter().filter_map(|layout| layout.shard).collect();
            prop_assert_eq!(shards, (0..layouts[0].servers).collect::<Vec<_>>());
            let ranks: Vec<_> = layouts.iter().flat_map(Layout::ranks).collect();
            prop_assert_eq!(ranks, (0..layouts[0].workers).collect::<Vec<_>>());
            let expected = if master_trains { hosts.len() } else { (hosts.len() - 1).max(1) };
            prop_assert_eq!(layouts[0].workers as usize, expected * each as usize);
            for layout in &layouts {
                prop_assert_eq!(&layout.master_host, hosts.first().unwrap());
            }
        }
    }
}
