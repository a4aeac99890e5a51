//! Edges as flat arrays (compressed sparse rows). A row of one edge, the usual case in heaps, takes no more than its entry.

use crate::error::{Error, Result};

/// Rows whose positions are counted from a common base, so that 32 bits suffice.
pub const BLOCK: usize = 1 << 16;

/// Neighbours of each object.
///
/// `entry[row]` is the one neighbour where the row's bit in `single` is set, else a position in its block's edges: there stands how many
/// neighbours follow. The first edge of each block is 0, which serves all its empty rows.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    pub(crate) entry: Vec<u32>,
    pub(crate) single: Vec<u64>,
    pub(crate) bases: Vec<usize>,
    pub(crate) edges: Vec<u32>,
}

/// The rows of one block, under construction.
#[derive(Debug)]
pub struct BlockRows {
    entry: Vec<u32>,
    single: Vec<u64>,
    edges: Vec<u32>,
    begun: usize,
}

impl Default for BlockRows {
    fn default() -> Self {
        Self { entry: Vec::with_capacity(BLOCK), single: vec![0; BLOCK / 64], edges: vec![0], begun: 1 }
    }
}

impl BlockRows {
    /// Where the neighbours of the next row are pushed to, between [`Self::begin`] and [`Self::end`].
    pub fn edges(&mut self) -> &mut Vec<u32> {
        &mut self.edges
    }

    /// Add a whole row.
    #[inline]
    pub fn put(&mut self, neighbours: &[u32]) {
        let row = self.entry.len();
        let entry = match neighbours {
            [] => 0,
            [only] => {
                self.single[row / 64] |= 1 << (row % 64);
                *only
            }
            _ => {
                // `Rows::append` refuses blocks for which these do not fit.
                let begun = u32::try_from(self.edges.len()).unwrap_or(u32::MAX);
                self.edges.push(u32::try_from(neighbours.len()).unwrap_or(u32::MAX));
                self.edges.extend_from_slice(neighbours);
                begun
            }
        };
        self.entry.push(entry);
    }

    /// Begin a row whose neighbours come one by one.
    #[inline]
    pub fn begin(&mut self) {
        self.begun = self.edges.len();
        self.edges.push(0);
    }

    /// End the row.
    #[inline]
    pub fn end(&mut self) {
        let row = self.entry.len();
        let neighbours = self.edges.len() - self.begun - 1;
        let entry = match neighbours {
            0 => {
                self.edges.truncate(self.begun);
                0
            }
            1 => {
                let only = self.edges[self.begun + 1];
                self.edges.truncate(self.begun);
                self.single[row / 64] |= 1 << (row % 64);
                only
            }
            _ => {
                // `Rows::append` refuses blocks for which this does not fit.
                self.edges[self.begun] = u32::try_from(neighbours).unwrap_or(u32::MAX);
                u32::try_from(self.begun).unwrap_or(u32::MAX)
            }
        };
        self.entry.push(entry);
    }
}

impl Rows {
    /// No rows yet, with room for `len`.
    #[must_use]
    pub fn with_capacity(len: usize) -> Self {
        Self { entry: Vec::with_capacity(len), single: Vec::with_capacity(len.div_ceil(64)), ..Self::default() }
    }

    /// Rows whose parts the caller has put together.
    #[must_use]
    pub(crate) fn of_parts(entry: Vec<u32>, single: Vec<u64>, bases: Vec<usize>, edges: Vec<u32>) -> Self {
        Self { entry, single, bases, edges }
    }

    /// Add the next [`BLOCK`] rows; only the last block may be shorter.
    ///
    /// # Errors
    /// `LimitExceeded` for 2^32 edges in one block.
    pub fn append(&mut self, block: &BlockRows) -> Result<()> {
        if u32::try_from(block.edges.len()).is_err() {
            return Err(Error::LimitExceeded(format!(
                "{} references of {BLOCK} objects are too many",
                block.edges.len()
            )));
        }
        self.bases.push(self.edges.len());
        self.entry.extend_from_slice(&block.entry);
        self.single.extend_from_slice(&block.single[..block.entry.len().div_ceil(64)]);
        self.edges.extend_from_slice(&block.edges);
        Ok(())
    }

    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entry.len()
    }

    /// No row at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entry.is_empty()
    }

    /// Neighbours of an object. `row` must be below `len`.
    #[inline]
    #[must_use]
    pub fn row(&self, row: u32) -> &[u32] {
        let row = row as usize;
        if self.single[row / 64] >> (row % 64) & 1 == 1 {
            return &self.entry[row..=row];
        }
        let at = self.bases[row / BLOCK] + self.entry[row] as usize;
        &self.edges[at + 1..=at + self.edges[at] as usize]
    }

    /// Bytes of memory that the edges take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        (self.entry.len() + self.edges.len()) * 4 + (self.single.len() + self.bases.len()) * 8
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
        let mut rows = Self::with_capacity(len);
        let mut rest = pairs.as_slice();
        for first in (0..len).step_by(BLOCK) {
            let mut block = BlockRows::default();
            for row in first..(first + BLOCK).min(len) {
                block.begin();
                while let Some((&(source, target), others)) = rest.split_first() {
                    if source as usize != row {
                        break;
                    }
                    block.edges().push(target);
                    rest = others;
                }
                block.end();
            }
            rows.append(&block)?;
        }
        Ok(rows)
    }
}
