//! Protobuf, field by field, as the bytes arrive.

use super::reader::{MessageReader, malformed};
use bytes::Bytes;
use prost::Message;
use tonic::Status;

/// Wire types, as protobuf numbers them.
pub(super) const VARINT: u8 = 0;
pub(super) const FIXED64: u8 = 1;
pub(super) const LEN: u8 = 2;
pub(super) const START_GROUP: u8 = 3;
pub(super) const END_GROUP: u8 = 4;
pub(super) const FIXED32: u8 = 5;

/// Groups within groups that an unknown field may have: as many as prost allows.
const GROUPS_MAX: usize = 100;

/// Bytes of the longest varint.
const VARINT_BYTES_MAX: u32 = 10;

/// Number and wire type of a field.
pub(super) type Key = (u32, u8);

impl MessageReader {
    /// Whether the innermost open field, or the message, is read.
    pub(super) fn at_end(&self) -> bool {
        self.left == self.floor
    }

    /// How many fields are open.
    pub(super) fn depth(&self) -> usize {
        self.outer.len()
    }

    /// Opens a length-delimited field: until it is left, nothing beyond it is read.
    pub(super) async fn enter(&mut self) -> Result<(), Status> {
        let length = self.length().await?;
        self.outer.push(self.floor);
        self.floor = self.left - length;
        Ok(())
    }

    /// Leaves the innermost open field, whatever of it is unread.
    pub(super) async fn leave(&mut self) -> Result<(), Status> {
        self.pass(self.left - self.floor).await?;
        self.floor = self.outer.pop().unwrap_or(0);
        Ok(())
    }

    /// The next field's key.
    pub(super) async fn key(&mut self) -> Result<Key, Status> {
        let key = u32::try_from(self.varint().await?);
        let key = key.map_err(|_| malformed("a field number is too large"))?;
        let (number, wire) = (key >> 3, (key & 7) as u8);
        if number == 0 || wire > FIXED32 {
            return Err(malformed("no field has such a key"));
        }
        Ok((number, wire))
    }

    pub(super) async fn varint(&mut self) -> Result<u64, Status> {
        let mut value = 0_u64;
        for position in 0..VARINT_BYTES_MAX {
            let mut byte = [0];
            self.fill(&mut byte).await?;
            let [byte] = byte;
            // The tenth byte has room for one bit.
            if position == VARINT_BYTES_MAX - 1 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * position);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(malformed("a varint does not end"))
    }

    /// A `uint32`: protobuf keeps the lower half of what was sent.
    pub(super) async fn uint32(&mut self) -> Result<u32, Status> {
        Ok(self.varint().await? as u32)
    }

    /// The length of the field that begins here, within what it is in.
    pub(super) async fn length(&mut self) -> Result<usize, Status> {
        let length = usize::try_from(self.varint().await?).ok();
        length
            .filter(|&length| length <= self.left - self.floor)
            .ok_or_else(|| malformed("a field is longer than what it is in"))
    }

    /// A message of a few small fields, decoded by the generated code.
    pub(super) async fn header<M: Message + Default>(
        &mut self,
        bytes_max: usize,
        check: impl Fn(&Bytes) -> Result<(), Status>,
    ) -> Result<M, Status> {
        let length = self.length().await?;
        if length > bytes_max {
            let message = format!("header of {length} bytes, expected at most {bytes_max}");
            return Err(Status::invalid_argument(message));
        }
        let bytes = self.bytes(length).await?;
        check(&bytes)?;
        M::decode(bytes).map_err(|error| malformed(&error.to_string()))
    }

    /// A message within this one, as large as this one may be.
    pub(super) async fn field_message<M: Message + Default>(&mut self) -> Result<M, Status> {
        let length = self.length().await?;
        let bytes = self.bytes(length).await?;
        M::decode(bytes).map_err(|error| malformed(&error.to_string()))
    }

    /// Passes over a field of a newer protocol.
    pub(super) async fn skip(&mut self, (number, wire): Key) -> Result<(), Status> {
        match wire {
            START_GROUP => self.skip_group(number).await,
            _ => self.skip_value(wire).await,
        }
    }

    async fn skip_value(&mut self, wire: u8) -> Result<(), Status> {
        let length = match wire {
            VARINT => return self.varint().await.map(|_| ()),
            FIXED64 => 8,
            FIXED32 => 4,
            LEN => self.length().await?,
            _ => return Err(malformed("a group ends that was not begun")),
        };
        self.pass(length).await
    }

    async fn skip_group(&mut self, number: u32) -> Result<(), Status> {
        let mut open = vec![number];
        while let Some(&innermost) = open.last() {
            match self.key().await? {
                (number, END_GROUP) if number == innermost => drop(open.pop()),
                (number, START_GROUP) if open.len() < GROUPS_MAX => open.push(number),
                (_, START_GROUP) => return Err(malformed("too many groups within groups")),
                (_, wire) => self.skip_value(wire).await?,
            }
        }
        Ok(())
    }
}

/// A known field of another type.
pub(super) fn wrong_type(message: &str, number: u32) -> Status {
    malformed(&format!("{message}: field {number} is of another type"))
}
