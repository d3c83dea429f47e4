use super::*;
use crate::TensorKind;
use crate::chunk::NonFinite;
use crate::ids::PushId;
use crate::span::Span;
use proptest::prelude::*;
use ps_kernels::encoding::Encoding;

fn ids() -> impl Strategy<Value = PushId> {
    any::<(u32, u64, u64)>().prop_map(|(worker, incarnation, seq)| PushId {
        worker,
        incarnation,
        seq,
    })
}

fn results() -> impl Strategy<Value = ChunkResult> {
    prop_oneof![
        any::<u64>().prop_map(ChunkResult::Applied),
        Just(ChunkResult::Refused(NonFinite::Gradient)),
        Just(ChunkResult::Refused(NonFinite::Result)),
    ]
}

proptest! {
    #[test]
    fn records_are_read_as_they_were_written(
        (id, seq, counts, ends_step) in (ids(), any::<u64>(), any::<(u64, u32)>(), any::<bool>()),
        (result, numbers, encoding) in (results(), any::<(u32, u64, u64, f32)>(), 0_usize..4),
        spans in prop::collection::vec(any::<(u32, u32)>(), 0..4),
        (values, positions) in any::<(Vec<u8>, Vec<u8>)>(),
        raised in prop::collection::vec(any::<(u32, u64)>(), 0..4),
    ) {
        prop_assume!(!numbers.3.is_nan());
        let push = PushRecord { id, oldest: seq, clock_after: counts.0, chunks: counts.1, ends_step, loss: numbers.3 };
        let chunk = ChunkRecord {
            id,
            chunk: numbers.0,
            result,
            pulled_version: numbers.1,
            clock: numbers.2,
            learning_rate: numbers.3,
            kind: if ends_step { TensorKind::State } else { TensorKind::Trainable },
            encoding: Encoding::ALL[encoding],
            spans: spans.into_iter().map(|(start, len)| Span { start, len }).collect(),
            values: &values,
            positions: &positions,
        };
        let fence = FenceRecord { life: seq, epoch: counts.0, raised };
        let written = [Record::Push(push), Record::Chunk(chunk), Record::Fence(fence)];
        let mut bytes = Vec::new();
        written.iter().for_each(|record| record.encode(&mut bytes));
        let mut rest = bytes.as_slice();
        for record in &written {
            let read = Record::decode(&mut rest).unwrap();
            prop_assert_eq!(read.as_ref(), Some(record));
        }
        prop_assert_eq!(Record::decode(&mut rest), Ok(None));
        // Cut anywhere, what is left is fewer records or none, never another one.
        for length in 0..bytes.len() {
            let mut cut = &bytes[..length];
            let mut whole = 0;
            while let Ok(Some(record)) = Record::decode(&mut cut) {
                prop_assert_eq!(&record, &written[whole]);
                whole += 1;
            }
        }
    }
}

const SALT: u64 = 77;

/// A segment of these batches.
fn segment(batches: &[&[u8]]) -> Vec<u8> {
    let header = SegmentHeader { shard: 3, number: 5, previous_bytes: 48, salt: SALT };
    let mut bytes = header.encode();
    assert_eq!(bytes.len(), SEGMENT_HEADER_BYTES);
    for (number, records) in (0..).zip(batches) {
        let mut batch = vec![0; BATCH_HEADER_BYTES];
        batch.extend_from_slice(records);
        seal(&mut batch, SALT, number);
        bytes.extend(batch);
    }
    bytes
}

/// What is read of a segment: its batches, and how it ends.
type Read = Option<(Vec<Vec<u8>>, SegmentEnd)>;

fn read(bytes: &[u8]) -> Result<Read, SegmentError> {
    let read_at = |at: u64, into: &mut [u8]| {
        let at = at as usize;
        into.copy_from_slice(&bytes[at..at + into.len()]);
        Ok::<_, SegmentError>(())
    };
    let Some(mut segment) = Segment::open(3, 5, bytes.len() as u64, read_at)? else {
        return Ok(None);
    };
    let mut batches = Vec::new();
    loop {
        match segment.next(read_at)? {
            Ok(records) => batches.push(records.to_vec()),
            Err(end) => return Ok(Some((batches, end))),
        }
    }
}

