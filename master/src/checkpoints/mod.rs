//! Checkpoints as files and calls.
//!
//! - `catalog`: what the folder holds at the start, and which of it is restored.
//! - `shards`: has all shards write one, or restore one.

mod catalog;
mod shards;

pub(crate) use catalog::Catalog;

use ps_core::checkpoint::{Manifest, names};
use ps_runtime::files::{FileStore, remove_numbers};
use std::io;

fn write_manifest(manifest: &Manifest, files: &dyn FileStore) -> io::Result<()> {
    let text = manifest.encode().map_err(io::Error::other)?;
    let name = names::manifest_file(manifest.number);
    files.write(&name, text.as_bytes())
}

/// Removes what is left of older checkpoints where the master can see it. Servers with folders of
/// their own do the same when they write the next one.
fn remove_older(number: u64, keep: &[u64], files: &dyn FileStore) {
    remove_numbers(files, |found| found < number && !keep.contains(&found));
}
