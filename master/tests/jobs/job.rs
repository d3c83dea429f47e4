//! Whole jobs over loopback connections.

use crate::common::{Job, beat_to_the_end, digest, weights, work_to_the_end};
use ps_core::report::Report;
use ps_proto::v1::Role;
use ps_runtime::Signal;
use ps_runtime::member::Error;
use safetensors::SafeTensors;
use std::time::Duration;

const FAST: Duration = Duration::from_millis(1);

#[tokio::test(flavor = "multi_thread")]
async fn a_job_writes_the_model_and_the_report() {
    let job = Job::start(2, 2, 3).await;
    let (fake, server) = job.server(0, 2).await;
    let (_, other) = job.server(1, 2).await;
    let evaluator = job.member(Role::Evaluator, 100, None).await.unwrap();
    let workers = [
        job.member(Role::Worker, 101, None).await.unwrap(),
        job.member(Role::Worker, 102, None).await.unwrap(),
    ];
    let everybody = workers.into_iter().chain([evaluator]);
    let running: Vec<_> =
        everybody.map(|member| tokio::spawn(work_to_the_end(member, FAST))).collect();
    for member in running.into_iter().chain([server, other]) {
        let leave = member.await.unwrap();
        assert_eq!((leave.exit_code, leave.reason.as_str()), (0, ""));
    }
    assert_eq!(job.master.await.unwrap().unwrap(), 0);

    let file = job.files.content("model.safetensors").unwrap();
    let model = SafeTensors::deserialize(&file).unwrap();
    assert_eq!(model.tensor("w").unwrap().shape(), [30, 40]);
    let bytes: Vec<u8> = weights()[..5].iter().flat_map(|w| w.to_le_bytes()).collect();
    assert_eq!(model.tensor("b").unwrap().data(), bytes);
    let report = job.files.content("report.json").unwrap();
    let report: Report = serde_json::from_slice(&report).unwrap();
    assert_eq!(report.passes.len(), 3);
    assert!(report.final_metrics.unwrap().weights_match, "{}", digest());
    assert!(report.imbalance.unwrap() < 1.1);

    let lines = job.lines.lock().unwrap().clone();
    assert!(lines[0].starts_with("role=master; listening=127.0.0.1:"));
    assert!(lines.iter().any(|line| line.starts_with("pass=3; test_accuracy=0.9000;")));
    assert!(lines.contains(&"final_test_accuracy=0.9000;".to_owned()));
    let told = fake.memberships.lock().unwrap().clone();
    assert!(told.windows(2).all(|pair| pair[0].revision < pair[1].revision));
    let last = told.last().unwrap();
    assert_eq!(last.epoch, last.life);
    assert!(last.workers.iter().all(|w| !w.active && w.incarnation == last.life + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_saves_the_model_so_far() {
    let job = Job::start(1, 1, 1000).await;
    let (_, server) = job.server(0, 1).await;
    let worker = job.member(Role::Worker, 101, None).await.unwrap();
    let worker = tokio::spawn(work_to_the_end(worker, Duration::from_millis(5)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    job.trigger.trigger(Signal::Terminate);
    assert_eq!(worker.await.unwrap().exit_code, 143);
    assert_eq!(server.await.unwrap().exit_code, 143);
    assert_eq!(job.master.await.unwrap().unwrap(), 143);
    assert!(job.files.content("model.safetensors").is_some());
    assert!(job.files.content("report.json").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_worker_is_survived_and_a_lost_server_is_not() {
    let job = Job::start(1, 2, 3).await;
    let server = job.member(Role::Server, 50, Some(0)).await.unwrap();
    let beating = tokio::spawn(beat_to_the_end(server));
    let lost = job.member(Role::Worker, 101, None).await.unwrap();
    let worker = job.member(Role::Worker, 102, None).await.unwrap();
    let working = tokio::spawn(work_to_the_end(worker, Duration::from_millis(200)));
    tokio::time::sleep(Duration::from_millis(1800)).await;
    let gone = lost.heartbeat(Default::default()).await.unwrap_err();
    assert!(matches!(gone, Error::Expired), "{gone}");
    let again = job.member(Role::Worker, 103, None).await.unwrap();
    let first = lost.registered();
    let taken_over = (first.index, first.incarnation + 1);
    assert_eq!((again.registered().index, again.registered().incarnation), taken_over);
    beating.abort();
    let leave = working.await.unwrap();
    assert_eq!(leave.exit_code, 1);
    assert!(leave.reason.contains("shard 0"), "{}", leave.reason);
    let error = job.master.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("shard 0") && error.contains("127.0.0.1:50"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_typed_and_say_why() {
    use ps_proto::convert::refusal::{Reason, from_status};
    use ps_proto::v1;
    let job = Job::start(1, 1, 1).await;
    let channel = ps_runtime::Connector::tcp().channel(&job.address).unwrap();
    let mut client = v1::master_client::MasterClient::new(channel);
    let request = v1::RegisterRequest {
        job: crate::common::JOB.into(),
        role: Role::Worker.into(),
        token: 1,
        address: "here:1".into(),
        protocol: ps_proto::PROTOCOL,
        data: Some(ps_core::DataDescription::replicated(5).into()),
        ..v1::RegisterRequest::default()
    };
    let mut other = request.clone();
    other.job = "theirs".into();
    let status = client.register(other).await.unwrap_err();
    assert_eq!(from_status(&status).unwrap().reason(), Reason::OtherJob);
    assert!(status.message().contains("theirs"), "{status}");
    let registered = client.register(request.clone()).await.unwrap().into_inner();
    assert_eq!(client.register(request.clone()).await.unwrap().into_inner(), registered);
    let mut second = request.clone();
    (second.token, second.address) = (2, "there:1".into());
    let status = client.register(second).await.unwrap_err();
    assert_eq!(from_status(&status).unwrap().reason(), Reason::Taken);
    let message = status.message();
    assert!(message.contains("here:1") && message.contains("there:1"), "{message}");
    let beat = v1::HeartbeatRequest {
        job: crate::common::JOB.into(),
        role: Role::Worker.into(),
        incarnation: 9,
        ..v1::HeartbeatRequest::default()
    };
    let status = client.heartbeat(beat).await.unwrap_err();
    let refusal = from_status(&status).unwrap();
    assert_eq!(refusal.reason(), Reason::StaleIncarnation);
    assert_eq!(refusal.current_incarnation, registered.incarnation);
    job.master.abort();
}
