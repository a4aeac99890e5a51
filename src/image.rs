//! The memory of the dumped process: address to bytes, or the fact that the dump has none.

use std::path::Path;
use std::sync::Arc;

use crate::elf::{Headers, Machine, Segment, read_headers};
use crate::error::{Error, Result};
use crate::file::{Source, map_file};
use crate::pieces::{Piece, lay_under};

/// The address space of a core, with optional other files or bytes laid under it where the core has none. Immutable.
#[derive(Debug, Clone)]
pub struct Image {
    path: Arc<str>,
    headers: Arc<Headers>,
    sources: Vec<Arc<Source>>,
    pieces: Arc<[Piece]>,
}

impl Image {
    /// Open a core file.
    ///
    /// # Errors
    /// `Io` if the file cannot be opened, `Dump` if it is no usable core.
    pub fn open(path: &Path) -> Result<Self> {
        let source = map_file(path)?;
        let headers = read_headers(&source).map_err(|error| Error::Dump(format!("{} {error}.", path.display())))?;
        let file_size = source.len() as u64;
        let loaded = headers.segments.iter().filter_map(|segment| present_piece(segment, file_size)).collect();
        Ok(Self {
            path: path.display().to_string().into(),
            headers: Arc::new(headers),
            sources: vec![Arc::new(source)],
            pieces: lay_under(&[], loaded).into(),
        })
    }

    /// The path as it was given.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The processor of the dumped process.
    #[must_use]
    pub fn machine(&self) -> Machine {
        self.headers.machine
    }

