//! Turning edges around.
//!
//! References of an object to itself are left out: delegates to static methods all have one, and no algorithm on incoming edges gains by them.

use rayon::prelude::*;

use crate::csr::{BLOCK, Rows};
use crate::error::{Error, Result};
use crate::monitor::Monitor;

/// Rows between two looks whether to stop.
const STRIDE: usize = 1 << 16;

/// The rows that one worker makes: those of the targets from `first` on. It reads all edges and keeps its own: no atomics, and the same
/// result every time.
struct Share<'a> {
    first: usize,
    entry: &'a mut [u32],
    single: &'a mut [u64],
    /// Where each block begins in the edges of the share.
    bases: &'a mut [usize],
}

/// Rows of sources other than itself for each target, ascending.
///
/// # Errors
/// `Cancelled`, `LimitExceeded`
pub fn transpose(forward: &Rows, monitor: &Monitor) -> Result<Rows> {
    let len = forward.len();
    let blocks = len.div_ceil(BLOCK);
    let workers = rayon::current_num_threads().clamp(1, 16);
    let per_share = blocks.div_ceil(workers).max(1);
    monitor.begin("turning references around", 2 * (len * blocks.div_ceil(per_share)) as u64);
    let (mut entry, mut single) = (vec![0_u32; len], vec![0_u64; len.div_ceil(64)]);
    let mut bases = vec![0_usize; blocks];
    let parts = entry.chunks_mut(per_share * BLOCK).zip(single.chunks_mut(per_share * BLOCK / 64));
    let mut shares: Vec<Share> = parts
        .zip(bases.chunks_mut(per_share))
        .enumerate()
        .map(|(number, ((entry, single), bases))| Share { first: number * per_share * BLOCK, entry, single, bases })
        .collect();
    let sizes: Vec<usize> =
        shares.par_iter_mut().with_max_len(1).map(|share| share.place(forward, monitor)).collect::<Result<_>>()?;
    let mut edges = vec![0_u32; sizes.iter().sum()];
    let mut tasks = Vec::with_capacity(shares.len());
    let mut rest = edges.as_mut_slice();
    for (share, &size) in shares.into_iter().zip(&sizes) {
        let (own, others) = rest.split_at_mut(size);
        tasks.push((share, own));
        rest = others;
    }
    tasks.into_par_iter().with_max_len(1).try_for_each(|(share, own)| share.fill(own, forward, monitor))?;
    let mut origin = 0;
    for (bases, size) in bases.chunks_mut(per_share).zip(sizes) {
        for base in bases {
            *base += origin;
        }
        origin += size;
    }
    Ok(Rows::of_parts(entry, single, bases, edges))
}

impl Share<'_> {
    /// Count the sources of each row, and give each row with several of them its place. Returns the length of the share's edges.
    fn place(&mut self, forward: &Rows, monitor: &Monitor) -> Result<usize> {
        each(forward, self.first, self.entry.len(), monitor, |_, row| {
            self.entry[row] = self.entry[row].checked_add(1).ok_or_else(too_many)?;
            Ok(())
        })?;
        let mut size = 0;
        for ((entry, single), base) in
            self.entry.chunks_mut(BLOCK).zip(self.single.chunks_mut(BLOCK / 64)).zip(self.bases.iter_mut())
        {
            *base = size;
            size += place_block(entry, single)?;
        }
        Ok(size)
    }

    /// Write each source in its place. The first edge of a row counts what is there, and so ends as the length of the row.
    fn fill(self, edges: &mut [u32], forward: &Rows, monitor: &Monitor) -> Result<()> {
        each(forward, self.first, self.entry.len(), monitor, |source, row| {
            if self.single[row / 64] >> (row % 64) & 1 == 1 {
                self.entry[row] = source;
            } else {
                let at = self.bases[row / BLOCK] + self.entry[row] as usize;
                edges[at] += 1;
                edges[at + edges[at] as usize] = source;
            }
            Ok(())
        })
    }
}

/// Turn counts into positions. Returns the length of the block's edges, of which the first is 0 and serves all empty rows.
fn place_block(entry: &mut [u32], single: &mut [u64]) -> Result<usize> {
    let mut next: u32 = 1;
    for (row, entry) in entry.iter_mut().enumerate() {
        let count = std::mem::replace(entry, 0);
        if count == 1 {
            single[row / 64] |= 1 << (row % 64);
        } else if count > 1 {
            *entry = next;
            next = next.checked_add(1).and_then(|next| next.checked_add(count)).ok_or_else(too_many)?;
        }
    }
    Ok(next as usize)
}

/// Call `edge(source, target - first)` for each edge that leads from another object to one of `count` targets from `first` on.
fn each(
    forward: &Rows,
    first: usize,
    count: usize,
    monitor: &Monitor,
    mut edge: impl FnMut(u32, usize) -> Result<()>,
) -> Result<()> {
    for source in 0..u32::try_from(forward.len()).map_err(|_| too_many())? {
        if (source as usize).is_multiple_of(STRIDE) {
            monitor.step(STRIDE as u64)?;
        }
        for &target in forward.row(source) {
            let row = (target as usize).wrapping_sub(first);
            if row < count && target != source {
                edge(source, row)?;
            }
        }
    }
    Ok(())
}

fn too_many() -> Error {
    Error::LimitExceeded("more than 2^32 references lead to 65,536 neighbouring objects".into())
}
