//! The dominator tree in preorder: what one object keeps alive is a run of positions.

use rayon::prelude::*;

use crate::depth_first::VIRTUAL_ROOT;
use crate::dominators::of_numbering;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::heap::Heap;
use crate::monitor::Monitor;
use crate::retained::{self, Retained};
use crate::table::NONE;
use crate::words::Words;

/// Stands for the virtual root above all roots, where an object index is expected.
pub const ABOVE_ALL: u32 = NONE;
/// Stands for "no root reaches this object".
pub const UNREACHABLE: u32 = NONE - 1;
/// Positions that one task handles before it reports.
const STRIDE: usize = 1 << 16;

/// Dominators and retained sizes. Position 0 is the virtual root; an object's subtree follows its position without a break.
#[derive(Debug)]
pub struct Tree {
    /// Position of each object, 0 if no root reaches it.
    position: Vec<u32>,
    /// Object at each position; entry 0 means nothing.
    object: Vec<u32>,
    /// Position of the immediate dominator at each position.
    parent: Vec<u32>,
    /// Objects in the subtree of each position, itself included (the virtual root does not count itself).
    count: Vec<u32>,
    /// Bytes of the subtree of each position.
    retained: Retained,
}

/// Where the size of an object comes from.
#[derive(Debug, Clone, Copy)]
pub enum Sizes<'a> {
    /// From the heap.
    Heap(&'a Heap),
    /// From an array.
    Array(&'a [u64]),
}

impl Sizes<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Heap(heap) => heap.len(),
            Self::Array(sizes) => sizes.len(),
        }
    }

    fn of(&self, words: Option<&mut Words<'_>>, object: u32) -> u64 {
        match (self, words) {
            (Self::Array(sizes), _) => sizes[object as usize],
            (Self::Heap(heap), Some(words)) => {
                let shape = &heap.shapes[heap.table.type_of(object) as usize];
                // Only objects with components need a look at the dump.
                let address = if shape.component_size == 0 { 0 } else { heap.table.address_of(object) };
                heap.size(words, object, address)
            }
            (Self::Heap(_), None) => 0,
        }
    }

    /// Objects of a heap have sizes that are multiples of 8.
    fn shift(&self) -> u32 {
        match self {
            Self::Heap(_) => 3,
            Self::Array(_) => 0,
        }
    }

    fn words(&self) -> Option<Words<'_>> {
        match self {
            Self::Heap(heap) => Some(Words::new(&heap.image)),
            Self::Array(_) => None,
        }
    }
}

impl Tree {
    /// Compute dominators and retained sizes of all that the roots reach; what only roots of last resort reach is in the tree too.
    ///
    /// # Errors
    /// `Cancelled`; `Argument` for a root that is no object or sizes of another number of objects.
    pub fn build(
        graph: &Graph,
        sizes: Sizes<'_>,
        roots: &[u32],
        last_resort: &[u32],
        monitor: &Monitor,
    ) -> Result<Self> {
        graph.check(roots)?;
        graph.check(last_resort)?;
        if sizes.len() != graph.len() {
            return Err(Error::Argument(format!("{} sizes for {} objects", sizes.len(), graph.len())));
        }
        let mut numbering = {
            let forward = graph.forward(monitor)?;
            crate::depth_first::depth_first(&forward, roots, last_resort, monitor)?
        };
        let backward = graph.backward(monitor)?;
        graph.drop_forward();
        let dominator = of_numbering(&backward, roots, last_resort, &mut numbering, monitor)?;
        drop(backward);
        let mut tree = preorder(numbering.number, numbering.object, dominator);
        tree.retain(sizes, monitor)?;
        Ok(tree)
    }

    fn retain(&mut self, sizes: Sizes<'_>, monitor: &Monitor) -> Result<()> {
        monitor.begin("adding up retained sizes", self.object.len() as u64);
        let shift = sizes.shift();
        let mut small = vec![0_u32; self.object.len()];
        let chunks = small.par_chunks_mut(STRIDE).zip(self.object.par_chunks(STRIDE)).enumerate();
        let large: Vec<Vec<(u32, u64)>> = chunks
            .with_max_len(8)
            .map(|(number, (small, objects))| {
                let (mut words, mut large) = (sizes.words(), Vec::new());
                let positions = u32::try_from(number * STRIDE).unwrap_or(NONE)..;
                for ((small, &object), position) in small.iter_mut().zip(objects).zip(positions) {
                    let size = if object == NONE { 0 } else { sizes.of(words.as_mut(), object) };
                    *small = retained::packed(size, shift).unwrap_or_else(|| {
                        large.push((position, size));
                        retained::MARK
                    });
                }
                monitor.step(objects.len() as u64)?;
                Ok(large)
            })
            .collect::<Result<_>>()?;
        self.retained = Retained::new(shift, small, large.into_iter().flatten().collect());
        for position in (1..u32::try_from(self.object.len()).unwrap_or(NONE)).rev() {
            self.retained.add(self.parent[position as usize], position);
        }
        Ok(())
    }

