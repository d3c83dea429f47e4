//! A driver whose time is in the test's hands.
// A test's helpers may fail like the test.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::service::Service;
use ps_core::DataDescription;
use ps_core::correction::Correction;
use ps_core::schedule::{LearningRate, Schedule};
use ps_core::settings::Wire;
use ps_kernels::optimizer::Optimizer;
use ps_proto::v1;
use ps_proto::v1::master_server::Master;
use ps_runtime::clock::TimeSource;
use ps_runtime::files::SimulatedDisk;
use ps_runtime::{Connector, Shutdown};
use std::sync::atomic::{AtomicU64, Ordering};

const JOB: &str = "job";

/// Milliseconds that the test sets.
#[derive(Default)]
struct ManualClock(AtomicU64);

impl TimeSource for ManualClock {
    fn now(&self) -> Duration {
        Duration::from_millis(self.unix_ms())
    }

    fn unix_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn settings() -> TrainingSettings {
    TrainingSettings {
        optimizer: Optimizer::parse("sgd", None, None).unwrap(),
        learning_rate: LearningRate { base: 0.1, schedule: Schedule::Constant, warmup: 0.0 },
        staleness_correction: Correction::Auto,
        staleness_bound: Some(8),
        clip_norm: None,
        passes: 1,
        steps_min: 0,
        batch_size: 10,
        seed: 1,
        wire: Wire::default(),
        pipeline_depth: 0,
        divergence: ps_core::learning::DivergenceAction::default(),
        freeze: Vec::new(),
        parameter_groups: Vec::new(),
        evaluation: ps_core::keeping::EvaluationSettings::default(),
    }
}

/// Found by review: calls waited for a loaded master, which took that for the members' silence and
/// expired them; they registered anew and added to the load.
#[tokio::test]
async fn regression_what_was_called_before_a_tick_is_answered_before_it_expires_anybody() {
    let clock = Arc::new(ManualClock::default());
    let outside = Outside {
        connector: Connector::tcp(),
        clock: clock.clone(),
        seed: 1,
        metrics: Arc::new(|_: &str| ()),
    };
    let mut config = Config::new(JOB, 1, 1, settings());
    config.machine.lease = Duration::from_millis(1000);
    let kept = Arc::new(SimulatedDisk::default());
    let (service, mut calls) = Service::new(JOB, &config.machine, outside.clock.clone(), kept);
    let (_trigger, shutdown) = Shutdown::new();
    let results = Arc::new(SimulatedDisk::default());
    let files = MasterFiles { results, checkpoints: None, state: None };
    let mut driver = Driver::new(config, &outside, shutdown, Place { files, found: None }).unwrap();
    let at = |ms: u64| clock.0.store(ms, Ordering::Relaxed);

    let registration = v1::RegisterRequest {
        job: JOB.into(),
        role: v1::Role::Worker.into(),
        address: "here:1".into(),
        protocol: ps_proto::PROTOCOL,
        data: Some(DataDescription::replicated(5).into()),
        ..v1::RegisterRequest::default()
    };
    let register = service.register(tonic::Request::new(registration));
    let answer = async { calls.recv().await.unwrap().answer(&mut driver.machine).say() };
    let (registered, ()) = tokio::join!(register, answer);
    let heartbeat = v1::HeartbeatRequest {
        job: JOB.into(),
        role: v1::Role::Worker.into(),
        incarnation: registered.unwrap().into_inner().incarnation,
        ..v1::HeartbeatRequest::default()
    };
    for ms in [400, 800] {
        at(ms);
        driver.tick(&mut calls);
        driver.act();
    }
    // It comes in time, and the master does not get to it before its lease would be over.
    let heartbeat = service.heartbeat(tonic::Request::new(heartbeat));
    let late_tick = async {
        at(1200);
        driver.tick(&mut calls);
        driver.act();
        at(1600);
        driver.tick(&mut calls);
        driver.act();
    };
    let (answered, ()) = tokio::join!(heartbeat, late_tick);
    answered.unwrap();
    // And it counts from when it came.
    at(1800);
    driver.tick(&mut calls);
    driver.act();
    assert_eq!(driver.machine.snapshot().workers, 0);
}
