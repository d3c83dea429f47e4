//! A shard's copy for a checkpoint, and a shard that goes on from one.

use super::{ModelShard, Origin, Session, Shard};
use crate::checkpoint::{RestoredShard, ShardSnapshot};
use crate::fence;
use crate::ids::{Epoch, Life, ShardId};
use crate::model_spec::ModelSpec;
use parking_lot::Mutex;
use std::sync::Arc;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum SnapshotError {
    #[error(transparent)]
    Fenced(#[from] fence::Error),
    #[error("shard {0} holds no model yet: there is nothing to save")]
    Empty(ShardId),
}

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
    /// A copy of all that the shard is, at one moment: while the fence is held for writing, no
    /// chunk is being changed, so that the weights and what is remembered of pushes fit together.
    ///
    /// # Errors
    /// The epoch is over, or nothing is held.
    pub fn snapshot(&self, epoch: Epoch) -> Result<ShardSnapshot, SnapshotError> {
        let mut fence = self.fence.write();
        fence.enter(epoch, 0)?;
        let model = self.model().ok_or(SnapshotError::Empty(self.index))?;
        let session = |entry: dashmap::mapref::multiple::RefMulti<'_, _, Arc<Mutex<Session>>>| {
            let session = entry.value().lock();
            (*entry.key(), (session.incarnation, session.window.to_snapshot()))
        };
        Ok(ShardSnapshot {
            shard: self.index,
            shards: model.spec.shards,
            start: model.spec.partition().range(self.index).start,
            slots: model.spec.optimizer.slots(),
            epoch,
            chunks: model.chunks().iter().map(|chunk| chunk.lock().to_snapshot()).collect(),
            sessions: self.sessions.iter().map(session).collect(),
        })
    }

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
    /// torn.
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
        for (worker, (incarnation, window)) in restored.sessions {
            if fence.is_over(incarnation) {
                self.counters.pushes_torn.add(window.unfinished());
                continue;
            }
            fence.raise(worker, incarnation);
            let session = Session { incarnation, window };
            self.sessions.insert(worker, Arc::new(Mutex::new(session)));
        }
        let origin = Origin::Checkpoint(number);
        // While the fence is held: nobody must push before what was pushed is known again.
        self.install(ModelShard::new(self.index, spec, origin, restored.chunks));
        Ok(())
    }
}
