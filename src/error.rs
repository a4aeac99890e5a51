//! What can go wrong in the kernel; `py/errors.rs` maps each to an exception of `heaphound.errors`.

use std::fmt;

/// The result of everything that reads a dump.
pub type Result<T> = std::result::Result<T, Error>;

/// One error, complete enough to be shown as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// Bytes that the dump does not hold.
    Unreadable {
        /// First address (or file offset) asked for.
        address: u64,
        /// How many bytes were asked for.
        size: u64,
        /// Why they are not there, as the end of a sentence "N bytes at A are ...".
        why: &'static str,
    },
    /// The file cannot be used as a core dump. The text is one whole sentence without the path.
    Dump(String),
    /// The operating system refused (open, map). The text names the file.
    Io(String),
    /// Numbers from the dump that contradict each other.
    Malformed(String),
    /// An argument that makes no sense, a bug of the caller.
    Argument(String),
    /// A count above what the kernel's 32-bit indices can hold.
    LimitExceeded(String),
    /// The watcher of the work asked to stop.
    Cancelled,
}

impl Error {
    /// The usual absence: the bytes are in no segment of the dump.
    #[must_use]
    pub fn absent(address: u64, size: u64) -> Self {
        Self::Unreadable { address, size, why: "not in the dump" }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { address, size, why } => write!(f, "{size} bytes at {address:#x} are {why}"),
            Self::Dump(text)
            | Self::Io(text)
            | Self::Malformed(text)
            | Self::Argument(text)
            | Self::LimitExceeded(text) => f.write_str(text),
            Self::Cancelled => f.write_str("the work was cancelled"),
        }
    }
}

impl std::error::Error for Error {}