    /// `PT_LOAD`s as the headers promise them, ascending.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.headers.segments
    }

    /// (file offset, size) of the notes.
    #[must_use]
    pub fn notes(&self) -> &[(u64, u64)] {
        &self.headers.notes
    }

    /// Bytes that the core file really has.
    #[must_use]
    pub fn file_size(&self) -> u64 {
        self.sources[0].len() as u64
    }

    /// Bytes that the core file should have; more than `file_size` means that the file was cut.
    #[must_use]
    pub fn expected_size(&self) -> u64 {
        self.headers.expected_size
    }

    /// What is readable, sorted and disjoint.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Raw bytes of the core file.
    ///
    /// # Errors
    /// `Unreadable` when they pass the end of the file.
    pub fn file_bytes(&self, offset: u64, size: u64) -> Result<&[u8]> {
        let absent = Error::Unreadable { address: offset, size, why: "past the end of the core file" };
        slice_of(&self.sources[0], offset, size).ok_or(absent)
    }

    /// The same memory with parts of another file laid under it: (address, size, file offset) each.
    ///
    /// # Errors
    /// `Io` if the file cannot be mapped, `Argument` for a range that passes 2^64.
    pub fn with_backing(&self, path: &Path, mappings: &[(u64, u64, u64)]) -> Result<Self> {
        self.with_source(map_file(path)?, mappings)
    }

    /// The same memory with the given bytes laid under it at `address`.
    ///
    /// # Errors
    /// `Argument` for a range that passes 2^64.
    pub fn with_bytes(&self, address: u64, data: Vec<u8>) -> Result<Self> {
        let size = data.len() as u64;
        self.with_source(Source::Owned(data), &[(address, size, 0)])
    }

    fn with_source(&self, source: Source, mappings: &[(u64, u64, u64)]) -> Result<Self> {
        let number =
            u32::try_from(self.sources.len()).map_err(|_| Error::LimitExceeded("2^32 backing files".into()))?;
        let length = source.len() as u64;
        let mut added = Vec::with_capacity(mappings.len());
        for &(address, size, offset) in mappings {
            let size = size.min(length.saturating_sub(offset));
            let end = address.checked_add(size);
            let end = end.ok_or_else(|| Error::Argument(format!("a mapping at {address:#x} passes 2^64")))?;
            added.push(Piece { start: address, end, source: number, offset });
        }
        let mut sources = self.sources.clone();
        sources.push(Arc::new(source));
        let pieces = lay_under(&self.pieces, added).into();
        Ok(Self { path: self.path.clone(), headers: self.headers.clone(), sources, pieces })
    }

    /// All bytes that follow `address` without a break in one source; empty if there are none.
    #[must_use]
    pub fn slice_at(&self, address: u64) -> &[u8] {
        let after = self.pieces.partition_point(|piece| piece.end <= address);
        match self.pieces.get(after) {
            Some(piece) if piece.start <= address => {
                let size = piece.end - address;
                let offset = piece.offset + (address - piece.start);
                slice_of(&self.sources[piece.source as usize], offset, size).unwrap_or(&[])
            }
            _ => &[],
        }
    }

    /// Say that all bytes of `[start, end)` are wanted next: mapped in one go they cost half of a fault for each 64 KB. No promise that
    /// they can be read.
    pub fn announce(&self, start: u64, end: u64) {
        let first = self.pieces.partition_point(|piece| piece.end <= start);
        for piece in self.pieces[first..].iter().take_while(|piece| piece.start < end) {
            let (from, to) = (piece.start.max(start), piece.end.min(end));
            self.sources[piece.source as usize].announce(piece.offset + (from - piece.start), to - from);
        }
    }

    /// The first readable address at or after `address`.
    #[must_use]
    pub fn next_readable(&self, address: u64) -> Option<u64> {
        let after = self.pieces.partition_point(|piece| piece.end <= address);
        self.pieces.get(after).map(|piece| piece.start.max(address))
    }

    /// Contiguous readable bytes from `address`, at most `limit`, across pieces.
    #[must_use]
    pub fn readable_bytes(&self, address: u64, limit: u64) -> u64 {
        let mut total: u64 = 0;
        while total < limit {
            let Some(at) = address.checked_add(total) else { break };
            let present = self.slice_at(at).len() as u64;
            if present == 0 {
                break;
            }
            total = total.saturating_add(present);
        }
        total.min(limit)
    }

    /// Fill `buffer` from `address`.
    ///
    /// # Errors
    /// `Unreadable` when any byte is missing.
    pub fn read_into(&self, address: u64, buffer: &mut [u8]) -> Result<()> {
        let wanted = buffer.len() as u64;
        let mut done = 0;
        while done < buffer.len() {
            let at = address.checked_add(done as u64).ok_or_else(|| Error::absent(address, wanted))?;
            let slice = self.slice_at(at);
            if slice.is_empty() {
                return Err(Error::absent(address, wanted));
            }
            let count = slice.len().min(buffer.len() - done);
            buffer[done..done + count].copy_from_slice(&slice[..count]);
            done += count;
        }
        Ok(())
    }

    /// `size` bytes from `address`. The size is checked against what is there before anything is allocated.
    ///
    /// # Errors
    /// `Unreadable` when any byte is missing.
    pub fn read(&self, address: u64, size: u64) -> Result<Vec<u8>> {
        let length = usize::try_from(size).map_err(|_| Error::absent(address, size))?;
        if self.readable_bytes(address, size) < size {
            return Err(Error::absent(address, size));
        }
        let mut buffer = vec![0; length];
        self.read_into(address, &mut buffer)?;
        Ok(buffer)
    }

    /// `N` bytes from `address`.
    ///
    /// # Errors
    /// `Unreadable` when any byte is missing.
    #[inline]
    pub fn array<const N: usize>(&self, address: u64) -> Result<[u8; N]> {
        if let Some(bytes) = self.slice_at(address).first_chunk::<N>() {
            return Ok(*bytes);
        }
        let mut bytes = [0; N];
        self.read_into(address, &mut bytes)?;
        Ok(bytes)
    }

    /// Little-endian u64.
    ///
    /// # Errors
    /// `Unreadable`
    pub fn u64(&self, address: u64) -> Result<u64> {
        self.array(address).map(u64::from_le_bytes)
    }

    /// Little-endian u32.
    ///
    /// # Errors
    /// `Unreadable`
    pub fn u32(&self, address: u64) -> Result<u32> {
        self.array(address).map(u32::from_le_bytes)
    }
}

fn present_piece(segment: &Segment, file_size: u64) -> Option<Piece> {
    let size = segment.size_in_file.min(file_size.saturating_sub(segment.file_offset));
    let end = segment.address.checked_add(size)?;
    (size > 0).then_some(Piece { start: segment.address, end, source: 0, offset: segment.file_offset })
}

fn slice_of(bytes: &[u8], offset: u64, size: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(size).ok()?)?;
    bytes.get(start..end)
}
