//! Records that reach the disk together, or not at all.
//!
//! A batch is written, then synced, then the next one is written. So a crash can leave the last batch torn, and no other
//! one: what is not whole and has a later batch behind it was changed after it was written.

/// Bytes before a batch's records.
pub const BATCH_HEADER_BYTES: usize = 24;

const MAGIC: [u8; 8] = *b"ps-batch";

/// What stands before a batch's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BatchHeader {
    pub(super) number: u64,
    pub(super) bytes: u32,
    pub(super) crc: u32,
}

impl BatchHeader {
    pub(super) fn decode(header: &[u8; BATCH_HEADER_BYTES]) -> Option<Self> {
        let mut fields = super::fields::Fields(header.strip_prefix(&MAGIC)?);
        let (number, bytes, crc) = (fields.u64().ok()?, fields.u32().ok()?, fields.u32().ok()?);
        Some(Self { number, bytes, crc })
    }

    /// Whether these are its records, in a segment with this salt.
    pub(super) fn fits(&self, salt: u64, records: &[u8]) -> bool {
        self.bytes as usize == records.len() && self.crc == crc(salt, self.number, records)
    }
}

/// Makes a batch of these bytes, of which the first [`BATCH_HEADER_BYTES`] were left for its header: the batch of this
/// number in a segment with this salt.
pub fn seal(batch: &mut [u8], salt: u64, number: u64) {
    let (header, records) = batch.split_at_mut(BATCH_HEADER_BYTES);
    let crc = crc(salt, number, records);
    header[..8].copy_from_slice(&MAGIC);
    header[8..16].copy_from_slice(&number.to_le_bytes());
    header[16..20].copy_from_slice(&(records.len() as u32).to_le_bytes());
    header[20..].copy_from_slice(&crc.to_le_bytes());
}

/// The first place at or after `from` where a batch may begin.
pub(super) fn find(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(MAGIC.len()).position(|window| window == MAGIC).map(|at| from + at)
}

/// CRC-32 of a batch. The segment's salt is in it, so that no bytes of a record can be taken for a batch.
fn crc(salt: u64, number: u64, records: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&number.to_le_bytes());
    hasher.update(&(records.len() as u32).to_le_bytes());
    hasher.update(records);
    hasher.finalize()
}
