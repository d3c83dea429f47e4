//! A shard's file, written as the shard is copied: for a checkpoint, and for what a journal stands on.

use ps_core::checkpoint::{File, FileError, WrittenShard};
use ps_core::chunk::ChunkSnapshot;
use ps_core::ids::Epoch;
use ps_core::shard::{CopiedShard, CopyError};
use ps_runtime::files::{Files, Replacement};
use std::io;

/// Writes it whole or not at all, and says after each piece how many bytes that was: no more than one chunk of the shard is
/// in memory twice.
///
/// # Errors
/// The copy is over, or it cannot be written.
pub(crate) fn write<E>(
    files: &Files,
    mut copy: impl CopiedShard,
    (number, epoch): (u64, Epoch),
    wrote: impl Fn(usize),
) -> Result<File, E>
where
    E: From<CopyError> + From<FileError> + From<io::Error>,
{
    let mut written = WrittenShard::new(copy.spec(), copy.shard(), number, epoch);
    let mut file = Replacement::new(&**files, written.name())?;
    let mut chunk = ChunkSnapshot::default();
    while let Some(id) = copy.next(&mut chunk)? {
        // Who waits for memory must not wait for the disk, while the system has some.
        let is_waited_for = copy.is_waited_for();
        for (place, bytes) in written.chunk(id, &chunk) {
            match is_waited_for {
                true => file.write_soon_at(place, bytes)?,
                false => file.write_at(place, bytes)?,
            }
            wrote(bytes.len());
        }
    }
    let ends = written.finish(&copy.finish()?)?;
    file.write_at(ends.tail_place, &ends.tail)?;
    file.write_at(0, &ends.header)?;
    file.commit()?;
    Ok(ends.file)
}
