//! Processes that die at a chosen durable step: before it, after it, or in the middle of a write (docs/adr/0041-fail-points.md).
//!
//! What a process leaves behind it does through a [`FileStore`], so this is where each of these steps can be counted.

use super::{FileReader, FileStore, FileWriter, Files};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

/// Something that a process does to its files, and that may outlive it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DurableStep {
    /// A new empty file.
    Create,
    /// Bytes in a file.
    Write,
    /// What was written to a file is durable.
    Sync,
    /// A file has another name.
    Rename,
    /// The names are durable.
    SyncNames,
    /// A file is gone.
    Remove,
}

impl DurableStep {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Create, Self::Write, Self::Sync, Self::Rename, Self::SyncNames, Self::Remove];

    /// The word for it in a [`FailPoint`].
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Rename => "rename",
            Self::SyncNames => "sync-names",
            Self::Remove => "remove",
        }
    }
}

/// When a process dies, seen from a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Nothing of it is done.
    Before,
    /// Half of the bytes are written.
    Half,
    /// All of it is done, and nobody was told.
    After,
}

/// At which of its durable steps a process dies: `before:17` is the 17th of all, `after:rename:2` the second of its kind,
/// `half:write:3` the third write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailPoint {
    /// Before, after, or in the middle.
    pub moment: Moment,
    /// Of which kind; `None`: any.
    pub step: Option<DurableStep>,
    /// Which one, from 1.
    pub count: u64,
}

/// A text that is no fail point.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}`: expected before:N, after:N, before:STEP:N, after:STEP:N or half:write:N, with STEP one of create, write, sync, \
     rename, sync-names, remove, and N from 1"
)]
pub struct FailPointError {
    /// The text.
    pub found: String,
}

impl FromStr for FailPoint {
    type Err = FailPointError;

    fn from_str(text: &str) -> Result<Self, FailPointError> {
        let strange = || FailPointError { found: text.to_owned() };
        let words: Vec<&str> = text.split(':').collect();
        let (moment, step, count) = match *words.as_slice() {
            [moment, count] => (moment, None, count),
            [moment, step, count] => {
                let step = DurableStep::ALL.into_iter().find(|it| it.word() == step);
                (moment, Some(step.ok_or_else(strange)?), count)
            }
            _ => return Err(strange()),
        };
        let moment = match moment {
            "before" => Moment::Before,
            "after" => Moment::After,
            // Nothing else has a middle.
            "half" if step == Some(DurableStep::Write) => Moment::Half,
            _ => return Err(strange()),
        };
        let count = count.parse().ok().filter(|count| *count > 0).ok_or_else(strange)?;
        Ok(Self { moment, step, count })
    }
}

impl fmt::Display for FailPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.moment {
            Moment::Before => "before:",
            Moment::Half => "half:",
            Moment::After => "after:",
        })?;
        if let Some(step) = self.step {
            write!(f, "{}:", step.word())?;
        }
        write!(f, "{}", self.count)
    }
}

/// What happens at durable steps.
pub trait AtDurableSteps: Send + Sync {
    /// One of them begins.
    fn begins(&self, step: DurableStep, name: &str);

    /// The process dies here. Who returns has it go on with this error; no step of it has an effect any more.
    fn dies(&self, at: &str) -> io::Error;

    /// Another thread of the process that is dying wants to do a step: it must not hear of an error that nobody who is killed
    /// hears of. Who returns has it go on with this one.
    fn is_dying(&self) -> io::Error;
}

/// The durable steps of one process, whichever stores they are in.
#[derive(Clone)]
pub struct DurableSteps(Arc<Watched>);

struct Watched {
    point: Option<FailPoint>,
    counts: Mutex<Counts>,
    at: Box<dyn AtDurableSteps>,
}

#[derive(Default)]
struct Counts {
    all: u64,
    of_kind: BTreeMap<DurableStep, u64>,
    is_dead: bool,
}

impl DurableSteps {
    /// Those of a process that begins now, and dies at this point.
    pub fn new(point: Option<FailPoint>, at: impl AtDurableSteps + 'static) -> Self {
        Self(Arc::new(Watched { point, counts: Mutex::default(), at: Box::new(at) }))
    }

    /// A store whose steps are among them.
    pub fn watch(&self, files: Files) -> Files {
        Arc::new(WatchedStore { files, steps: self.clone() })
    }

    /// Counts a step; when in it the process dies, if it does.
    fn count(&self, step: DurableStep, name: &str) -> io::Result<Option<Moment>> {
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.is_dead {
            drop(counts);
            return Err(self.0.at.is_dying());
        }
        counts.all += 1;
        let of_kind = counts.of_kind.entry(step).or_default();
        *of_kind += 1;
        let of_kind = *of_kind;
        let is_here = |point: &FailPoint| match point.step {
            None => counts.all == point.count,
            Some(kind) => kind == step && of_kind == point.count,
        };
        let moment = self.0.point.filter(is_here).map(|point| point.moment);
        counts.is_dead = moment.is_some();
        drop(counts);
        self.0.at.begins(step, name);
        Ok(moment)
    }

    /// Does a step, told how much of it, unless the process dies before.
    fn step<T>(
        &self,
        step: DurableStep,
        name: &str,
        run: impl FnOnce(Part) -> io::Result<T>,
    ) -> io::Result<T> {
        let Some(moment) = self.count(step, name)? else { return run(Part::Whole) };
        // Whether it could be done is nobody's concern any more.
        let when = match moment {
            Moment::Before => "before",
            Moment::Half => {
                let _ = run(Part::Half);
                "in the middle of"
            }
            Moment::After => {
                let _ = run(Part::Whole);
                "after"
            }
        };
        Err(self.0.at.dies(&format!("{when} {} {name}", step.word())))
    }
}

/// How much of a step is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Half,
    Whole,
}

struct WatchedStore {
    files: Files,
    steps: DurableSteps,
}

impl FileStore for WatchedStore {
    fn create(&self, name: &str) -> io::Result<Box<dyn FileWriter>> {
        let file = self.steps.step(DurableStep::Create, name, |_| self.files.create(name))?;
        Ok(Box::new(WatchedFile { file, name: name.to_owned(), steps: self.steps.clone() }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn FileReader>> {
        self.files.open(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.steps.step(DurableStep::Rename, to, |_| self.files.rename(from, to))
    }

    fn sync(&self) -> io::Result<()> {
        self.steps.step(DurableStep::SyncNames, "names", |_| self.files.sync())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.files.list()
    }

    fn rewrite(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.steps.step(DurableStep::Rename, name, |_| self.files.rewrite(name, bytes))
    }

    fn reserve(&self, name: &str, bytes: u64) -> io::Result<()> {
        self.files.reserve(name, bytes)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.steps.step(DurableStep::Remove, name, |_| self.files.remove(name))
    }

    fn location(&self) -> String {
        self.files.location()
    }
}

struct WatchedFile {
    file: Box<dyn FileWriter>,
    name: String,
    steps: DurableSteps,
}

impl FileWriter for WatchedFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let file = &mut self.file;
        self.steps.step(DurableStep::Write, &self.name, |part| {
            let end = if part == Part::Half { bytes.len() / 2 } else { bytes.len() };
            file.write_at(offset, &bytes[..end])
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        let file = &mut self.file;
        self.steps.step(DurableStep::Sync, &self.name, |_| file.sync())
    }
}

#[cfg(test)]
mod tests;
