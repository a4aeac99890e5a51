//! The kernel of heaphound: the bytes of a core, the heap's object table, its reference graph, dominators and paths.
//!
//! Nothing here knows a .NET version: the places of fields come in as plain numbers ([`layout::HeapLayout`]).

pub mod csr;
pub mod depth_first;
pub mod dominators;
pub mod elf;
pub mod error;
pub mod file;
pub mod find;
pub mod gcdesc;
pub mod graph;
pub mod heap;
pub mod image;
pub mod layout;
pub mod monitor;
pub mod paths;
pub mod pieces;
pub mod references;
pub mod scan;
pub mod shapes;
pub mod strip;
pub mod table;
pub mod transpose;
pub mod tree;
pub mod walk;
pub mod words;

#[cfg(feature = "python")]
mod py;
