//! A file of batches. A journal is a chain of them: each says where the one before it ended.

use super::batch::{self, BATCH_HEADER_BYTES, BatchHeader};
use super::fields::{Fields, put_u32, put_u64};
use crate::ids::ShardId;
use crate::unexpected::Unexpected;

/// The format that is written, and the only one that is read. 2: pushes have a loss.
const FORMAT: u32 = 2;

const MAGIC: [u8; 8] = *b"ps-journ";

/// Bytes before a segment's batches.
pub const SEGMENT_HEADER_BYTES: usize = 48;

/// Bytes that are searched at once for a batch behind one that is not whole.
const WINDOW_BYTES: u64 = 1024 * 1024;

/// The names of a journal's files.
pub mod names {
    const SEGMENT: (&str, &str) = ("journal-", ".log");
    const BASE: (&str, &str) = ("base-", ".json");

    /// What is written when the job has ended whose journal is kept.
    pub const END_FILE: &str = "journal-end.json";

    /// The name of a segment: `journal-000007.log`.
    pub fn segment_file(number: u64) -> String {
        named(SEGMENT, number)
    }

    /// The name of a base: `base-000007.json`.
    pub fn base_file(number: u64) -> String {
        named(BASE, number)
    }

    /// The number in the name of a segment, to the letter.
    pub fn parse_segment_file(name: &str) -> Option<u64> {
        parse(SEGMENT, name)
    }

    /// The number in the name of a base, to the letter.
    pub fn parse_base_file(name: &str) -> Option<u64> {
        parse(BASE, name)
    }

    fn named((prefix, suffix): (&str, &str), number: u64) -> String {
        format!("{prefix}{number:06}{suffix}")
    }

    fn parse(around: (&str, &str), name: &str) -> Option<u64> {
        let number = name.strip_prefix(around.0)?.strip_suffix(around.1)?.parse().ok()?;
        (named(around, number) == name).then_some(number)
    }
}

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Whose it is.
    pub shard: ShardId,
    /// Which of the journal; one that is not the first goes on where the one before it ended.
    pub number: u64,
    /// How much of the one before it counts; 0 where there is none.
    pub previous_bytes: u64,
    /// Drawn for it, so that nothing that a worker sends can be taken for a batch.
    pub salt: u64,
}

impl SegmentHeader {
    /// The beginning of the file.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        put_u32(&mut bytes, FORMAT);
        put_u32(&mut bytes, self.shard);
        put_u64(&mut bytes, self.number);
        put_u64(&mut bytes, self.previous_bytes);
        put_u64(&mut bytes, self.salt);
        put_u32(&mut bytes, 0);
        let crc = crc32fast::hash(&bytes);
        put_u32(&mut bytes, crc);
        bytes
    }

    /// Reads the beginning of a file.
    ///
    /// # Errors
    /// It is no segment's, was changed, or is of another format.
    pub fn decode(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Result<Self, Unexpected> {
        let (rest, crc) = bytes.split_at(SEGMENT_HEADER_BYTES - size_of::<u32>());
        let is_whole = crc32fast::hash(rest).to_le_bytes() == crc;
        let strange = || Unexpected::new("beginning", "other bytes", "that of a journal's segment");
        let fields = rest.strip_prefix(&MAGIC).filter(|_| is_whole).ok_or_else(strange)?;
        let mut fields = Fields(fields);
        let mut read = || {
            let format = fields.u32()?;
            let shard = fields.u32()?;
            let (number, previous_bytes, salt) = (fields.u64()?, fields.u64()?, fields.u64()?);
            Ok((format, Self { shard, number, previous_bytes, salt }))
        };
        let (format, header) = read().map_err(|_: super::fields::Malformed| strange())?;
        let expected = format!("{FORMAT}: use the version of the program that wrote it");
        Unexpected::unless(format == FORMAT, "format", format, expected)?;
        Ok(header)
    }
}

