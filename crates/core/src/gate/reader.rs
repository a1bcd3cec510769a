//! Fields of an account, one after the other. A missing byte is `None`, never a zero.

use crate::ids::Address;

pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(first)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    /// One byte that may only be 0 or 1.
    pub(super) fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(super) fn address(&mut self) -> Option<Address> {
        self.take().map(Address::new_from_array)
    }

    /// A key that means none when it is all zeros.
    pub(super) fn maybe(&mut self) -> Option<Option<Address>> {
        let address = self.address()?;
        Some((address != Address::default()).then_some(address))
    }

    /// A four-byte tag, then a key that counts only if the tag is 1.
    pub(super) fn tagged(&mut self) -> Option<Option<Address>> {
        let (tag, address) = (self.u32()?, self.address()?);
        match tag {
            0 => Some(None),
            1 => Some(Some(address)),
            _ => None,
        }
    }

    /// A four-byte length, then as many bytes, at most `max`.
    pub(super) fn text(&mut self, max: usize) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok().filter(|length| *length <= max)?;
        self.bytes(length)
    }

    /// The value, if nothing is left over.
    pub(super) fn end<T>(&self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}
