//! A shard that goes on from a checkpoint.

use super::{ModelShard, Origin, Session, Shard};
use crate::checkpoint::RestoredShard;
use crate::fence;
use crate::ids::{Epoch, Life, ShardId};
use crate::model_spec::ModelSpec;
use parking_lot::Mutex;
use std::sync::Arc;

/// Why a restored part is not put in place.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum InstallError {
    #[error(transparent)]
    Fenced(#[from] fence::Error),
    /// Another model, or another start of it, is there already.
    #[error("shard {0} holds a model already: a checkpoint is restored into a fresh server only")]
    Held(ShardId),
}

impl Shard {
    /// Whether a checkpoint can be put in place: `true` when it is there already.
    ///
    /// # Errors
    /// Something else is there.
    pub fn is_restored(&self, number: u64, spec: &ModelSpec) -> Result<bool, InstallError> {
        match self.model() {
            None => Ok(false),
            Some(model) if model.origin == Origin::Checkpoint(number) && model.spec == *spec => {
                Ok(true)
            }
            Some(_) => Err(InstallError::Held(self.index)),
        }
    }

    /// Goes on from a checkpoint: its weights, and what it remembers of pushes of this life of the job.
    /// Whoever is of an earlier life is fenced before anybody is admitted; what it left unfinished is
    /// torn. So is who is of this life, where the servers that wrote the checkpoint were another number: of
    /// its pushes nobody knows how many chunks of this shard they touch.
    ///
    /// # Errors
    /// The epoch is over, or something else is there.
    pub fn restore(
        &self,
        epoch: Epoch,
        life: Life,
        number: u64,
        spec: ModelSpec,
        restored: RestoredShard,
    ) -> Result<(), InstallError> {
        let mut fence = self.fence.write();
        self.enter_life(&mut fence, epoch, life)?;
        if self.is_restored(number, &spec)? {
            return Ok(());
        }
        self.counters.pushes_torn.add(restored.torn);
        for (worker, (incarnation, window)) in restored.sessions {
            match window {
                _ if fence.is_superseded(worker, incarnation) => {
                    self.counters.pushes_torn.add(window.map_or(0, |window| window.unfinished()));
                }
                Some(window) => {
                    fence.raise(worker, incarnation);
                    let session = Session { incarnation, window, ..Session::default() };
                    self.sessions.insert(worker, Arc::new(Mutex::new(session)));
                }
                None => {
                    fence.raise(worker, incarnation + 1);
                }
            }
        }
        let origin = Origin::Checkpoint(number);
        // While the fence is held: nobody must push before what was pushed is known again.
        self.install(ModelShard::new(self.index, spec, origin, restored.chunks));
        Ok(())
    }
}
