//! Immediate dominators by Lengauer and Tarjan's algorithm (1979) with path compression: O(m log n), whatever the graph looks like.
//!
//! The semi-NCA variant is a little faster on usual graphs but quadratic when a long chain ends in an array whose elements are also held from
//! elsewhere, and heaps have that shape.

use crate::csr::Rows;
use crate::depth_first::{DepthFirst, VIRTUAL_ROOT};
use crate::error::Result;
use crate::monitor::Monitor;

const STRIDE: u32 = 1 << 16;

/// Immediate dominator, by depth-first number, of each number; 0 is the virtual root. Consumes the parents.
///
/// What the roots reach is dominated as if there were no roots of last resort; those count for what only they reach.
///
/// # Errors
/// `Cancelled`
pub fn immediate_dominators(
    backward: &Rows,
    roots: &[u32],
    last_resort: &[u32],
    numbering: &DepthFirst,
    parent: Vec<u32>,
    monitor: &Monitor,
) -> Result<Vec<u32>> {
    let (number, object) = (&numbering.number, &numbering.object);
    let count = u32::try_from(object.len() - 1).unwrap_or(u32::MAX);
    monitor.begin("finding dominators", u64::from(count));
    let mut forest = Forest {
        semi: (0..=count).collect(),
        label: vec![0; object.len()],
        ancestor: parent,
        path: Vec::new(),
        tier_end: numbering.tier_end,
    };
    for &root in roots {
        forest.semi[number[root as usize] as usize] = VIRTUAL_ROOT;
    }
    for &root in last_resort {
        if number[root as usize] > numbering.tier_end {
            forest.semi[number[root as usize] as usize] = VIRTUAL_ROOT;
        }
    }
    // Until a number has its dominator, its entry here links it to the next one that waits for the same semidominator.
    let mut dominator = vec![VIRTUAL_ROOT; object.len()];
    for current in (1..=count).rev() {
        if current.is_multiple_of(STRIDE) {
            monitor.step(u64::from(STRIDE))?;
        }
        let parent = forest.ancestor[current as usize];
        let semi = forest.semidominator(current, parent, backward.row(object[current as usize]), number);
        forest.semi[current as usize] = semi;
        if semi == parent || semi == VIRTUAL_ROOT {
            dominator[current as usize] = semi;
        } else {
            // The label of a number that is not linked yet serves as the head of its waiting list.
            dominator[current as usize] = forest.label[semi as usize];
            forest.label[semi as usize] = current;
        }
        forest.label[current as usize] = current;
        forest.settle(current, parent, &mut dominator);
    }
    for current in 1..=count {
        let found = dominator[current as usize];
        if found != forest.semi[current as usize] {
            dominator[current as usize] = dominator[found as usize];
        }
    }
    Ok(dominator)
}

/// Numbers that were handled, linked to their ancestors with path compression.
struct Forest {
    semi: Vec<u32>,
    label: Vec<u32>,
    ancestor: Vec<u32>,
    path: Vec<u32>,
    /// References from behind this number do not count for what lies before it.
    tier_end: u32,
}

impl Forest {
    /// The least number from which a path leads to `current` over greater numbers only.
    #[inline]
    fn semidominator(&mut self, current: u32, parent: u32, sources: &[u32], number: &[u32]) -> u32 {
        let mut least = self.semi[current as usize].min(parent);
        if least == VIRTUAL_ROOT || sources.len() == 1 {
            return least;
        }
        for &source in sources {
            let from = number[source as usize];
            let candidate = match from {
                VIRTUAL_ROOT => continue,                                          // not reached from any root
                _ if from > self.tier_end && current <= self.tier_end => continue, // only a root of last resort holds it
                _ if from <= current => from,
                _ => {
                    let best = self.evaluate(from, current + 1);
                    self.semi[best as usize]
                }
            };
            least = least.min(candidate);
        }
        least
    }

    /// `current` is linked now: what waits for its parent gets its dominator, or the number whose dominator it shares.
    #[inline]
    fn settle(&mut self, current: u32, parent: u32, dominator: &mut [u32]) {
        if parent == VIRTUAL_ROOT {
            return;
        }
        let mut waiting = std::mem::replace(&mut self.label[parent as usize], 0);
        while waiting != 0 {
            let next = dominator[waiting as usize];
            let best = self.evaluate(waiting, current);
            dominator[waiting as usize] = if self.semi[best as usize] < parent { best } else { parent };
            waiting = next;
        }
    }

    /// The number with the least semidominator on the path from `from` up to, and without, the first number below `last_linked`.
    #[inline]
    fn evaluate(&mut self, from: u32, last_linked: u32) -> u32 {
        if self.ancestor[from as usize] >= last_linked {
            self.compress(from, last_linked);
        }
        self.label[from as usize]
    }

    fn compress(&mut self, from: u32, last_linked: u32) {
        let mut at = from;
        while self.ancestor[at as usize] >= last_linked {
            self.path.push(at);
            at = self.ancestor[at as usize];
        }
        let top = self.ancestor[at as usize];
        let mut best = self.label[at as usize];
        while let Some(below) = self.path.pop() {
            self.ancestor[below as usize] = top;
            let own = self.label[below as usize];
            if self.semi[best as usize] < self.semi[own as usize] {
                self.label[below as usize] = best;
            } else {
                best = own;
            }
        }
    }
}

/// [`immediate_dominators`] of a numbering, which loses its parents.
///
/// # Errors
/// `Cancelled`
pub fn of_numbering(
    backward: &Rows,
    roots: &[u32],
    last_resort: &[u32],
    numbering: &mut DepthFirst,
    monitor: &Monitor,
) -> Result<Vec<u32>> {
    let parent = std::mem::take(&mut numbering.parent);
    immediate_dominators(backward, roots, last_resort, numbering, parent, monitor)
}
