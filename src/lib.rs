//! The kernel of heaphound: the bytes of a core, the heap's object table, its reference graph, dominators and paths.
//!
//! Nothing here knows a .NET version: the places of fields come in as plain numbers ([`layout::HeapLayout`]).

#[cfg(not(target_pointer_width = "64"))]
compile_error!("heaps of 64-bit processes are numbered with usize, which must have 64 bits");

pub mod call_frames;
pub mod caller;
pub mod csr;
pub mod demangle;
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
pub mod retained;
pub mod scan;
pub mod shapes;
pub mod strip;
pub mod table;
pub mod transpose;
pub mod tree;
pub mod walk;
pub mod words;

#[cfg(feature = "python")]
#[allow(clippy::needless_pass_by_value)] // PyO3 hands arguments over by value
mod py;
