//! A master on a loopback port, with servers and members that are only what the master sees of them.

mod data_plane;

use futures_util::Stream;
use ps_core::checkpoint::{File, names};
use ps_core::master::Config as MachineConfig;
use ps_core::settings::TrainingSettings;
use ps_core::{DataDescription, Layout, TensorSpec};
use ps_master::Config;
use ps_proto::v1;
use ps_proto::v1::data_plane_server::DataPlaneServer;
use ps_proto::v1::shard_control_server::{ShardControl, ShardControlServer};
use ps_runtime::files::{FileStore, Files, SimulatedDisk};
use ps_runtime::member::{self, Member};
use ps_runtime::shutdown::ShutdownTrigger;
use ps_runtime::{Connector, Outside, Shutdown, SystemClock};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status};

pub(crate) const JOB: &str = "job";
pub(crate) const SAMPLES: u64 = 200;

pub(crate) fn settings(passes: u64) -> TrainingSettings {
    TrainingSettings { passes, batch_size: 10, ..TrainingSettings::default() }
}

pub(crate) fn layout() -> Layout {
    let tensors = vec![TensorSpec::trainable("w", [30, 40]), TensorSpec::trainable("b", [5])];
    Layout::new(tensors).unwrap()
}

/// The weights on the servers: 0, 1, 2, ...
pub(crate) fn weights() -> Vec<f32> {
    (0..layout().elements() as u32).map(|i| i as f32).collect()
}

pub(crate) fn digest() -> u32 {
    let bytes: Vec<u8> = weights().iter().flat_map(|w| w.to_le_bytes()).collect();
    crc32fast::hash(&bytes)
}

pub(crate) fn outside(seed: u64) -> (Outside, Arc<Mutex<Vec<String>>>) {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = lines.clone();
    let outside = Outside {
        connector: Connector::tcp(),
        clock: SystemClock::start(),
        seed,
        metrics: Arc::new(move |line: &str| sink.lock().unwrap().push(line.to_owned())),
    };
    (outside, lines)
}

/// A running master.
pub(crate) struct Job {
    pub(crate) address: String,
    pub(crate) lines: Arc<Mutex<Vec<String>>>,
    pub(crate) files: SimulatedDisk,
    /// Where checkpoints are, of the master and of all servers.
    pub(crate) folder: SimulatedDisk,
    pub(crate) trigger: ShutdownTrigger,
    pub(crate) master: JoinHandle<Result<u8, ps_master::Error>>,
}

impl Job {
    pub(crate) async fn start(servers: u32, workers: u32, passes: u64) -> Self {
        Self::launch(servers, workers, settings(passes), None).await
    }

    /// A job that writes checkpoints to this folder, or goes on from what is there.
    pub(crate) async fn go_on(
        servers: u32,
        settings: TrainingSettings,
        folder: &SimulatedDisk,
    ) -> Self {
        Self::launch(servers, 1, settings, Some(folder.clone())).await
    }

    async fn launch(
        servers: u32,
        workers: u32,
        settings: TrainingSettings,
        checkpoints: Option<SimulatedDisk>,
    ) -> Self {
        let (incoming, address) = ps_runtime::transport::listen("127.0.0.1:0").await.unwrap();
        let address = address.to_string();
        let mut config = Config::new(JOB, servers, workers, settings);
        let (lease, server_away) = (Duration::from_millis(1500), Duration::from_secs(3));
        config.machine = MachineConfig { lease, server_away, ..config.machine };
        let (outside, lines) = outside(1);
        let (trigger, shutdown) = Shutdown::new();
        let files = SimulatedDisk::default();
        let store = Arc::new(files.clone());
        let folder = checkpoints.clone().unwrap_or_default();
        let checkpoints = checkpoints.map(|folder| Arc::new(folder) as Files);
        let at = address.clone();
        let store = ps_master::MasterFiles { results: store, checkpoints, state: None };
        let run = ps_master::run(config, incoming, at, outside, shutdown, store);
        let master = tokio::spawn(run);
        Self { address, lines, files, folder, trigger, master }
    }

    pub(crate) async fn member(
        &self,
        role: v1::Role,
        token: u64,
        index: Option<u32>,
    ) -> Result<Arc<Member>, member::Error> {
        self.member_at(role, token, index, format!("127.0.0.1:{token}")).await
    }

    pub(crate) async fn member_at(
        &self,
        role: v1::Role,
        token: u64,
        index: Option<u32>,
        address: String,
    ) -> Result<Arc<Member>, member::Error> {
        let request = v1::RegisterRequest {
            job: JOB.into(),
            role: role.into(),
            token,
            index,
            address,
            data: Some(DataDescription::replicated(SAMPLES).into()),
            protocol: ps_proto::PROTOCOL,
            ..v1::RegisterRequest::default()
        };
        let member = Member::register(&outside(token).0, &self.address, request).await?;
        Ok(Arc::new(member))
    }

