//! The bytes under an image: a mapped file or a buffer. The only unsafe line of the crate is here.

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::{Advice, Mmap};

use crate::error::{Error, Result};

/// Bytes that pieces of an address space point into.
#[derive(Debug)]
pub enum Source {
    /// A file, mapped read-only; never read into memory whole.
    Mapped(Mmap),
    /// Bytes that the caller supplied.
    Owned(Vec<u8>),
}

impl Source {
    /// Have the pages with these bytes mapped now. What the system cannot do so (Linux before 5.14, a page that cannot be read) it does,
    /// or refuses, when they are read.
    pub fn announce(&self, offset: u64, size: u64) {
        if let (Self::Mapped(map), Ok(offset), Ok(size)) = (self, usize::try_from(offset), usize::try_from(size)) {
            let _ = map.advise_range(Advice::PopulateRead, offset, size);
        }
    }
}

impl Deref for Source {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}

/// Map a regular file.
///
/// # Errors
/// `Io` with the operating system's own words when the path cannot be opened or is a directory.
pub fn map_file(path: &Path) -> Result<Source> {
    let failed = |error: std::io::Error| Error::Io(format!("{}: {error}", path.display()));
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::Io(format!("{}: not a regular file", path.display())));
    }
    if metadata.len() == 0 {
        return Ok(Source::Owned(Vec::new()));
    }
    // A file that shrinks while it is mapped ends the process with SIGBUS; dumps do not shrink, and every tool that maps them accepts this.
    #[allow(unsafe_code)]
    let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
    Ok(Source::Mapped(map))
}
