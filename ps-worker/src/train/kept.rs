//! What a process keeps when its membership is lost and it registers anew.

use super::Error;
use super::workload::{BuildModel, Preparing, Program, Streams, Workload, WorkloadKind};
use crate::compute::{Compute, ComputeError, ComputeOn};
use ps_core::DataDescription;
use std::sync::{Arc, Mutex};

/// What outlives a membership.
pub(super) struct Kept {
    pub(super) data: DataDescription,
    /// Locked while the model is made, on a thread that goes on when nobody waits for it any more.
    build: Option<Arc<Mutex<BuildModel>>>,
    pub(super) compute: Option<Box<dyn Compute>>,
    pub(super) streams: Option<Box<dyn Streams>>,
    pub(super) program: Option<Box<dyn Program>>,
    pub(super) preparing: Preparing,
}

impl Kept {
    pub(super) fn new(workload: Workload) -> Self {
        let data = workload.data;
        let (build, streams, program, preparing) = match workload.kind {
            WorkloadKind::Model { build, streams, share: _, preparing } => {
                (Some(build), streams, None, preparing)
            }
            WorkloadKind::Program(program) => (None, None, Some(program), Preparing::default()),
        };
        let build = build.map(|build| Arc::new(Mutex::new(build)));
        Self { data, build, compute: None, streams, program, preparing }
    }

    /// The model: the one that was there, or a new one for these data.
    pub(super) async fn model(
        &mut self,
        agreed: &DataDescription,
        compute_on: ComputeOn,
    ) -> Result<Box<dyn Compute>, Error> {
        if let Some(compute) = self.compute.take() {
            return Ok(compute);
        }
        let none = || ComputeError("this process has no model: it runs a program".to_owned());
        let (build, agreed) = (self.build.clone().ok_or_else(none)?, agreed.clone());
        let (_, compute) = compute_on
            .run(build, move |build| {
                let mut build = build.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                build(&agreed)
            })
            .await?;
        Ok(compute?)
    }
}
