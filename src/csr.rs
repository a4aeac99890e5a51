//! Edges as flat arrays (compressed sparse rows), in blocks of 65,536 rows so that no offset needs more than 32 bits.

use crate::error::{Error, Result};

/// Rows of a block.
pub const BLOCK: usize = 1 << 16;

/// The rows of one block.
#[derive(Debug, Clone, Default)]
pub struct Block {
    /// Where each row begins in `edges`, and the end of the last.
    pub offsets: Box<[u32]>,
    /// Neighbours.
    pub edges: Box<[u32]>,
}

/// Neighbours of each object.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    blocks: Vec<Block>,
    len: usize,
}

impl Block {
    /// From the end of each row.
    ///
    /// # Errors
    /// `LimitExceeded` for 2^32 edges in one block.
    pub fn new(offsets: Vec<u32>, edges: Vec<u32>) -> Result<Self> {
        if u32::try_from(edges.len()).is_err() {
            return Err(Error::LimitExceeded(format!("{} references of {BLOCK} objects are too many", edges.len())));
        }
        Ok(Self { offsets: offsets.into(), edges: edges.into() })
    }
}

impl Rows {
    /// From blocks of [`BLOCK`] rows each, the last one shorter.
    #[must_use]
    pub fn new(blocks: Vec<Block>) -> Self {
        let len = blocks.iter().map(|block| block.offsets.len().saturating_sub(1)).sum();
        Self { blocks, len }
    }

    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// No row at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many edges.
    #[must_use]
    pub fn edge_count(&self) -> u64 {
        self.blocks.iter().map(|block| block.edges.len() as u64).sum()
    }

    /// The blocks.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Neighbours of an object. `row` must be below `len`.
    #[inline]
    #[must_use]
    pub fn row(&self, row: u32) -> &[u32] {
        let block = &self.blocks[row as usize / BLOCK];
        let at = row as usize % BLOCK;
        &block.edges[block.offsets[at] as usize..block.offsets[at + 1] as usize]
    }

    /// Bytes of memory that the edges take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.blocks.iter().map(|block| (block.offsets.len() + block.edges.len()) * 4).sum()
    }

    /// From (source, target) pairs; the order of a row's edges is the order of the pairs.
    ///
    /// # Errors
    /// `Argument` for an index that is not below `len`.
    pub fn from_pairs(len: usize, sources: &[u32], targets: &[u32]) -> Result<Self> {
        if sources.len() != targets.len() {
            return Err(Error::Argument("sources and targets differ in length".into()));
        }
        if let Some(bad) = sources.iter().chain(targets).find(|&&index| index as usize >= len) {
            return Err(Error::Argument(format!("object index {bad} is not below {len}")));
        }
        let mut pairs: Vec<(u32, u32)> = sources.iter().copied().zip(targets.iter().copied()).collect();
        pairs.sort_by_key(|pair| pair.0);
        let mut blocks = Vec::with_capacity(len.div_ceil(BLOCK));
        let mut rest = pairs.as_slice();
        for first in (0..len).step_by(BLOCK) {
            let (mut offsets, mut edges) = (vec![0], Vec::new());
            for row in first..(first + BLOCK).min(len) {
                while let Some((&(source, target), others)) = rest.split_first() {
                    if source as usize != row {
                        break;
                    }
                    edges.push(target);
                    rest = others;
                }
                offsets.push(u32::try_from(edges.len()).unwrap_or(u32::MAX));
            }
            blocks.push(Block::new(offsets, edges)?);
        }
        Ok(Self::new(blocks))
    }
}
