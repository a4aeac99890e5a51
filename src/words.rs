//! Reading words at ascending addresses: one comparison each while they stay in one slice of the file.

use crate::image::Image;

/// A reader that remembers the slice it read last.
#[derive(Debug, Clone)]
pub struct Words<'a> {
    image: &'a Image,
    base: u64,
    bytes: &'a [u8],
}

impl<'a> Words<'a> {
    /// A reader of the image that has read nothing yet.
    #[must_use]
    pub fn new(image: &'a Image) -> Self {
        Self { image, base: 0, bytes: &[] }
    }

    /// The u64 at `address`, `None` where the dump has no bytes.
    #[inline]
    pub fn u64(&mut self, address: u64) -> Option<u64> {
        self.array(address).map(u64::from_le_bytes)
    }

    /// The u32 at `address`, `None` where the dump has no bytes.
    #[inline]
    pub fn u32(&mut self, address: u64) -> Option<u32> {
        self.array(address).map(u32::from_le_bytes)
    }

    #[inline]
    fn array<const N: usize>(&mut self, address: u64) -> Option<[u8; N]> {
        let offset = usize::try_from(address.wrapping_sub(self.base)).ok()?;
        match self.bytes.get(offset..).and_then(|rest| rest.first_chunk::<N>()) {
            Some(bytes) => Some(*bytes),
            None => self.array_elsewhere(address),
        }
    }

    #[cold]
    fn array_elsewhere<const N: usize>(&mut self, address: u64) -> Option<[u8; N]> {
        let slice = self.image.slice_at(address);
        if slice.is_empty() {
            return None;
        }
        (self.base, self.bytes) = (address, slice);
        self.image.array(address).ok()
    }

    /// Bytes that follow `address` without a break in one slice; empty if there are none.
    #[inline]
    pub fn slice(&mut self, address: u64) -> &'a [u8] {
        let offset = usize::try_from(address.wrapping_sub(self.base)).unwrap_or(usize::MAX);
        if let Some(rest) = self.bytes.get(offset..)
            && !rest.is_empty()
        {
            return rest;
        }
        (self.base, self.bytes) = (address, self.image.slice_at(address));
        self.bytes
    }

    /// The image under the reader.
    #[must_use]
    pub fn image(&self) -> &'a Image {
        self.image
    }
}
