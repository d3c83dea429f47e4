//! A shard's journal as it lies in a folder, read from one of its bases on: by a server that comes back, and by whoever looks
//! at what happened.

use super::JournalError;
use ps_core::checkpoint::{Assembly, RestoredShard, StoredShard};
use ps_core::journal::{Base, JournalEnd, Record, Segment, SegmentEnd, SegmentError, names};
use ps_core::model_spec::ModelSpec;
use ps_core::shard::{ReplayError, Shard};
use ps_core::unexpected::Unexpected;
use ps_runtime::files::Files;
use std::collections::BTreeSet;
use std::time::Duration;

/// Which of its bases a journal is read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadFrom {
    /// The oldest that is there: all that happened since.
    #[default]
    Oldest,
    /// The newest: as little as possible.
    Newest,
}

/// A journal in a folder.
pub struct StoredJournal {
    files: Files,
    names: Vec<String>,
    base: Base,
    spec: ModelSpec,
}

/// What was read of a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadJournal {
    /// The number that the next segment would have.
    pub next: u64,
    /// How much of the last segment counts, in bytes.
    pub end: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes of them that count.
    pub bytes: u64,
    /// Bytes at the ends of segments that are no whole batch, as deaths leave them: nothing in them was acknowledged.
    pub torn_bytes: u64,
}

impl StoredJournal {
    /// The journal of a folder; `None`: there is no base, so that it holds no shard.
    ///
    /// # Errors
    /// The base cannot be read, or was changed.
    pub fn find(files: &Files, from: ReadFrom) -> Result<Option<Self>, JournalError> {
        let names = files.list()?;
        let numbers = names.iter().filter_map(|name| names::parse_base_file(name));
        let number = match from {
            ReadFrom::Oldest => numbers.min(),
            ReadFrom::Newest => numbers.max(),
        };
        let Some(number) = number else { return Ok(None) };
        let name = names::base_file(number);
        let base = Base::decode(&name, &files.read(&name)?)?;
        let spec = base.spec()?;
        Ok(Some(Self { files: files.clone(), names, base, spec }))
    }

    /// What it stands on.
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// The model.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Where it ends, if its job has ended and it was kept.
    ///
    /// # Errors
    /// What says so cannot be read, or was changed.
    pub fn end(&self) -> Result<Option<JournalEnd>, JournalError> {
        let is_there = self.names.iter().any(|name| name == names::END_FILE);
        let end = is_there.then(|| self.files.read(names::END_FILE)).transpose()?;
        Ok(end.map(|bytes| JournalEnd::decode(&bytes)).transpose()?)
    }

    /// Makes an empty shard what it was when it was written whole.
    ///
    /// # Errors
    /// Its values cannot be read, or were changed.
    pub fn recover(&self, shard: &Shard, now: Duration) -> Result<(), JournalError> {
        let restored = self.read_values()?;
        let failed = |error| JournalError::Replay { name: self.base.name(), at: 0, error };
        shard.recover(&self.base, restored, now).map_err(failed)
    }

    fn read_values(&self) -> Result<RestoredShard, JournalError> {
        let (file, count) = (&self.base.file, self.spec.shards);
        let reader = self.files.open(&file.name)?;
        let read_at = |place, into: &mut [u8]| Ok::<_, JournalError>(reader.read_at(place, into)?);
        let stored = StoredShard::open(file, count, &self.spec, reader.bytes(), read_at)?;
        let mut assembly = Assembly::new(&self.spec, self.base.shard);
        assembly.add(file, count as usize, &stored, read_at)?;
        Ok(assembly.finish()?)
    }

    /// Reads what was written down since, in order, with one batch in memory; each record is given to `take`.
    ///
    /// # Errors
    /// A segment is missing, cannot be read or was changed, or `take` refuses a record.
    pub fn read(
        &self,
        take: &mut dyn FnMut(&Record<'_>) -> Result<(), ReplayError>,
    ) -> Result<ReadJournal, JournalError> {
        let number = self.base.number;
        let segments = self.names.iter().filter_map(|name| names::parse_segment_file(name));
        let segments: BTreeSet<u64> = segments.filter(|found| *found >= number).collect();
        let mut read = ReadJournal { next: number, ..ReadJournal::default() };
        let Some(&last) = segments.last() else {
            let why = format!("{} stands before it", self.base.name());
            return Err(JournalError::Missing { missing: names::segment_file(number), why });
        };
        for found in segments {
            if found != read.next {
                let why = format!("{} goes on after it", names::segment_file(found));
                return Err(JournalError::Missing { missing: names::segment_file(read.next), why });
            }
            let before = (read.segments > 0).then_some(read.end);
            let Some(end) = self.read_segment(found, before, take)? else {
                // It was being created when its process ended: nothing is in it.
                if last == found {
                    break;
                }
                let why = "it has no beginning, and another one goes on after it".to_owned();
                return Err(JournalError::Missing { missing: names::segment_file(found), why });
            };
            read.next = found + 1;
            read.end = end.bytes;
            read.segments += 1;
            read.bytes += end.bytes;
            read.torn_bytes += end.torn_bytes;
        }
        Ok(read)
    }

    /// Reads a segment; how it ends, if it has a beginning.
    fn read_segment(
        &self,
        number: u64,
        before: Option<u64>,
        take: &mut dyn FnMut(&Record<'_>) -> Result<(), ReplayError>,
    ) -> Result<Option<SegmentEnd>, JournalError> {
        let name = names::segment_file(number);
        let reader = self.files.open(&name)?;
        let read_at = |place, into: &mut [u8]| Ok::<_, JournalError>(reader.read_at(place, into)?);
        let opened = Segment::open(self.base.shard, number, reader.bytes(), read_at)?;
        let Some(mut segment) = opened else { return Ok(None) };
        if let Some(before) = before {
            let expected = segment.header().previous_bytes;
            let name = names::segment_file(number - 1);
            let problem = || Unexpected::new("bytes that count", before, expected);
            if before != expected {
                return Err(SegmentError { name, at: before, problem: problem() }.into());
            }
        }
        loop {
            let at = segment.place();
            let mut records = match segment.next(read_at)? {
                Ok(records) => records,
                Err(end) => return Ok(Some(end)),
            };
            let failed = |error| JournalError::Record { name: name.clone(), at, error };
            while let Some(record) = Record::decode(&mut records).map_err(failed)? {
                let failed = |error| JournalError::Replay { name: name.clone(), at, error };
                take(&record).map_err(failed)?;
            }
        }
    }
}

impl ReadJournal {
    /// Holds what was read against where the journal ended when its job was over.
    ///
    /// # Errors
    /// Something is missing at its end; the message names the file and the byte.
    pub fn check_end(&self, end: &JournalEnd) -> Result<(), JournalError> {
        let last = self.next.saturating_sub(1);
        if last < end.segment {
            let why = format!("{} says that the journal ends with it", names::END_FILE);
            return Err(JournalError::Missing { missing: names::segment_file(end.segment), why });
        }
        if (last, self.end) == (end.segment, end.bytes) {
            return Ok(());
        }
        let (found, expected) = ((last, self.end), (end.segment, end.bytes));
        let words = |(segment, bytes): (u64, u64)| format!("{bytes} of segment {segment}");
        let problem = Unexpected::new("bytes that count at the end", words(found), words(expected));
        Err(SegmentError { name: names::segment_file(last), at: self.end, problem }.into())
    }
}
