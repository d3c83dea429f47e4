//! `TF_CONFIG`: who is where in a cluster, and who this process is, as Kubeflow's TFJob and
//! SageMaker's TensorFlow container write it.

use super::Error;
use crate::host::address;
use crate::host::layout::Layout;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Workers that may come where the cluster does not list them all: the sparse form shows each
/// worker only itself.
const DYNAMIC_WORKERS: u32 = 64;

/// What a task of the cluster is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum TaskType {
    Chief,
    Server,
    Worker,
    Evaluator,
}

impl TaskType {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "chief" | "master" => Self::Chief,
            "ps" => Self::Server,
            "worker" => Self::Worker,
            "evaluator" => Self::Evaluator,
            _ => return None,
        })
    }
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Address {
    host: String,
    port: u16,
}

/// A cluster and this process's place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    tasks: BTreeMap<TaskType, BTreeMap<u32, Address>>,
    /// Workers are listed in the sparse form.
    is_dynamic: bool,
    chief: Address,
    task_type: TaskType,
    index: u32,
    me: Address,
}

impl Cluster {
    /// Reads the variable's content; an evaluator that it does not list is called `own_name`.
    ///
    /// # Errors
    /// It is no such JSON, has no master or no server, or this task is not in it.
    pub fn read(text: &str, own_name: &str) -> Result<Self, Error> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| wrong(format!("expected a JSON object: {error}")))?;
        if value.get("sparseCluster").is_some() {
            return Err(wrong(
                "a `sparseCluster` (a TFJob with enableDynamicWorker) names no chief and shows a \
                 server only itself, so that nobody could say who coordinates: leave \
                 enableDynamicWorker out",
            ));
        }
        let cluster = value.get("cluster").and_then(Value::as_object);
        let cluster = cluster.ok_or_else(|| wrong("expected a JSON object with `cluster`"))?;
        let tasks = tasks(cluster)?;
        let chief = tasks.get(&TaskType::Chief).and_then(|chiefs| chiefs.values().next()).cloned();
        let chief = chief.ok_or_else(|| {
            wrong("the cluster has no `chief` and no `master`: one task must coordinate")
        })?;
        if tasks.get(&TaskType::Server).is_none_or(BTreeMap::is_empty) {
            return Err(wrong("the cluster has no `ps`: at least one task must hold the weights"));
        }
        let task = value.get("task").and_then(Value::as_object);
        let task = task.ok_or_else(|| wrong("expected `task` with `type` and `index`"))?;
        let word = task.get("type").and_then(Value::as_str).unwrap_or_default();
        let task_type = TaskType::of(word).ok_or_else(|| wrong(unknown(word)))?;
        let index = task.get("index").map_or(Some(0), number).ok_or_else(|| {
            wrong(format!("task index: expected a number from 0, found {}", task["index"]))
        })?;
        // Kubeflow keeps evaluators out of the cluster: nobody calls them.
        let unlisted = (task_type == TaskType::Evaluator)
            .then(|| Address { host: own_name.to_owned(), port: 0 });
        let me = tasks.get(&task_type).and_then(|listed| listed.get(&index)).cloned().or(unlisted);
        let me =
            me.ok_or_else(|| wrong(format!("the cluster lists no {word} {index}, this task")))?;
        let is_dynamic = cluster.get("worker").is_some_and(Value::is_object);
        Ok(Self { tasks, is_dynamic, chief, task_type, index, me })
    }

    /// What this host is called.
    pub fn host(&self) -> &str {
        &self.me.host
    }

    /// Where the master listens.
    pub fn master_port(&self) -> u16 {
        self.chief.port
    }

    /// Where the server of this host is said to listen.
    pub fn server_port(&self) -> Option<u16> {
        Some(self.tasks.get(&TaskType::Server)?.get(&self.shard()?)?.port)
    }

    /// The shard of the server that runs here: this task's own, or, where servers share the hosts of
    /// the other tasks, the one of this host.
    fn shard(&self) -> Option<u32> {
        match self.task_type {
            TaskType::Server => Some(self.index),
            TaskType::Chief | TaskType::Worker if self.shares_hosts() => {
                let mut servers = self.tasks.get(&TaskType::Server)?.iter();
                servers.find(|(_, server)| server.host == self.me.host).map(|(index, _)| *index)
            }
            _ => None,
        }
    }

    /// Whether every host of a chief or worker has a server, and no other host has one, as in
    /// SageMaker's TensorFlow container: there nobody else starts the server.
    fn shares_hosts(&self) -> bool {
        let hosts =
            |task_type: TaskType| self.tasks.get(&task_type).into_iter().flat_map(BTreeMap::values);
        let servers: Vec<&str> = hosts(TaskType::Server).map(|task| task.host.as_str()).collect();
        let others = hosts(TaskType::Chief).chain(hosts(TaskType::Worker));
        let others: Vec<&str> = others.map(|task| task.host.as_str()).collect();
        let set =
            |list: &[&str]| list.iter().map(|host| (*host).to_owned()).collect::<BTreeSet<_>>();
        servers.len() == others.len()
            && set(&servers).len() == servers.len()
            && set(&servers) == set(&others)
    }

    /// This process's part of the job.
    ///
    /// # Errors
    /// An index that no job can have.
    pub fn layout(&self, master_trains: bool) -> Result<Layout, String> {
        let count = |task_type| {
            self.tasks.get(&task_type).and_then(|tasks| tasks.keys().last()).map(|last| last + 1)
        };
        let servers = count(TaskType::Server).unwrap_or(0);
        let listed = count(TaskType::Worker).unwrap_or(0);
        let listed = if self.is_dynamic { listed.max(DYNAMIC_WORKERS) } else { listed };
        // Somebody has to train.
        let chief_trains = master_trains || listed == 0;
        let is_chief = self.task_type == TaskType::Chief;
        let rank = match self.task_type {
            TaskType::Worker => Some(self.index),
            TaskType::Chief if chief_trains => Some(listed),
            _ => None,
        };
        let has_evaluators =
            self.tasks.get(&TaskType::Evaluator).is_some_and(|all| !all.is_empty());
        Ok(Layout {
            servers,
            workers: listed + u32::from(chief_trains),
            host: self.me.host.clone(),
            master_host: self.chief.host.clone(),
            has_master: is_chief,
            has_evaluator: self.task_type == TaskType::Evaluator || (is_chief && !has_evaluators),
            shard: self.shard(),
            rank,
            workers_each: 1,
            is_alone: false,
        })
    }
}

