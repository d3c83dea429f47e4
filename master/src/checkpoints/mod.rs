//! Checkpoints as files and calls.
//!
//! - `catalog`: what the folder holds at the start, and which of it is restored.
//! - `shards`: has all shards write one, or restore one.

mod catalog;
mod shards;

pub(crate) use catalog::Catalog;

use ps_core::checkpoint::{Manifest, names};
use ps_runtime::files::FileStore;

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
fn tidy(number: u64, before: Option<u64>, files: &dyn FileStore) {
    let is_old = |name: &String| {
        number_of(name).is_some_and(|found| found < number && Some(found) != before)
    };
    let (mut names, failed) = match files.list() {
        Ok(names) => (names, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    names.retain(is_old);
    // A checkpoint without its manifest is not complete: the manifest goes first.
    names.sort_by_key(|name| names::parse_manifest_file(name).is_none());
    let removed = names.iter().map(|name| files.remove(name));
    for error in removed.filter_map(Result::err).chain(failed) {
        tracing::warn!("removing older checkpoints: {error}");
    }
}
