//! A file that is written again and again, and has room where there is none: the new bytes go into a spare file beside it, which
//! has its room already, and the two exchange their names. What one write gives up the next one has; nobody else gets it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What a spare file has at the end of its name.
const SPARE: &str = ".spare";

/// In how large pieces what is left of an older, longer content is filled with zeros.
const ZEROS: [u8; 4096] = [0; 4096];

/// The spare file of this one.
pub(super) fn spare_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SPARE);
    name.into()
}

/// Writes a file whole, by way of its spare file; zeros follow where that was longer. Durable when it returns.
pub(super) fn rewrite(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let spare = spare_of(path);
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&spare)?;
    file.write_all_at(bytes, 0)?;
    // Its room is not given up.
    let (mut at, end) = (bytes.len() as u64, file.metadata()?.len());
    while at < end {
        let part = ZEROS.len().min(usize::try_from(end - at).unwrap_or(ZEROS.len()));
        file.write_all_at(&ZEROS[..part], at)?;
        at += part as u64;
    }
    file.sync_data()?;
    exchange(&spare, path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Gives the first file the name of the second one, if there is one, and that the name of the first.
fn exchange(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE) {
        // There is none yet; or the file system cannot do it, and the next write needs room of its own.
        Err(_) => std::fs::rename(from, to),
        Ok(()) => Ok(()),
    }
}

/// Sees to it that the spare file has room for so many bytes.
pub(super) fn reserve(path: &Path, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(spare_of(path))?;
    if file.metadata()?.blocks() * 512 < bytes {
        fallocate(&file, FallocateFlags::KEEP_SIZE, 0, bytes)?;
    }
    Ok(())
}