fn wrong(message: impl std::fmt::Display) -> Error {
    Error::new(format!("reading TF_CONFIG: {message}"))
}

fn unknown(word: &str) -> String {
    format!("task type: expected chief, master, ps, worker or evaluator, found `{word}`")
}

/// All tasks, from lists or, in the sparse form, from objects with indices as keys.
fn tasks(
    cluster: &Map<String, Value>,
) -> Result<BTreeMap<TaskType, BTreeMap<u32, Address>>, Error> {
    let mut tasks: BTreeMap<TaskType, BTreeMap<u32, Address>> = BTreeMap::new();
    for (word, listed) in cluster {
        let task_type = TaskType::of(word).ok_or_else(|| wrong(unknown(word)))?;
        let entries: Vec<(Option<u32>, &Value)> = match listed {
            Value::Array(list) => (0..).map(Some).zip(list).collect(),
            Value::Object(sparse) => {
                sparse.iter().map(|(key, it)| (key.parse().ok(), it)).collect()
            }
            other => return Err(wrong(format!("{word}: expected a list, found {other}"))),
        };
        for (index, entry) in entries {
            let address = entry.as_str().and_then(address);
            let (Some(index), Some(address)) =
                (index.filter(|index| *index < u32::MAX / 2), address)
            else {
                return Err(wrong(format!("{word}: expected HOST:PORT by number, found {entry}")));
            };
            tasks.entry(task_type).or_default().insert(index, address);
        }
    }
    Ok(tasks)
}

fn address(text: &str) -> Option<Address> {
    let (host, port) = address::split(text)?;
    Some(Address { host: host.to_owned(), port })
}

fn number(value: &Value) -> Option<u32> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64()?.try_into().ok(),
    }
}

#[cfg(test)]
mod tests;
