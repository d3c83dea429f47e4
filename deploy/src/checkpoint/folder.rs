//! A folder of checkpoints as it is read from outside of any job, perhaps beside one.

use anyhow::bail;
use ps_core::checkpoint::{Contents, File, FileError, Manifest, ManifestError, StoredShard, names};
use ps_core::chunk::Chunk;
use ps_core::ids::ChunkId;
use ps_core::model_spec::ModelSpec;
use ps_core::unexpected::Unexpected;
use ps_runtime::files::{FileReader, FileStore, whole_name};
use std::io;

/// Why a checkpoint, or a part of it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What is done with a chunk failed, which is not the checkpoint's fault.
    #[error(transparent)]
    Other(anyhow::Error),
}

impl Problem {
    /// Whether the checkpoint itself is not whole: not that a disk cannot be read just now, or that somebody else
    /// knows how to read it.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::File(_) => true,
            Self::Manifest(_) => !self.is_foreign(),
            Self::Io(error) => {
                matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
            }
            Self::Other(_) => false,
        }
    }

    /// Whether it is a checkpoint of another version of psrun.
    pub(super) fn is_foreign(&self) -> bool {
        matches!(self, Self::Manifest(ManifestError::Format { .. }))
    }
}

/// A folder of checkpoints, with the names that were in it when it was opened.
pub(super) struct Folder<'f> {
    pub(super) files: &'f dyn FileStore,
    pub(super) contents: Contents,
}

impl<'f> Folder<'f> {
    pub(super) fn open(files: &'f dyn FileStore) -> io::Result<Self> {
        Ok(Self { files, contents: Contents::of(&files.list()?, whole_name) })
    }

    /// The checkpoint of this number, or else the newest that has a manifest.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn choose(&self, number: Option<u64>) -> anyhow::Result<u64> {
        let finished = self.contents.finished();
        let location = self.files.location();
        match number.map_or_else(|| finished.last().copied(), |it| finished.get(&it).copied()) {
            Some(found) => Ok(found),
            None if finished.is_empty() => {
                bail!(
                    "no checkpoint in {location}: no file is named like {}",
                    names::manifest_file(7)
                )
            }
            None => bail!(
                "no checkpoint {} in {location}: there are {}",
                number.unwrap_or_default(),
                list(finished)
            ),
        }
    }

    pub(super) fn manifest(&self, number: u64) -> Result<Manifest, Problem> {
        let name = names::manifest_file(number);
        Ok(Manifest::decode(&name, &self.files.read(&name)?)?)
    }

    /// Whether a checkpoint that was there is gone: a job beside us has removed it for a newer one.
    pub(super) fn is_gone(&self, number: u64) -> bool {
        let missing = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
        self.files.open(&names::manifest_file(number)).err().is_some_and(missing)
    }

    /// Reads and checks all of a shard's file but its values.
    pub(super) fn ends(&self, file: &File, spec: &ModelSpec) -> Result<StoredShard, Problem> {
        let reader = self.reader(file)?;
        let read_at = |place, into: &mut [u8]| Ok::<_, Problem>(reader.read_at(place, into)?);
        StoredShard::open(file, spec.shards, spec, reader.bytes(), read_at)
    }

    /// Reads and checks every byte of a shard's file, and hands on each chunk of it.
    pub(super) fn read(
        &self,
        file: &File,
        spec: &ModelSpec,
        take: impl FnMut(ChunkId, Chunk) -> Result<(), Problem>,
    ) -> Result<StoredShard, Problem> {
        let reader = self.reader(file)?;
        let read_at = |place, into: &mut [u8]| Ok::<_, Problem>(reader.read_at(place, into)?);
        StoredShard::read_all(file, spec.shards, spec, reader.bytes(), read_at, take)
    }

    fn reader(&self, file: &File) -> Result<Box<dyn FileReader>, Problem> {
        match self.files.open(&file.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let expected = format!("one of {} bytes in {}", file.bytes, self.files.location());
                let problem = Unexpected::new("file", "none", expected);
                Err(FileError { name: file.name.clone(), problem }.into())
            }
            opened => Ok(opened?),
        }
    }
}

/// The model as the servers held it that wrote the checkpoint.
pub(super) fn spec_of(manifest: &Manifest) -> Result<ModelSpec, Problem> {
    let name = names::manifest_file(manifest.number);
    manifest.own_spec().map_err(|what| ManifestError::Content { name, what }.into())
}

/// Bytes of all files of a checkpoint but its manifest.
pub(super) fn bytes_of(manifest: &Manifest) -> u64 {
    manifest.files.iter().map(|file| file.bytes).sum()
}

/// Numbers for people.
pub(super) fn list(numbers: impl IntoIterator<Item = u64>) -> String {
    numbers.into_iter().map(|number| number.to_string()).collect::<Vec<_>>().join(", ")
}
