//! Numbers and bytes one after the other: for bodies, and for the state that a new version takes over.

use crate::error::{Error, Result};

/// Writes little-endian numbers and bytes into a slice.
#[derive(Debug)]
pub struct Writer<'a> {
    into: &'a mut [u8],
    length: usize,
}

impl<'a> Writer<'a> {
    /// Returns a writer that begins at the slice's start.
    pub fn new(into: &'a mut [u8]) -> Self {
        Self { into, length: 0 }
    }

    /// Adds bytes. Errors: `TooBig` where they do not fit; nothing is written then.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<&mut Self> {
        let end = self.length + bytes.len();
        self.into.get_mut(self.length..end).ok_or(Error::TooBig)?.copy_from_slice(bytes);
        self.length = end;
        Ok(self)
    }

    /// Adds one byte. Errors: as [`Writer::bytes`], as for all below.
    pub fn u8(&mut self, value: u8) -> Result<&mut Self> {
        self.bytes(&[value])
    }

    /// Adds two bytes.
    pub fn u16(&mut self, value: u16) -> Result<&mut Self> {
        self.bytes(&value.to_le_bytes())
    }

    /// Adds four bytes.
    pub fn u32(&mut self, value: u32) -> Result<&mut Self> {
        self.bytes(&value.to_le_bytes())
    }

    /// Adds eight bytes.
    pub fn u64(&mut self, value: u64) -> Result<&mut Self> {
        self.bytes(&value.to_le_bytes())
    }

    /// Adds eight bytes, signed.
    pub fn i64(&mut self, value: i64) -> Result<&mut Self> {
        self.bytes(&value.to_le_bytes())
    }

    /// Returns how many bytes were written.
    pub fn length(&self) -> usize {
        self.length
    }
}

/// Reads little-endian numbers and bytes from a slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Returns a reader that begins at the slice's start.
    pub const fn new(from: &'a [u8]) -> Self {
        Self { rest: from }
    }

    /// Returns the next `count` bytes. Errors: `BadMessage` where there are fewer.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Error::BadMessage)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Error::BadMessage)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// Returns the next byte. Errors: as [`Reader::bytes`], as for all below.
    pub fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_le_bytes)
    }

    /// Returns the number in the next two bytes.
    pub fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// Returns the number in the next four bytes.
    pub fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// Returns the number in the next eight bytes.
    pub fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Returns the signed number in the next eight bytes.
    pub fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_le_bytes)
    }

    /// Returns nothing where everything was read. Errors: `BadMessage` where something is left.
    pub const fn end(&self) -> Result {
        if self.rest.is_empty() { Ok(()) } else { Err(Error::BadMessage) }
    }

    /// Returns what was not read yet.
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::{Reader, Writer};
    use crate::Error;

    #[test]
    fn what_was_written_is_read_in_the_same_order() {
        let mut buffer = [0; 15];
        let mut writer = Writer::new(&mut buffer);
        writer.u8(1).and_then(|w| w.u16(2)).and_then(|w| w.u32(3)).and_then(|w| w.i64(-4)).expect("it fits");
        assert_eq!(writer.u8(5).err(), Some(Error::TooBig));
        assert_eq!(writer.length(), 15);
        let mut reader = Reader::new(&buffer);
        assert_eq!((reader.u8(), reader.u16(), reader.u32(), reader.i64()), (Ok(1), Ok(2), Ok(3), Ok(-4)));
        assert_eq!(reader.u8(), Err(Error::BadMessage));
    }
}
