//! The object graph: references both ways, reachability.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use crate::csr::Rows;
use crate::error::{Error, Result};
use crate::gcdesc::References;
use crate::heap::Heap;
use crate::monitor::Monitor;
use crate::references::{ExtraEdges, Reader, ReferenceFacts};
use crate::table::{MAXIMUM_OBJECTS, NONE};
use crate::transpose::transpose;
use crate::words::Words;

/// Where references come from when they are not in memory.
#[derive(Debug)]
struct HeapSource {
    heap: Arc<Heap>,
    rules: Vec<References>,
    counted: ExtraEdges,
    uncounted: ExtraEdges,
}

impl HeapSource {
    fn reader(&self) -> Reader<'_> {
        Reader { heap: &self.heap, rules: &self.rules, counted: &self.counted, uncounted: &self.uncounted }
    }
}

/// The graph of a heap, or of plain arrays. Immutable to its users; inside, outgoing edges are dropped once they were turned around,
/// and read from the dump again when somebody asks.
#[derive(Debug)]
pub struct Graph {
    len: usize,
    source: Option<HeapSource>,
    facts: OnceLock<ReferenceFacts>,
    forward: RwLock<Option<Arc<Rows>>>,
    backward: OnceLock<Arc<Rows>>,
    building: Mutex<()>,
}

impl Graph {
    /// The graph of a heap, of which nothing is read yet. `counted` are dependent handles, `uncounted` other edges that keep objects alive.
    #[must_use]
    pub fn open(heap: Arc<Heap>, counted: ExtraEdges, uncounted: ExtraEdges) -> Self {
        let rules = heap.shapes.iter().map(|shape| References::read(&heap.image, shape)).collect();
        Self {
            len: heap.len(),
            source: Some(HeapSource { heap, rules, counted, uncounted }),
            facts: OnceLock::new(),
            forward: RwLock::new(None),
            backward: OnceLock::new(),
            building: Mutex::new(()),
        }
    }

    /// A graph of plain arrays.
    ///
    /// # Errors
    /// `Argument` for an index that is not below `len`.
    pub fn from_edges(len: usize, sources: &[u32], targets: &[u32]) -> Result<Self> {
        if len > MAXIMUM_OBJECTS {
            return Err(Error::LimitExceeded(format!("{len} objects are more than 32-bit indices can number")));
        }
        Ok(Self::of_rows(Rows::from_pairs(len, sources, targets)?, sources.len() as u64))
    }

    fn of_rows(rows: Rows, count: u64) -> Self {
        Self {
            len: rows.len(),
            source: None,
            facts: ReferenceFacts { count, ..ReferenceFacts::default() }.into(),
            forward: RwLock::new(Some(Arc::new(rows))),
            backward: OnceLock::new(),
            building: Mutex::new(()),
        }
    }

    /// How many objects.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// No object at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Counts and sums of the references, which are all read if they were not.
    ///
    /// # Errors
    /// `Cancelled`, `LimitExceeded`
    pub fn facts(&self, monitor: &Monitor) -> Result<&ReferenceFacts> {
        if self.facts.get().is_none() {
            self.forward(monitor)?;
        }
        Ok(self.facts.get_or_init(ReferenceFacts::default))
    }

    /// The heap whose graph this is; `None` for a graph of plain arrays.
    #[must_use]
    pub fn heap(&self) -> Option<&Arc<Heap>> {
        self.source.as_ref().map(|source| &source.heap)
    }

    /// Type index and reason of each type whose references cannot be told.
    #[must_use]
    pub fn unknown_types(&self) -> Vec<(u32, &'static str)> {
        let rules = self.source.as_ref().map_or(&[][..], |source| &source.rules);
        let unknown = |(index, rule): (u32, &References)| match rule {
            References::Unknown(why) => Some((index, *why)),
            _ => None,
        };
        (0..).zip(rules).filter_map(unknown).collect()
    }

