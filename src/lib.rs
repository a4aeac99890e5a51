//! The kernel of heaphound: the bytes of a core, the heap's object table, its reference graph, dominators and paths.
//!
//! Nothing here knows a .NET version: the places of fields come in as plain numbers ([`layout::HeapLayout`]).

pub mod elf;
pub mod error;
pub mod file;
pub mod find;
pub mod image;
pub mod monitor;
pub mod pieces;

#[cfg(feature = "python")]
mod py;
