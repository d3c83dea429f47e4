//! Large writes that go to the disk at once, past the system's cache of files.
//!
//! Who writes gigabytes and syncs them has no use for the cache: through it every byte is copied into new pages, which push
//! out those of others, and the disk stands still until the sync begins. File systems that cannot (tmpfs, some of a
//! network) get what is written in the usual way.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// What goes past the cache begins and ends at multiples of this, in the file and in memory: a page, and a multiple of the
/// block of every disk.
const BLOCK_BYTES: usize = 4096;

/// Less than this is written in the usual way: to wait for the disk costs more than to copy.
const DIRECT_BYTES_MIN: usize = 128 * 1024;

/// What is written at once: as much as a disk takes in one go, and little enough to stay in a core's cache.
const PIECE_BYTES: usize = 1024 * 1024;

/// How a file's large writes go to the disk.
#[derive(Default)]
pub(super) enum DirectWrites {
    /// There was none yet.
    #[default]
    Untried,
    /// Past the cache.
    Possible(DirectFile),
    /// In the usual way.
    Impossible,
}

impl DirectWrites {
    /// Writes the part of these bytes that goes past the cache to the file of this path, which is there; which of them these
    /// are. The rest is the caller's: it shares no block with them.
    ///
    /// # Errors
    /// The disk did not take them.
    pub(super) fn write_at(
        &mut self,
        path: &Path,
        offset: u64,
        bytes: &[u8],
    ) -> io::Result<Range<usize>> {
        let (first, blocks) = whole_blocks(offset, bytes);
        if blocks.len() < DIRECT_BYTES_MIN {
            return Ok(0..0);
        }
        if matches!(self, Self::Untried) {
            *self = DirectFile::open(path).map_or(Self::Impossible, Self::Possible);
        }
        let Self::Possible(file) = self else { return Ok(0..0) };
        match file.write_at(offset + first as u64, blocks) {
            // A disk that wants other places or sizes: all of it is written in the usual way.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                *self = Self::Impossible;
                Ok(0..0)
            }
            written => written.map(|()| first..first + blocks.len()),
        }
    }
}

/// The flag of a file that is written past the cache, where there is one.
fn direct() -> Option<i32> {
    #[cfg(target_os = "linux")]
    return Some(rustix::fs::OFlags::DIRECT.bits().cast_signed());
    #[cfg(not(target_os = "linux"))]
    None
}

/// The blocks of the file that these bytes fill, and where in them they begin.
fn whole_blocks(offset: u64, bytes: &[u8]) -> (usize, &[u8]) {
    let first = (offset.next_multiple_of(BLOCK_BYTES as u64) - offset) as usize;
    let rest = bytes.get(first..).unwrap_or_default();
    (first, &rest[..rest.len() / BLOCK_BYTES * BLOCK_BYTES])
}

/// A file that is written past the cache.
pub(super) struct DirectFile {
    file: File,
    /// Room for a piece that begins at a multiple of a block.
    memory: Vec<u8>,
}

impl DirectFile {
    /// `None` where its file system has no way past the cache.
    fn open(path: &Path) -> Option<Self> {
        let file = OpenOptions::new().write(true).custom_flags(direct()?).open(path).ok()?;
        Some(Self { file, memory: vec![0; PIECE_BYTES + BLOCK_BYTES] })
    }

    fn write_at(&mut self, mut offset: u64, blocks: &[u8]) -> io::Result<()> {
        let aligned = self.memory.as_ptr().align_offset(BLOCK_BYTES);
        for piece in blocks.chunks(PIECE_BYTES) {
            let memory = &mut self.memory[aligned..][..piece.len()];
            memory.copy_from_slice(piece);
            self.file.write_all_at(memory, offset)?;
            offset += piece.len() as u64;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Directory, FileStore};
    use super::*;
    use proptest::prelude::*;

    /// Beside this program: the system's folder for temporary files may be in memory alone.
    fn folder() -> tempfile::TempDir {
        let program = std::env::current_exe().unwrap();
        tempfile::tempdir_in(program.parent().unwrap()).unwrap()
    }

    #[test]
    fn what_fills_blocks_is_told_from_what_does_not() {
        let bytes = [0; 3 * BLOCK_BYTES];
        let of = |offset, len| {
            let (first, blocks) = whole_blocks(offset, &bytes[..len]);
            (first, blocks.len() / BLOCK_BYTES)
        };
        assert_eq!(of(0, bytes.len()), (0, 3));
        assert_eq!(of(4096, bytes.len() - 1), (0, 2));
        assert_eq!(of(1, bytes.len()), (4095, 2));
        assert_eq!(of(4095, 4096), (1, 0));
        assert_eq!(of(1, 0).1, 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// Whatever is written where, in whichever pieces: the file has it.
        #[test]
        fn a_file_has_what_was_written(
            writes in prop::collection::vec((0_u64..1 << 20, 0_usize..1 << 20, any::<u8>()), 1..8),
        ) {
            let folder = folder();
            let files = Directory::open(folder.path()).unwrap();
            let mut file = files.create("it").unwrap();
            let mut expected = Vec::new();
            for (offset, len, first) in writes {
                let bytes: Vec<u8> = (0..len).map(|at| first.wrapping_add((at % 251) as u8)).collect();
                file.write_at(offset, &bytes).unwrap();
                let end = offset as usize + len;
                if len > 0 && expected.len() < end {
                    expected.resize(end, 0);
                }
                if len > 0 {
                    expected[offset as usize..end].copy_from_slice(&bytes);
                }
            }
            file.sync().unwrap();
            prop_assert!(files.read("it").unwrap() == expected);
        }
    }
}
