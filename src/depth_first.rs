//! Numbering objects in depth-first preorder, without recursion and without a stack: parents and cursors are arrays.

use crate::csr::Rows;
use crate::error::Result;
use crate::monitor::Monitor;

/// Number of the virtual root above all roots; also the mark of an object that was not reached.
pub const VIRTUAL_ROOT: u32 = 0;
/// Objects between two looks whether to stop.
const STRIDE: u32 = 1 << 16;

/// A depth-first spanning tree. Numbers begin at 1; 0 is the virtual root.
#[derive(Debug)]
pub struct DepthFirst {
    /// Number of each object, 0 if no root reaches it.
    pub number: Vec<u32>,
    /// Object of each number; entry 0 means nothing.
    pub object: Vec<u32>,
    /// Parent's number of each number.
    pub parent: Vec<u32>,
    /// Greatest number that the first roots reach; what only roots of last resort reach comes behind it.
    pub tier_end: u32,
}

/// Number everything that the roots reach, then what only the roots of last resort reach.
///
/// # Errors
/// `Cancelled`
pub fn depth_first(forward: &Rows, roots: &[u32], last_resort: &[u32], monitor: &Monitor) -> Result<DepthFirst> {
    monitor.begin("ordering objects", forward.len() as u64);
    let mut search = Search {
        number: vec![VIRTUAL_ROOT; forward.len()],
        object: vec![u32::MAX],
        parent: vec![VIRTUAL_ROOT],
        cursor: vec![0],
    };
    search.explore_all(forward, roots, monitor)?;
    // Objects are fewer than 2^32 (table.rs), so numbers fit.
    let tier_end = u32::try_from(search.object.len() - 1).unwrap_or(u32::MAX);
    search.explore_all(forward, last_resort, monitor)?;
    Ok(DepthFirst { number: search.number, object: search.object, parent: search.parent, tier_end })
}

struct Search {
    number: Vec<u32>,
    object: Vec<u32>,
    parent: Vec<u32>,
    /// How many edges of each number were looked at.
    cursor: Vec<u32>,
}

impl Search {
    fn explore_all(&mut self, forward: &Rows, roots: &[u32], monitor: &Monitor) -> Result<()> {
        for &root in roots {
            if self.number[root as usize] == VIRTUAL_ROOT {
                let start = self.discover(root, VIRTUAL_ROOT);
                self.explore(forward, start, monitor)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn discover(&mut self, found: u32, from: u32) -> u32 {
        // Objects are fewer than 2^32 (table.rs), so numbers fit.
        let new = u32::try_from(self.object.len()).unwrap_or(u32::MAX);
        self.number[found as usize] = new;
        self.object.push(found);
        self.parent.push(from);
        self.cursor.push(0);
        new
    }

    fn explore(&mut self, forward: &Rows, start: u32, monitor: &Monitor) -> Result<()> {
        let mut current = start;
        while current != VIRTUAL_ROOT {
            let row = forward.row(self.object[current as usize]);
            let from = self.cursor[current as usize] as usize;
            let unseen = row[from..].iter().position(|&target| self.number[target as usize] == VIRTUAL_ROOT);
            let Some(step) = unseen else {
                current = self.parent[current as usize];
                continue;
            };
            // A row has fewer than 2^32 edges (csr.rs).
            self.cursor[current as usize] = u32::try_from(from + step + 1).unwrap_or(u32::MAX);
            current = self.discover(row[from + step], current);
            if current.is_multiple_of(STRIDE) {
                monitor.step(u64::from(STRIDE))?;
            }
        }
        Ok(())
    }
}
