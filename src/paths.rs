//! Shortest paths from roots: a search from the target over its referrers, level by level.

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::monitor::Monitor;
use crate::table::NONE;

/// Objects between two looks whether to stop.
const STRIDE: usize = 1 << 12;

/// Paths and whether there can be more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Each from a root object to the target; one for each root object reached, shortest first, last-resort roots at the end.
    pub paths: Vec<Vec<u32>>,
    /// Everything that leads to the target was searched: no other root reaches it.
    pub complete: bool,
}

/// One bit for each object.
struct Bits(Vec<u64>);

impl Bits {
    fn of(len: usize, indices: &[u32]) -> Self {
        let mut bits = vec![0; len.div_ceil(64)];
        for &index in indices {
            bits[index as usize / 64] |= 1 << (index % 64);
        }
        Self(bits)
    }

    #[inline]
    fn has(&self, index: u32) -> bool {
        self.0[index as usize / 64] >> (index % 64) & 1 == 1
    }
}

/// Find at most `maximum` paths from `roots`; where they give fewer, from `last_resort` too.
///
/// # Errors
/// `Cancelled`, `Argument` for indices out of range.
pub fn shortest_paths(
    graph: &Graph,
    roots: &[u32],
    last_resort: &[u32],
    target: u32,
    maximum: usize,
    monitor: &Monitor,
) -> Result<Paths> {
    graph.check(&[target])?;
    graph.check(roots)?;
    graph.check(last_resort)?;
    if maximum == 0 {
        return Err(Error::Argument("maximum must be at least 1".into()));
    }
    let backward = graph.backward(monitor)?;
    monitor.begin("searching paths", graph.len() as u64);
    let (first_choice, second_choice) = (Bits::of(graph.len(), roots), Bits::of(graph.len(), last_resort));
    // The next object towards the target, plus 1; 0 is "not seen". Zeroed memory costs nothing until it is touched.
    let mut towards = vec![0_u32; graph.len()];
    let (mut found, mut spare) = (Vec::new(), Vec::new());
    let mut queue = vec![target];
    towards[target as usize] = NONE;
    note(target, &first_choice, &second_choice, &mut found, &mut spare, maximum);
    let mut head = 0;
    while head < queue.len() && found.len() < maximum {
        let object = queue[head];
        head += 1;
        if head % STRIDE == 0 {
            monitor.step(STRIDE as u64)?;
        }
        for &source in backward.row(object) {
            if towards[source as usize] == 0 {
                towards[source as usize] = object + 1;
                queue.push(source);
                note(source, &first_choice, &second_choice, &mut found, &mut spare, maximum);
            }
        }
    }
    let complete = head == queue.len() && found.len() + spare.len() <= maximum;
    found.truncate(maximum);
    spare.truncate(maximum - found.len());
    let paths = found.into_iter().chain(spare).map(|root| follow(root, &towards)).collect();
    Ok(Paths { paths, complete })
}

/// One shortest path from a root, else from a last-resort root, searched forward from the roots: what is not on the way is not read.
///
/// # Errors
/// `Cancelled`, `Argument` for indices out of range.
pub fn first_path(
    graph: &Graph,
    roots: &[u32],
    last_resort: &[u32],
    target: u32,
    monitor: &Monitor,
) -> Result<Option<Vec<u32>>> {
    graph.check(&[target])?;
    monitor.begin("searching a path", graph.len() as u64);
    // The object that leads here, plus 1; 0 is "not seen", NONE a root.
    let mut from = vec![0_u32; graph.len()];
    for starts in [roots, last_resort] {
        graph.check(starts)?;
        if spread(graph, starts, target, &mut from, monitor)? {
            let mut path = vec![target];
            let mut at = target;
            while from[at as usize] != NONE {
                at = from[at as usize] - 1;
                path.push(at);
            }
            path.reverse();
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Search breadth first from `starts` through what was not seen before; true when the target was met.
fn spread(graph: &Graph, starts: &[u32], target: u32, from: &mut [u32], monitor: &Monitor) -> Result<bool> {
    let mut outgoing = graph.outgoing();
    let mut queue: Vec<u32> = Vec::new();
    for &start in starts {
        if from[start as usize] == 0 {
            from[start as usize] = NONE;
            queue.push(start);
        }
    }
    let mut head = 0;
    while head < queue.len() && from[target as usize] == 0 {
        let object = queue[head];
        head += 1;
        if head.is_multiple_of(STRIDE) {
            monitor.step(STRIDE as u64)?;
        }
        outgoing.visit(object, |next| {
            if from[next as usize] == 0 {
                from[next as usize] = object + 1;
                queue.push(next);
            }
        });
    }
    Ok(from[target as usize] != 0)
}

fn note(object: u32, first: &Bits, second: &Bits, found: &mut Vec<u32>, spare: &mut Vec<u32>, maximum: usize) {
    if first.has(object) {
        found.push(object);
    } else if second.has(object) && spare.len() <= maximum {
        spare.push(object);
    }
}

fn follow(root: u32, towards: &[u32]) -> Vec<u32> {
    let mut path = vec![root];
    let mut at = root;
    while towards[at as usize] != NONE {
        at = towards[at as usize] - 1;
        path.push(at);
    }
    path
}
