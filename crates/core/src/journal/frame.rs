//! The bytes around a record.

/// Largest payload of a record.
pub const MAX_RECORD: usize = 1 << 20;

/// Bytes before the payload.
pub const HEAD: usize = 24;

/// Bytes that every file of a journal begins with, whatever its version.
pub const FILE_HEAD: usize = 16;

/// The format written here: a folder of segments.
pub const VERSION: u32 = 2;

/// The format before: one file, with records right behind the first bytes. It is read, and continued in segments.
pub const VERSION_OF_ONE_FILE: u32 = 1;

/// What every file of a journal begins with.
pub const MAGIC: [u8; 8] = *b"SNPRJRNL";

/// The first bytes of a file of `version`.
#[must_use]
pub fn file_head(version: u32) -> [u8; FILE_HEAD] {
    let mut bytes = [0; FILE_HEAD];
    let (checked, checksum) = bytes.split_at_mut(12);
    let (magic, number) = checked.split_at_mut(8);
    magic.copy_from_slice(&MAGIC);
    number.copy_from_slice(&version.to_le_bytes());
    let crc = crc32fast::hash(checked);
    checksum.copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The version that the first bytes of a file tell, if it is a journal.
#[must_use]
pub fn file_version(bytes: &[u8; FILE_HEAD]) -> Option<u32> {
    let version = u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?);
    (*bytes == file_head(version)).then_some(version)
}

/// What precedes a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Length of the payload.
    pub length: u32,
    /// Checksum of all else.
    pub crc: u32,
    /// Number of the record.
    pub number: u64,
    /// Records below this number were durable when this one was written.
    pub durable: u64,
}

impl Head {
    /// The head at the start of `bytes`; `None` when they are too short or no record can look like this.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (crc, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (durable, _) = rest.split_first_chunk()?;
        let head = Self {
            length: u32::from_le_bytes(*length),
            crc: u32::from_le_bytes(*crc),
            number: u64::from_le_bytes(*number),
            durable: u64::from_le_bytes(*durable),
        };
        let possible = (1..=MAX_RECORD).contains(&head.payload()) && head.durable <= head.number;
        possible.then_some(head)
    }

    /// Length of the payload.
    #[must_use]
    pub fn payload(&self) -> usize {
        usize::try_from(self.length).unwrap_or(usize::MAX)
    }

    /// Length of the whole record.
    #[must_use]
    pub fn whole(&self) -> usize {
        HEAD.saturating_add(self.payload())
    }

    /// Whether `frame`, a whole record, is what was written.
    #[must_use]
    pub fn holds(&self, frame: &[u8]) -> bool {
        frame.len() == self.whole() && checksum(frame) == Some(self.crc)
    }
}

/// Completes the head of `frame`, whose payload is in place, and gives its checksum. `None` when the payload is empty or
/// too large.
#[must_use]
pub fn seal(frame: &mut [u8], number: u64, durable: u64) -> Option<u32> {
    let payload = frame.len().checked_sub(HEAD)?;
    if !(1..=MAX_RECORD).contains(&payload) {
        return None;
    }
    let length = u32::try_from(payload).ok()?;
    frame.get_mut(..4)?.copy_from_slice(&length.to_le_bytes());
    frame.get_mut(8..16)?.copy_from_slice(&number.to_le_bytes());
    frame.get_mut(16..HEAD)?.copy_from_slice(&durable.to_le_bytes());
    let crc = checksum(frame)?;
    frame.get_mut(4..8)?.copy_from_slice(&crc.to_le_bytes());
    Some(crc)
}

fn checksum(frame: &[u8]) -> Option<u32> {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(frame.get(..4)?);
    hasher.update(frame.get(8..)?);
    Some(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_or_oversized_payload_is_never_sealed() {
        assert_eq!(seal(&mut [0; HEAD], 0, 0), None);
        assert_eq!(seal(&mut vec![0; HEAD + MAX_RECORD + 1], 0, 0), None);
        assert!(seal(&mut vec![0; HEAD + MAX_RECORD], 0, 0).is_some());
    }

    #[test]
    fn a_file_head_tells_its_version_and_nothing_else_passes_for_one() {
        assert_eq!(file_version(&file_head(7)), Some(7));
        for at in 0..FILE_HEAD {
            let mut bytes = file_head(VERSION);
            bytes[at] ^= 1;
            assert_eq!(file_version(&bytes), None, "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn a_sealed_frame_holds_and_a_changed_one_does_not(
            payload in prop::collection::vec(any::<u8>(), 1..200),
            number in 0_u64..1 << 40,
            at in any::<prop::sample::Index>(),
            flip in 1_u8..,
        ) {
            let mut frame = vec![0; HEAD];
            frame.extend_from_slice(&payload);
            seal(&mut frame, number, number / 2).unwrap();
            let head = Head::read(&frame).unwrap();
            prop_assert!(head.holds(&frame));
            prop_assert_eq!((head.number, head.durable), (number, number / 2));
            let at = at.index(frame.len());
            frame[at] ^= flip;
            prop_assert!(!Head::read(&frame).is_some_and(|head| head.holds(&frame)));
        }
    }
}