#[test]
fn a_torn_batch_at_the_end_is_left_out_and_said() {
    let batches: [&[u8]; 3] = [b"first", b"", b"the third"];
    let bytes = segment(&batches);
    let last = bytes.len() - BATCH_HEADER_BYTES - batches[2].len();
    for length in last..bytes.len() {
        let (found, end) = read(&bytes[..length]).unwrap().unwrap();
        assert_eq!(found, batches[..2]);
        assert_eq!((end.bytes, end.torn_bytes), (last as u64, (length - last) as u64));
    }
    // A part of it that never reached the disk is zero.
    for place in last..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[place..].fill(0);
        assert_eq!(read(&bytes).unwrap().unwrap().0, batches[..2]);
    }
    let (found, end) = read(&bytes).unwrap().unwrap();
    assert_eq!((found.as_slice(), end.torn_bytes), (&batches.map(<[u8]>::to_vec)[..], 0));
}

/// One flipped bit anywhere but in the last batch is named; there, it is what a crash leaves.
#[test]
fn every_flipped_bit_is_found() {
    let batches: [&[u8]; 4] = [b"first", b"second", b"", b"the last"];
    let whole = segment(&batches);
    let last = whole.len() - BATCH_HEADER_BYTES - batches[3].len();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let found = read(&bytes);
        if bit / 8 >= last {
            assert_eq!(found.unwrap().unwrap().0, batches[..3], "bit {bit}");
        } else {
            let error = found.unwrap_err();
            assert!(error.to_string().contains("journal-000005.log"), "bit {bit}: {error}");
        }
    }
}

#[test]
fn what_looks_like_a_later_batch_within_a_torn_one_is_none() {
    // A worker knows how batches look, but not the segment's salt.
    let mut forged = vec![0; BATCH_HEADER_BYTES];
    forged.extend_from_slice(b"gradients");
    seal(&mut forged, SALT + 1, 9);
    let bytes = segment(&[b"first", &forged]);
    let (found, end) = read(&bytes[..bytes.len() - 1]).unwrap().unwrap();
    assert_eq!(found, [b"first"]);
    assert!(end.torn_bytes > 0);
}

#[test]
fn what_is_no_segment_of_this_shard_is_named() {
    assert_eq!(read(&[]).unwrap(), None, "it was just being created");
    assert_eq!(read(&segment(&[])[..20]).unwrap(), None);
    let read_at = |bytes: Vec<u8>| {
        move |at: u64, into: &mut [u8]| {
            into.copy_from_slice(&bytes[at as usize..at as usize + into.len()]);
            Ok::<_, SegmentError>(())
        }
    };
    let bytes = segment(&[b"first"]);
    for (shard, number, what) in [(2, 5, "shard"), (3, 6, "number")] {
        let read_at = read_at(bytes.clone());
        let error = Segment::open(shard, number, bytes.len() as u64, read_at).unwrap_err();
        assert_eq!(error.problem.what, what);
    }
}

#[test]
fn names_are_read_as_written() {
    for number in [1, 7, 999_999, 12_345_678] {
        assert_eq!(names::parse_segment_file(&names::segment_file(number)), Some(number));
        assert_eq!(names::parse_base_file(&names::base_file(number)), Some(number));
    }
    for other in ["journal-7.log", "journal-000007.log.partial", "base-+00007.json"] {
        assert_eq!(names::parse_segment_file(other), None);
        assert_eq!(names::parse_base_file(other), None);
    }
}

/// A journal of before has pushes without a loss.
#[test]
fn another_format_is_refused_by_its_number() {
    let mut bytes = segment(&[b"first"]);
    bytes[8..12].copy_from_slice(&1_u32.to_le_bytes());
    let crc_at = SEGMENT_HEADER_BYTES - 4;
    let crc = crc32fast::hash(&bytes[..crc_at]);
    bytes[crc_at..SEGMENT_HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    let error = read(&bytes).unwrap_err().to_string();
    assert!(error.contains("found 1, expected 2: use the version"), "{error}");
}

#[test]
fn every_flipped_bit_of_an_end_is_found() {
    let end = JournalEnd { job: "j".into(), shard: 3, segment: 5, bytes: 4_000 };
    let written = end.encode().unwrap();
    assert_eq!(JournalEnd::decode(written.as_bytes()).unwrap(), end);
    for bit in 0..written.len() * 8 {
        let mut bytes = written.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let error = JournalEnd::decode(&bytes).unwrap_err().to_string();
        assert!(error.contains(names::END_FILE), "bit {bit}: {error}");
    }
}
