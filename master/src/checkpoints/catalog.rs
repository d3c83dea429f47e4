//! The manifests that a master finds when it starts.

use super::write_manifest;
use crate::cluster::Cluster;
use ps_core::checkpoint::{Manifest, names};
use ps_core::ids::Life;
use ps_core::master::{
    CheckpointHistory, CompleteCheckpoint, NotRestored, RestoredCheckpoint, RestoredPart,
    ShardRestore,
};
use ps_core::settings::TrainingSettings;
use ps_runtime::blocking;
use ps_runtime::files::{FileStore, Files, is_full, remove_unfinished};
use std::io;

/// The manifests that were there when the master started, newest first.
pub(crate) struct Catalog {
    files: Files,
    manifests: Vec<(u64, Result<Manifest, String>)>,
    next_number: u64,
}

impl Catalog {
    /// Reads all manifests of a folder, and removes what was never finished.
    pub(crate) fn read(files: Files) -> io::Result<Self> {
        remove_unfinished(&*files);
        let names = files.list()?;
        let mut manifests: Vec<_> = names
            .iter()
            .filter_map(|name| {
                let number = names::parse_manifest_file(name)?;
                let read = files.read(name).map_err(|error| error.to_string());
                let decode =
                    |bytes: Vec<u8>| Manifest::decode(name, &bytes).map_err(|e| e.to_string());
                Some((number, read.and_then(decode)))
            })
            .collect();
        manifests.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        let parts = names.iter().filter(|name| names::parse_number(name).is_some()).count();
        if manifests.is_empty() && parts > 0 {
            tracing::warn!(
                "{}: {parts} files of checkpoints and no manifest: none was finished, or the manifests were removed; starting from nothing",
                files.location()
            );
        }
        let highest = names.iter().filter_map(|name| names::parse_number(name)).max().unwrap_or(0);
        Ok(Self { files, manifests, next_number: highest.saturating_add(1) })
    }

    /// The folder.
    pub(crate) fn files(&self) -> &dyn FileStore {
        self.files.as_ref()
    }

    /// What the machine must know of it.
    pub(crate) fn history(&self) -> CheckpointHistory {
        CheckpointHistory { has_any: !self.manifests.is_empty(), next_number: self.next_number }
    }

    /// The highest epoch or incarnation that any checkpoint tells of.
    pub(crate) fn highest(&self) -> Life {
        self.readable().map(|manifest| manifest.state.highest).max().unwrap_or(0)
    }

    /// Whether this checkpoint is complete.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.readable().any(|manifest| manifest.number == number)
    }

    fn readable(&self) -> impl Iterator<Item = &Manifest> {
        self.manifests.iter().filter_map(|(_, manifest)| manifest.as_ref().ok())
    }

    /// Has all shards restore the newest checkpoint that all of them can use.
    ///
    /// # Errors
    /// None can be used, or a shard is out of reach; the message says what to do.
    pub(crate) async fn restore(
        &self,
        cluster: &Cluster,
        life: Life,
        settings: &TrainingSettings,
    ) -> Result<RestoredCheckpoint, String> {
        let mut newest = None;
        for (number, manifest) in &self.manifests {
            let restored = match manifest {
                Ok(manifest) => {
                    cluster.restore(manifest, life, settings).await?.map(|()| manifest.clone())
                }
                Err(reason) => Err(reason.clone()),
            };
            match restored {
                Ok(mut manifest) => {
                    // From now on another life that goes on from here is above this one, even if this
                    // one ends before its first checkpoint.
                    manifest.state.highest = manifest.state.highest.max(cluster.epoch);
                    match blocking(|| write_manifest(&manifest, self.files())) {
                        // The time will tell the lives apart, as long as it does not go backwards.
                        Err(error) if is_full(&error) => tracing::warn!(
                            "{error}: going on from checkpoint {number} without a note that it was"
                        ),
                        written => written.map_err(|error| error.to_string())?,
                    }
                    let older = self.readable().map(|manifest| CompleteCheckpoint {
                        number: manifest.number,
                        is_sound: !manifest.state.learning.is_in_doubt(),
                    });
                    let older = older.filter(|older| older.number < *number).collect();
                    return Ok(RestoredCheckpoint {
                        number: *number,
                        state: manifest.state,
                        chunk_elements: manifest.chunk_elements,
                        older,
                    });
                }
                Err(reason) => {
                    tracing::warn!("checkpoint {number} cannot be used: {reason}");
                    newest.get_or_insert_with(|| format!("checkpoint {number}: {reason}"));
                }
            }
        }
        Err(format!(
            "none of the {} checkpoints in {} can be used; {}; bring the missing files back, or \
             start anew with another --checkpoints",
            self.manifests.len(),
            self.files.location(),
            newest.unwrap_or_default()
        ))
    }

    /// Has one shard go back to the first of these checkpoints that it can use, as they are in the folder now.
    ///
    /// # Errors
    /// The shard is out of reach, or can use none of them.
    pub(crate) async fn restore_part(
        &self,
        cluster: &Cluster,
        restore: &ShardRestore,
        settings: &TrainingSettings,
    ) -> Result<RestoredPart, NotRestored> {
        let at = (restore.shard, restore.life);
        let mut reasons = Vec::new();
        for number in &restore.numbers {
            let name = names::manifest_file(*number);
            let read = blocking(|| self.files.read(&name)).map_err(|error| error.to_string());
            let manifest = read.and_then(|bytes| {
                Manifest::decode(&name, &bytes).map_err(|error| error.to_string())
            });
            let reason = match manifest {
                Err(reason) => reason,
                Ok(manifest) => match cluster.restore_part(&manifest, at, settings).await {
                    Err(NotRestored::Unusable(reason)) => reason,
                    done => return done,
                },
            };
            tracing::warn!("checkpoint {number} cannot be used: {reason}");
            reasons.push(format!("checkpoint {number}: {reason}"));
        }
        Err(NotRestored::Unusable(reasons.join("; ")))
    }
}
