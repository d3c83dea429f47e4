//! Checkpoints as files and calls.
//!
//! - `catalog`: what the folder holds at the start, and which of it is restored.
//! - `shards`: has all shards write one, or restore one.

mod catalog;
mod shards;

pub(crate) use catalog::Catalog;

use ps_core::checkpoint::{Manifest, names};
use ps_runtime::files::{FileStore, remove_older_checkpoints};

/// The number in the name of any file of ours.
fn number_of(name: &str) -> Option<u64> {
    let of_shard = || names::parse_shard_file(name).map(|file| file.number);
    names::parse_manifest_file(name).or_else(of_shard)
}

fn write_manifest(manifest: &Manifest, files: &dyn FileStore) -> Result<(), String> {
    let text = manifest.encode().map_err(|error| error.to_string())?;
    let name = names::manifest_file(manifest.number);
    files.write(&name, text.as_bytes()).map_err(|error| error.to_string())
}

/// Removes what is left of older checkpoints where the master can see it. Servers with folders of
/// their own do the same when they write the next one.
fn remove_older(number: u64, keep: &[u64], files: &dyn FileStore) {
    remove_older_checkpoints(files, |name| {
        number_of(name).is_some_and(|found| found < number && !keep.contains(&found))
    });
}
