//! A disk in memory that does what disks do: a crash loses what was not synced, or keeps a part of it,
//! and there may be no room.

use super::{FileReader, FileStore, FileWriter};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk(Arc<Mutex<Disk>>);

type Names = BTreeMap<String, Arc<Mutex<Content>>>;

#[derive(Debug, Default)]
struct Disk {
    names: Names,
    synced_names: Names,
    /// Since the names were synced, in order.
    changes: Vec<Change>,
    /// Bytes that all files together may have.
    room_bytes: Option<u64>,
    /// Operations until the power fails; from then on all of them do.
    operations_left: Option<u64>,
    /// Which files are renamed late, and the renaming that is due.
    late: Option<Late>,
}

#[derive(Debug)]
struct Late {
    is_late: fn(&str) -> bool,
    due: Option<Change>,
}

#[derive(Debug)]
enum Change {
    Named(String, Arc<Mutex<Content>>),
    /// One step: after a crash it has the one name or the other.
    Renamed(String, String),
    Removed(String),
}

#[derive(Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    /// Since it was synced, in order.
    writes: Vec<(usize, Vec<u8>)>,
}

impl SimulatedDisk {
    /// A file's content, if it is there.
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let content = self.disk().names.get(name)?.clone();
        let bytes = locked(&content).bytes.clone();
        Some(bytes)
    }

    /// Room for so many bytes in all; a write beyond it fails and leaves a part of it behind.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.disk().room_bytes = bytes;
    }

    /// Lets so many more operations succeed, and none after them until [`SimulatedDisk::crash`].
    pub fn fail_after(&self, operations: u64) {
        self.disk().operations_left = Some(operations);
    }

    /// From now on a file of such a name gets it when the next one of them is to get its own: as if who says that it is there had
    /// said so too early. For tests that show what the right order is good for.
    pub fn rename_late(&self, is_late: fn(&str) -> bool) {
        self.disk().late = Some(Late { is_late, due: None });
    }

    /// The power fails and comes back: of what was not synced each write is there, or a part of it, or
    /// nothing; of new names the first ones are. The same seed, the same losses.
    pub fn crash(&self, seed: u64) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let disk = &mut *self.disk();
        let kept = random.random_range(0..=disk.changes.len());
        for change in disk.changes.drain(..).take(kept) {
            change.apply(&mut disk.synced_names);
        }
        disk.changes.clear();
        disk.names = disk.synced_names.clone();
        disk.names.values().for_each(|content| locked(content).crash(&mut random));
        disk.operations_left = None;
        disk.late = None;
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        locked(&self.0)
    }

    /// The disk, if it still has power.
    fn operation(&self, name: &str) -> io::Result<MutexGuard<'_, Disk>> {
        let mut disk = self.disk();
        match &mut disk.operations_left {
            Some(0) => Err(failed(ErrorKind::Other, name, "the disk has no power")),
            Some(left) => {
                *left -= 1;
                Ok(disk)
            }
            None => Ok(disk),
        }
    }
}

impl Change {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Named(name, content) => drop(names.insert(name.clone(), content.clone())),
            Self::Removed(name) => drop(names.remove(name)),
            Self::Renamed(from, to) => {
                if let Some(content) = names.remove(from) {
                    names.insert(to.clone(), content);
                }
            }
        }
    }
}

impl Disk {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    /// How many of these further bytes there is room for.
    fn room(&self, bytes: usize) -> usize {
        let Some(room) = self.room_bytes else { return bytes };
        let used: u64 = self.names.values().map(|content| locked(content).bytes.len() as u64).sum();
        bytes.min(room.saturating_sub(used) as usize)
    }
}

impl Content {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        write(&mut self.bytes, offset, bytes);
        self.writes.push((offset, bytes.to_owned()));
    }

    /// Costs what was written since, not what the file has: a journal is synced after every batch.
    fn sync(&mut self) {
        for (offset, bytes) in self.writes.drain(..) {
            write(&mut self.synced, offset, &bytes);
        }
    }

    fn crash(&mut self, random: &mut ChaCha8Rng) {
        for (offset, bytes) in self.writes.drain(..) {
            let kept = match random.random_range(0..3) {
                0 => 0,
                1 => bytes.len(),
                _ => random.random_range(0..=bytes.len()),
            };
            write(&mut self.synced, offset, &bytes[..kept]);
        }
        self.bytes = self.synced.clone();
    }
}

fn write(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

impl FileStore for SimulatedDisk {
    fn create(&self, name: &str) -> io::Result<Box<dyn FileWriter>> {
        let content = Arc::<Mutex<Content>>::default();
        self.operation(name)?.change(Change::Named(name.to_owned(), content.clone()));
        Ok(Box::new(OpenFile { disk: self.clone(), name: name.to_owned(), content }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn FileReader>> {
        let disk = self.operation(name)?;
        let content = disk.names.get(name).cloned();
        let content = content.ok_or_else(|| failed(ErrorKind::NotFound, name, "no such file"))?;
        Ok(Box::new(OpenFile { disk: self.clone(), name: name.to_owned(), content }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.operation(from)?;
        if !disk.names.contains_key(from) {
            return Err(failed(ErrorKind::NotFound, from, "no such file"));
        }
        let renamed = Change::Renamed(from.to_owned(), to.to_owned());
        let now = match &mut disk.late {
            Some(late) if (late.is_late)(to) => late.due.replace(renamed),
            _ => Some(renamed),
        };
        now.into_iter().for_each(|change| disk.change(change));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = self.operation("names")?;
        disk.synced_names = disk.names.clone();
        disk.changes.clear();
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.operation("names")?.names.keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.operation(name)?.change(Change::Removed(name.to_owned()));
        Ok(())
    }

    fn location(&self) -> String {
        "memory".to_owned()
    }
}

struct OpenFile {
    disk: SimulatedDisk,
    name: String,
    content: Arc<Mutex<Content>>,
}

impl FileWriter for OpenFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let disk = self.disk.operation(&self.name)?;
        let end = offset as usize + bytes.len();
        let more = end.saturating_sub(locked(&self.content).bytes.len());
        let missing = more - disk.room(more);
        locked(&self.content).write(offset as usize, &bytes[..bytes.len().saturating_sub(missing)]);
        match missing {
            0 => Ok(()),
            _ => Err(failed(ErrorKind::StorageFull, &self.name, "no space left on the disk")),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let _disk = self.disk.operation(&self.name)?;
        locked(&self.content).sync();
        Ok(())
    }
}

impl FileReader for OpenFile {
    fn bytes(&self) -> u64 {
        locked(&self.content).bytes.len() as u64
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let _disk = self.disk.operation(&self.name)?;
        let content = locked(&self.content);
        let end = (offset as usize).saturating_add(into.len());
        let found = content.bytes.get(offset as usize..end);
        let short = || failed(ErrorKind::UnexpectedEof, &self.name, "it ends before");
        into.copy_from_slice(found.ok_or_else(short)?);
        Ok(())
    }
}

fn failed(kind: ErrorKind, name: &str, why: &str) -> io::Error {
    io::Error::new(kind, format!("{name}: {why}"))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