    /// A server with its shard, registered and beating until it may leave.
    pub(crate) async fn server(
        &self,
        shard: u32,
        shards: u32,
    ) -> (Arc<FakeShard>, JoinHandle<v1::Leave>) {
        let (incoming, address) = ps_runtime::transport::listen("127.0.0.1:0").await.unwrap();
        let fake = Arc::new(FakeShard {
            shard,
            shards,
            memberships: Mutex::default(),
            folder: self.folder.clone(),
            restored: Mutex::default(),
        });
        let serving = ps_runtime::transport::server()
            .add_service(DataPlaneServer::from_arc(fake.clone()))
            .add_service(ShardControlServer::from_arc(fake.clone()))
            .serve_with_incoming(ps_runtime::transport::opened(incoming));
        tokio::spawn(serving);
        let token = 10 + u64::from(shard);
        let member = self.member_at(v1::Role::Server, token, Some(shard), address.to_string());
        (fake, tokio::spawn(beat_to_the_end(member.await.unwrap())))
    }
}

/// Beats until the member may leave.
pub(crate) async fn beat_to_the_end(member: Arc<Member>) -> v1::Leave {
    loop {
        let beat = v1::HeartbeatRequest::default();
        let word = member.heartbeat(beat).await.unwrap();
        if let Some(leave) = word.leave {
            return leave;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Does every task at once until it may leave; sleeps so long over each.
pub(crate) async fn work_to_the_end(member: Arc<Member>, per_task: Duration) -> v1::Leave {
    let beating = tokio::spawn(beat_to_the_end(member.clone()));
    while member.heartbeat(v1::HeartbeatRequest::default()).await.unwrap().shard_map.is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut request = v1::NextTaskRequest::default();
    while !beating.is_finished() {
        request.number += 1;
        let Ok(reply) = member.next_task(request.clone()).await else {
            break;
        };
        (request.finished, request.evaluated) = (None, None);
        do_task(&mut request, reply, per_task).await;
    }
    beating.await.unwrap()
}

async fn do_task(request: &mut v1::NextTaskRequest, reply: v1::NextTaskReply, per_task: Duration) {
    use v1::next_task_reply::Task;
    match reply.task.unwrap() {
        Task::Train(task) => {
            tokio::time::sleep(per_task).await;
            let samples = task.end - task.start;
            request.finished = Some(v1::LeaseResult {
                lease: task.lease,
                steps: samples.div_ceil(10),
                samples,
                loss_sum: samples as f64 * 2.0 / (task.pass + 1) as f64,
                loss_samples: samples,
                steps_not_finite: 0,
                ..Default::default()
            });
        }
        Task::Evaluate(task) => {
            request.evaluated = Some(v1::EvaluationResult {
                number: task.number,
                test: Some(v1::Scores {
                    loss: 0.5,
                    accuracy: Some(0.9),
                    samples: 7,
                    ..v1::Scores::default()
                }),
                weights_digest: digest(),
                ..v1::EvaluationResult::default()
            });
        }
        Task::Wait(wait) => tokio::time::sleep(Duration::from_millis(wait.milliseconds)).await,
    }
}

/// A shard that holds fixed weights and remembers what it was told.
pub(crate) struct FakeShard {
    shard: u32,
    shards: u32,
    pub(crate) memberships: Mutex<Vec<v1::MembershipRequest>>,
    folder: SimulatedDisk,
    /// Checkpoints that it was told to restore, and in which epoch.
    pub(crate) restored: Mutex<Vec<(u64, u64)>>,
}

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl ShardControl for FakeShard {
    async fn set_membership(
        &self,
        request: Request<v1::MembershipRequest>,
    ) -> Result<Response<v1::MembershipReply>, Status> {
        let request = request.into_inner();
        let revision = request.revision;
        self.memberships.lock().unwrap().push(request);
        Ok(Response::new(v1::MembershipReply { revision, token: 0 }))
    }

    async fn prepare_cut(
        &self,
        _: Request<v1::PrepareCutRequest>,
    ) -> Result<Response<v1::PrepareCutReply>, Status> {
        Ok(Response::new(v1::PrepareCutReply::default()))
    }

    type SnapshotStream = Replies<v1::SnapshotReply>;

    async fn snapshot(
        &self,
        request: Request<v1::SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        let number = request.into_inner().number;
        let name = names::shard_file(number, self.shard, self.shards);
        self.folder.write(&name, b"what a shard holds").unwrap();
        let chunks = settings(1).model_spec(&layout(), self.shards).partition().run(self.shard);
        let file = File { name, shard: self.shard, bytes: 18, crc: 1, chunks };
        let reply = v1::SnapshotReply { file: Some((&file).into()), bytes: 18 };
        Ok(Response::new(Box::pin(futures_util::stream::iter([Ok(reply)]))))
    }

    type RestoreStream = Replies<v1::RestoreReply>;

    async fn restore(
        &self,
        request: Request<v1::RestoreRequest>,
    ) -> Result<Response<Self::RestoreStream>, Status> {
        let request = request.into_inner();
        for file in &request.files {
            if self.folder.content(&file.name).is_none() {
                return Err(Status::failed_precondition(format!("{} is missing", file.name)));
            }
        }
        if !request.verify_only {
            self.restored.lock().unwrap().push((request.number, request.epoch));
        }
        let reply = v1::RestoreReply { bytes: 18, done: true, updates: 0 };
        Ok(Response::new(Box::pin(futures_util::stream::iter([Ok(reply)]))))
    }
}