/// Why a segment is not read to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}, byte {at}: {problem}")]
pub struct SegmentError {
    /// The file.
    pub name: String,
    /// Where in it.
    pub at: u64,
    /// What does not fit.
    pub problem: Unexpected,
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEnd {
    /// How much of it counts.
    pub bytes: u64,
    /// What follows: of a batch that was being written when the power failed or the process died.
    pub torn_bytes: u64,
}

/// A segment that is being read, batch after batch.
#[derive(Debug)]
pub struct Segment {
    name: String,
    header: SegmentHeader,
    bytes: u64,
    /// Where the next batch begins.
    at: u64,
    /// Its number.
    next: u64,
    records: Vec<u8>,
}

impl Segment {
    /// Opens a segment of this many bytes through `read_at`, which fills memory from a place in the file. `None`: it ends
    /// before its header, as one does that was just being created.
    ///
    /// # Errors
    /// It cannot be read, or is no segment of this shard and number.
    pub fn open<E: From<SegmentError>>(
        shard: ShardId,
        number: u64,
        bytes: u64,
        mut read_at: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Option<Self>, E> {
        let name = names::segment_file(number);
        if bytes < SEGMENT_HEADER_BYTES as u64 {
            return Ok(None);
        }
        let mut header = [0; SEGMENT_HEADER_BYTES];
        read_at(0, &mut header)?;
        let checked = SegmentHeader::decode(&header).and_then(|header| {
            Unexpected::unless(header.shard == shard, "shard", header.shard, shard)?;
            Unexpected::unless(header.number == number, "number", header.number, number)?;
            Ok(header)
        });
        match checked {
            Ok(header) => {
                let at = SEGMENT_HEADER_BYTES as u64;
                Ok(Some(Self { name, header, bytes, at, next: 0, records: Vec::new() }))
            }
            // Its header is written and synced before any batch.
            Err(_) if bytes == SEGMENT_HEADER_BYTES as u64 => Ok(None),
            Err(problem) => Err(SegmentError { name, at: 0, problem }.into()),
        }
    }

    /// Where its next batch begins, in bytes.
    pub fn place(&self) -> u64 {
        self.at
    }

    /// What it says of itself.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// The records of the next batch, or how the segment ends.
    ///
    /// # Errors
    /// It cannot be read, or was changed after it was written.
    pub fn next<E: From<SegmentError>>(
        &mut self,
        mut read_at: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Result<&[u8], SegmentEnd>, E> {
        let found = self.batch_at(self.at, &mut read_at)?.filter(|found| found.number == self.next);
        let Some(found) = found else {
            return self.end(read_at).map(Err);
        };
        self.at += (BATCH_HEADER_BYTES + found.bytes as usize) as u64;
        self.next += 1;
        Ok(Ok(&self.records))
    }

    /// Reads the batch that begins here, if one does.
    fn batch_at<E>(
        &mut self,
        at: u64,
        read_at: &mut impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<Option<BatchHeader>, E> {
        let left = self.bytes.saturating_sub(at);
        if left < BATCH_HEADER_BYTES as u64 {
            return Ok(None);
        }
        let mut header = [0; BATCH_HEADER_BYTES];
        read_at(at, &mut header)?;
        let left = left - BATCH_HEADER_BYTES as u64;
        let fits = |header: &BatchHeader| u64::from(header.bytes) <= left;
        let Some(header) = BatchHeader::decode(&header).filter(fits) else { return Ok(None) };
        self.records.resize(header.bytes as usize, 0);
        read_at(at + BATCH_HEADER_BYTES as u64, &mut self.records)?;
        Ok(Some(header).filter(|header| header.fits(self.header.salt, &self.records)))
    }

    /// What follows the last whole batch: a torn one, if no later one was written.
    fn end<E: From<SegmentError>>(
        &mut self,
        mut read_at: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<SegmentEnd, E> {
        let mut window = Vec::new();
        let mut begin = self.at;
        while begin < self.bytes {
            window.resize((self.bytes - begin).min(WINDOW_BYTES) as usize, 0);
            read_at(begin, &mut window)?;
            let mut from = 0;
            while let Some(place) = batch::find(&window, from) {
                let later = self.batch_at(begin + place as u64, &mut read_at)?;
                if let Some(later) = later.filter(|later| later.number > self.next) {
                    return Err(self.changed(later.number).into());
                }
                from = place + 1;
            }
            // A beginning may lie across two windows.
            let step = window.len() - BATCH_HEADER_BYTES.min(window.len() - 1);
            begin += step as u64;
        }
        Ok(SegmentEnd { bytes: self.at, torn_bytes: self.bytes.saturating_sub(self.at) })
    }

    /// A batch is not whole, and one with this number follows it.
    fn changed(&self, later: u64) -> SegmentError {
        let found = format!("bytes that are not batch {}", self.next);
        let expected =
            format!("that batch whole: batch {later} follows it, so that it was on the disk once");
        let problem = Unexpected::new("batch", found, expected);
        SegmentError { name: self.name.clone(), at: self.at, problem }
    }
}