    /// Bytes of memory that edges take now.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let forward = self.kept_forward().map_or(0, |rows| rows.memory_bytes());
        forward + self.backward.get().map_or(0, |rows| rows.memory_bytes())
    }

    /// Refuse indices that are none of an object.
    ///
    /// # Errors
    /// `Argument`
    pub fn check(&self, indices: &[u32]) -> Result<()> {
        match indices.iter().find(|&&index| index as usize >= self.len) {
            Some(bad) => Err(Error::Argument(format!("object index {bad} is not below {}", self.len))),
            None => Ok(()),
        }
    }

    fn kept_forward(&self) -> Option<Arc<Rows>> {
        self.forward.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Outgoing edges in memory, read again if they were dropped.
    ///
    /// # Errors
    /// `Cancelled`, `LimitExceeded`
    pub fn forward(&self, monitor: &Monitor) -> Result<Arc<Rows>> {
        let _one_at_a_time = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rows) = self.kept_forward() {
            return Ok(rows);
        }
        let source = self.source.as_ref().ok_or_else(|| Error::Argument("the graph has no edges".into()))?;
        let (rows, facts) = source.reader().read_all(monitor)?;
        let rows = Arc::new(rows);
        self.facts.get_or_init(|| facts);
        *self.forward.write().unwrap_or_else(PoisonError::into_inner) = Some(rows.clone());
        Ok(rows)
    }

    /// Incoming edges but for those of objects to themselves, made when first asked for.
    ///
    /// # Errors
    /// `Cancelled`, `LimitExceeded`
    pub fn backward(&self, monitor: &Monitor) -> Result<Arc<Rows>> {
        if let Some(rows) = self.backward.get() {
            return Ok(rows.clone());
        }
        let forward = self.forward(monitor)?;
        let _one_at_a_time = self.building.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(rows) = self.backward.get() {
            return Ok(rows.clone());
        }
        let rows = Arc::new(transpose(&forward, monitor)?);
        Ok(self.backward.get_or_init(|| rows).clone())
    }

    /// Objects that refer to this one, itself included, ascending, at most `limit`; repeated as often as they refer to it.
    ///
    /// # Errors
    /// `Cancelled`, `LimitExceeded`
    pub fn referrers(&self, object: u32, limit: usize, monitor: &Monitor) -> Result<Vec<u32>> {
        let backward = self.backward(monitor)?;
        let row = backward.row(object);
        let (before, behind) = row.split_at(row.partition_point(|&source| source < object));
        let mut itself = 0;
        self.outgoing().visit(object, |target| itself += usize::from(target == object));
        let all = before.iter().chain(std::iter::repeat_n(&object, itself)).chain(behind);
        Ok(all.copied().take(limit).collect())
    }

    /// How many references lead to each object.
    ///
    /// # Errors
    /// `Cancelled`, `LimitExceeded`
    pub fn referrer_counts(&self, monitor: &Monitor) -> Result<Vec<u32>> {
        let mut counts = vec![0_u32; self.len];
        let mut outgoing = self.outgoing();
        monitor.begin("counting references", self.len as u64);
        for object in 0..u32::try_from(self.len).unwrap_or(NONE) {
            if object % (1 << 16) == 0 {
                monitor.step(1 << 16)?;
            }
            outgoing.visit(object, |target| counts[target as usize] = counts[target as usize].saturating_add(1));
        }
        Ok(counts)
    }

    /// Free the outgoing edges where the dump can give them again.
    pub fn drop_forward(&self) {
        if self.source.is_some() {
            *self.forward.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// A reader of outgoing edges that needs no edges in memory.
    #[must_use]
    pub fn outgoing(&self) -> Outgoing<'_> {
        let source = self.source.as_ref().map(|source| (source.reader(), Words::new(&source.heap.image)));
        Outgoing { kept: self.kept_forward(), source }
    }

    /// Distance of each object from the nearest root, [`NONE`] where no root reaches.
    ///
    /// # Errors
    /// `Cancelled`, `Argument` for a root that is no object.
    pub fn distances(&self, roots: &[u32], monitor: &Monitor) -> Result<Vec<u32>> {
        self.check(roots)?;
        monitor.begin("following references", self.len as u64);
        let mut distance = vec![NONE; self.len];
        let mut outgoing = self.outgoing();
        let mut front: Vec<u32> = Vec::new();
        for &root in roots {
            if std::mem::replace(&mut distance[root as usize], 0) == NONE {
                front.push(root);
            }
        }
        let mut level = 0;
        while !front.is_empty() {
            level += 1;
            let mut next = Vec::new();
            for chunk in front.chunks(1 << 14) {
                monitor.step(chunk.len() as u64)?;
                for &object in chunk {
                    outgoing.visit(object, |target| {
                        if distance[target as usize] == NONE {
                            distance[target as usize] = level;
                            next.push(target);
                        }
                    });
                }
            }
            front = next;
        }
        Ok(distance)
    }
}

/// Outgoing edges, from memory if they are there, else from the dump.
#[derive(Debug)]
pub struct Outgoing<'a> {
    kept: Option<Arc<Rows>>,
    source: Option<(Reader<'a>, Words<'a>)>,
}

impl Outgoing<'_> {
    /// Call `target(index)` for each edge of an object, in the order of its fields.
    #[inline]
    pub fn visit(&mut self, object: u32, mut target: impl FnMut(u32)) {
        if let Some(rows) = &self.kept {
            rows.row(object).iter().copied().for_each(target);
        } else if let Some((reader, words)) = &mut self.source {
            let address = reader.heap.table.address_of(object);
            reader.visit(words, object, address, &mut target);
        }
    }
}
