//! Turning edges around.

use rayon::prelude::*;

use crate::csr::{BLOCK, Block, Rows};
use crate::error::{Error, Result};
use crate::monitor::Monitor;

/// Rows of sources for each target, ascending. Each worker owns a range of targets and reads all edges: no atomics, and the same result every time.
///
/// # Errors
/// `Cancelled`, `LimitExceeded`
pub fn transpose(forward: &Rows, monitor: &Monitor) -> Result<Rows> {
    let blocks = forward.len().div_ceil(BLOCK);
    let workers = rayon::current_num_threads().clamp(1, 16);
    let share = blocks.div_ceil(workers).max(1);
    let starts: Vec<usize> = (0..blocks).step_by(share).collect();
    monitor.begin("turning references around", 2 * (blocks * starts.len()) as u64);
    let parts: Vec<Vec<Block>> = starts
        .into_par_iter()
        .with_max_len(1)
        .map(|first| {
            let rows = first * BLOCK..((first + share) * BLOCK).min(forward.len());
            incoming(forward, rows, monitor)
        })
        .collect::<Result<_>>()?;
    Ok(Rows::new(parts.into_iter().flatten().collect()))
}

/// Rows of the targets in `rows`.
fn incoming(forward: &Rows, rows: std::ops::Range<usize>, monitor: &Monitor) -> Result<Vec<Block>> {
    let mut offsets: Vec<Vec<u32>> = Vec::new();
    for first in rows.clone().step_by(BLOCK) {
        offsets.push(vec![0; (rows.end - first).min(BLOCK) + 1]);
    }
    for block in forward.blocks() {
        monitor.step(1)?;
        for &target in &block.edges {
            let target = (target as usize).wrapping_sub(rows.start);
            if target < rows.len() {
                // One place to the right: the sum below turns counts into starts.
                let count = &mut offsets[target / BLOCK][target % BLOCK + 1];
                *count = count.checked_add(1).ok_or_else(too_many)?;
            }
        }
    }
    let mut edges: Vec<Vec<u32>> = Vec::with_capacity(offsets.len());
    for offsets in &mut offsets {
        let mut sum: u32 = 0;
        for offset in offsets.iter_mut() {
            sum = sum.checked_add(*offset).ok_or_else(too_many)?;
            *offset = sum;
        }
        edges.push(vec![0; sum as usize]);
    }
    fill(forward, &rows, &mut offsets, &mut edges, monitor)?;
    offsets.into_iter().zip(edges).map(|(offsets, edges)| Block::new(offsets, edges)).collect()
}

/// Put each source in its place. The start of each row serves as its cursor and is put back afterwards.
fn fill(
    forward: &Rows,
    rows: &std::ops::Range<usize>,
    offsets: &mut [Vec<u32>],
    edges: &mut [Vec<u32>],
    monitor: &Monitor,
) -> Result<()> {
    for (number, block) in forward.blocks().iter().enumerate() {
        monitor.step(1)?;
        for row in 0..block.offsets.len() - 1 {
            let source = u32::try_from(number * BLOCK + row).map_err(|_| too_many())?;
            for &target in &block.edges[block.offsets[row] as usize..block.offsets[row + 1] as usize] {
                let target = (target as usize).wrapping_sub(rows.start);
                if target < rows.len() {
                    let cursor = &mut offsets[target / BLOCK][target % BLOCK];
                    edges[target / BLOCK][*cursor as usize] = source;
                    *cursor += 1;
                }
            }
        }
    }
    for offsets in offsets {
        // Every cursor now stands where the next row begins.
        let last = offsets.len() - 1;
        offsets.copy_within(0..last, 1);
        offsets[0] = 0;
    }
    Ok(())
}

fn too_many() -> Error {
    Error::LimitExceeded("more than 2^32 references lead to 65,536 neighbouring objects".into())
}
