//! The code that a launcher left in S3: fetched and unpacked where the others leave it.

use crate::contract::environment::Variables;
use crate::s3::{self, Location};
use flate2::read::GzDecoder;
use std::io::Read;
use std::path::{Path, PathBuf};
use tar::Archive;

/// Bytes of an archive of code, as it is sent.
const ARCHIVE_BYTES_MAX: u64 = 256 << 20;
/// Bytes of what is in it: a small archive must not fill a disk.
const UNPACKED_BYTES_MAX: u64 = 4 << 30;

/// Fetches the archive at this place (a `sourcedir.tar.gz`, in S3 or, without a network, here) and unpacks it into `BASE/code`.
///
/// # Errors
/// It cannot be had or is no such archive, in words.
pub(super) fn fetch(place: &str, base: &Path, variables: &Variables) -> Result<PathBuf, String> {
    let content = if place.starts_with("s3://") {
        let location: Location = place.parse()?;
        s3::fetch(&location, variables, ARCHIVE_BYTES_MAX)?
    } else {
        let path = place.trim_start_matches("file://");
        std::fs::read(path).map_err(|error| format!("reading {path}: {error}"))?
    };
    let folder = base.join("code");
    unpack(&content, &folder).map_err(|error| {
        format!("unpacking {place} (a .tar.gz) into {}: {error}", folder.display())
    })?;
    Ok(folder)
}

fn unpack(archive: &[u8], folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    // What is not under the folder is left out by the archive's reader.
    Archive::new(GzDecoder::new(archive).take(UNPACKED_BYTES_MAX)).unpack(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    fn archive(name: &str, content: &[u8]) -> Vec<u8> {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        header.set_cksum();
        builder.append(&header, content).unwrap();
        builder.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn code_is_unpacked_over_what_is_there() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("code");
        for content in ["old", "new"] {
            unpack(&archive("train.sh", content.as_bytes()), &folder).unwrap();
            assert_eq!(std::fs::read_to_string(folder.join("train.sh")).unwrap(), content);
        }
    }

    #[test]
    fn an_archive_that_is_here_needs_no_network() {
        let base = tempfile::tempdir().unwrap();
        let place = base.path().join("sourcedir.tar.gz");
        std::fs::write(&place, archive("train.sh", b"x")).unwrap();
        let folder = fetch(place.to_str().unwrap(), base.path(), &Variables::new()).unwrap();
        assert!(folder.join("train.sh").is_file());
        let why = fetch("/no/such.tar.gz", base.path(), &Variables::new()).unwrap_err();
        assert!(why.contains("/no/such.tar.gz"), "{why}");
    }

    #[test]
    fn nothing_is_written_beside_the_folder() {
        let base = tempfile::tempdir().unwrap();
        let _ = unpack(&archive("../stray.sh", b"x"), &base.path().join("code"));
        assert!(!base.path().join("stray.sh").exists());
        assert!(unpack(b"PK", &base.path().join("code")).is_err());
    }
}