    /// How many objects the graph has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.position.len()
    }

    /// No object at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.position.is_empty()
    }

    /// How many objects the roots reach.
    #[must_use]
    pub fn reachable_count(&self) -> u32 {
        self.count[0]
    }

    /// Bytes of all that the roots reach.
    #[must_use]
    pub fn reachable_bytes(&self) -> u64 {
        self.retained.get(0)
    }

    /// Bytes of memory that the tree takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.position.len() * 4 + self.object.len() * 12 + self.retained.memory_bytes()
    }

    /// Bytes that would be freed if this object became unreachable; 0 if no root reaches it.
    #[must_use]
    pub fn retained_of(&self, object: u32) -> u64 {
        match self.position[object as usize] {
            0 => 0,
            position => self.retained.get(position),
        }
    }

    /// Objects that would be freed with this one, itself included; 0 if no root reaches it.
    #[must_use]
    pub fn retained_count_of(&self, object: u32) -> u32 {
        match self.position[object as usize] {
            0 => 0,
            position => self.count[position as usize],
        }
    }

    /// The immediate dominator, [`ABOVE_ALL`] or [`UNREACHABLE`].
    #[must_use]
    pub fn dominator_of(&self, object: u32) -> u32 {
        match self.position[object as usize] {
            0 => UNREACHABLE,
            // Entry 0 of `object` is ABOVE_ALL.
            position => self.object[self.parent[position as usize] as usize],
        }
    }

    /// Does every path from the roots to `object` lead over `dominator`? Each object dominates itself.
    #[must_use]
    pub fn dominates(&self, dominator: u32, object: u32) -> bool {
        let (above, below) = (self.position[dominator as usize], self.position[object as usize]);
        above != 0 && below >= above && below - above < self.count[above as usize]
    }

    /// Objects whose immediate dominator this is (`None`: the virtual root), by retained bytes, largest first.
    #[must_use]
    pub fn children(&self, object: Option<u32>, limit: usize) -> Vec<u32> {
        let Some(run) = self.run(object) else { return Vec::new() };
        let mut children = Vec::new();
        let mut position = run.start;
        while position < run.end {
            children.push(position);
            position += self.count[position as usize];
        }
        let order = |&position: &u32| (std::cmp::Reverse(self.retained.get(position)), self.object[position as usize]);
        if limit < children.len() {
            children.select_nth_unstable_by_key(limit, order);
            children.truncate(limit);
        }
        children.sort_unstable_by_key(order);
        children.into_iter().map(|position| self.object[position as usize]).collect()
    }

    /// How many objects [`Self::children`] has to give.
    #[must_use]
    pub fn child_count(&self, object: Option<u32>) -> usize {
        let Some(run) = self.run(object) else { return 0 };
        let mut count = 0;
        let mut position = run.start;
        while position < run.end {
            count += 1;
            position += self.count[position as usize];
        }
        count
    }

    /// Positions strictly below an object.
    fn run(&self, object: Option<u32>) -> Option<std::ops::Range<u32>> {
        let Some(object) = object else { return Some(1..self.count[0] + 1) };
        let position = self.position[object as usize];
        (position != 0).then(|| position + 1..position + self.count[position as usize])
    }

    /// Objects dominated by `object`, itself included, in preorder of the tree; none if no root reaches it.
    #[must_use]
    pub fn dominated(&self, object: Option<u32>) -> &[u32] {
        let Some(run) = self.run(object) else { return &[] };
        let start = if object.is_some() { run.start - 1 } else { run.start };
        &self.object[start as usize..run.end as usize]
    }

    /// Retained bytes of each object, 0 where no root reaches.
    #[must_use]
    pub fn all_retained(&self) -> Vec<u64> {
        self.position.par_iter().map(|&at| if at == 0 { 0 } else { self.retained.get(at) }).collect()
    }

    /// Immediate dominator of each object.
    #[must_use]
    pub fn all_dominators(&self) -> Vec<u32> {
        let one = |&at: &u32| match at {
            0 => UNREACHABLE,
            at => self.object[self.parent[at as usize] as usize],
        };
        self.position.par_iter().map(one).collect()
    }

    /// For each type the bytes and the number of its topmost instances: those with no dominator of the same type. Sums over nested ones would count twice.
    #[must_use]
    pub fn retained_by_all_types(&self, types: usize, type_of: impl Fn(u32) -> u32) -> (Vec<u64>, Vec<u64>) {
        let (mut bytes, mut counts, mut until) = (vec![0_u64; types], vec![0_u64; types], vec![0_u32; types]);
        for (position, &object) in (0..).zip(&self.object).skip(1) {
            let kind = type_of(object) as usize;
            if position >= until[kind] {
                until[kind] = position + self.count[position as usize];
                bytes[kind] = bytes[kind].saturating_add(self.retained.get(position));
                counts[kind] += 1;
            }
        }
        (bytes, counts)
    }
}

/// Renumber from depth-first order to preorder of the dominator tree. Arrays are freed as soon as they are not needed: this is where memory peaks.
fn preorder(number: Vec<u32>, object: Vec<u32>, dominator: Vec<u32>) -> Tree {
    let entries = object.len();
    let mut count = vec![1_u32; entries];
    for current in (1..entries).rev() {
        count[dominator[current] as usize] += count[current];
    }
    // Where the next child of each number goes; once all children are placed, the end of its run.
    let mut next = vec![0_u32; entries];
    next[0] = 1;
    for current in 1..entries {
        let above = dominator[current] as usize;
        let position = next[above];
        next[above] = position + count[current];
        next[current] = position + 1;
    }
    for (end, count) in next.iter_mut().zip(&count) {
        *end -= count;
    }
    let position_of = next;
    let object_at = placed(&position_of, |current| object[current]);
    drop(object);
    let parent = placed(&position_of, |current| position_of[dominator[current] as usize]);
    drop(dominator);
    let mut count = placed(&position_of, |current| count[current]);
    count[0] -= 1;
    let mut position = number;
    for position in &mut position {
        *position = position_of[*position as usize];
    }
    Tree { position, object: object_at, parent, count, retained: Retained::default() }
}

fn placed(position_of: &[u32], value: impl Fn(usize) -> u32) -> Vec<u32> {
    let mut result = vec![VIRTUAL_ROOT; position_of.len()];
    for (current, &position) in position_of.iter().enumerate() {
        result[position as usize] = value(current);
    }
    result
}
