//! All references of a heap: read object by object, in parallel, into rows of targets.

use rayon::prelude::*;

use crate::csr::{BLOCK, BlockRows, Rows};
use crate::error::Result;
use crate::gcdesc::{FEW, References};
use crate::heap::Heap;
use crate::monitor::Monitor;
use crate::table::NONE;
use crate::words::Words;

/// References outside objects' fields, sorted by source.
#[derive(Debug, Clone, Default)]
pub struct ExtraEdges {
    pairs: Vec<(u32, u32)>,
}

impl ExtraEdges {
    /// From parallel arrays. Indices must be below the number of objects; a target may be [`NONE`], a dependent handle without a secondary.
    ///
    /// # Errors
    /// `Argument`
    pub fn new(heap: &Heap, sources: &[u32], targets: &[u32]) -> Result<Self> {
        if sources.len() != targets.len() {
            return Err(crate::error::Error::Argument("sources and targets differ in length".into()));
        }
        for &index in sources.iter().chain(targets.iter().filter(|&&target| target != NONE)) {
            heap.check_index(index)?;
        }
        let mut pairs: Vec<(u32, u32)> = sources.iter().copied().zip(targets.iter().copied()).collect();
        pairs.sort_unstable();
        Ok(Self { pairs })
    }

    /// Those of the objects from `source` on.
    fn from(&self, source: u32) -> &[(u32, u32)] {
        &self.pairs[self.pairs.partition_point(|pair| pair.0 < source)..]
    }

    /// Targets of one object that are objects, ascending.
    pub fn of(&self, source: u32) -> impl Iterator<Item = u32> + '_ {
        let own = self.from(source).iter().take_while(move |pair| pair.0 == source);
        own.map(|pair| pair.1).filter(|&target| target != NONE)
    }
}

/// Extra edges that a pass over ascending objects has still in front of it.
struct ExtraAhead<'a> {
    counted: &'a [(u32, u32)],
    uncounted: &'a [(u32, u32)],
}

impl ExtraAhead<'_> {
    #[inline]
    fn begin_at(&self, index: u32) -> bool {
        let at = |pairs: &[(u32, u32)]| pairs.first().is_some_and(|pair| pair.0 == index);
        at(self.counted) || at(self.uncounted)
    }
}

/// The first target of `index`, taken off `pairs`.
fn take(pairs: &mut &[(u32, u32)], index: u32) -> Option<u32> {
    let (&(source, target), others) = pairs.split_first()?;
    (source == index).then(|| {
        *pairs = others;
        target
    })
}

/// A non-null reference that leads to no object's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dangling {
    /// Index of the object that holds it.
    pub source: u32,
    /// What it says.
    pub value: u64,
}

/// Examples of dangling references that are kept.
const EXAMPLES: usize = 1000;

/// What was met on the way.
#[derive(Debug, Clone, Default)]
pub struct ReferenceFacts {
    /// Non-null references: fields, elements, dependent handles.
    pub count: u64,
    /// Sum of source address*31 + target address over them, mod 2^64.
    pub checksum: u64,
    /// References that lead to no object's start.
    pub dangling_count: u64,
    /// The first of those.
    pub dangling: Vec<Dangling>,
    /// Slots whose bytes are not in the dump.
    pub missing_slots: u64,
}

/// Count and checksum of a block, kept apart so that they can live in registers.
#[derive(Default)]
struct Sums {
    count: u64,
    checksum: u64,
}

impl ReferenceFacts {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.checksum = self.checksum.wrapping_add(other.checksum);
        self.dangling_count += other.dangling_count;
        self.missing_slots += other.missing_slots;
        let room = EXAMPLES.saturating_sub(self.dangling.len());
        self.dangling.extend(other.dangling.iter().take(room));
    }
}

/// Reads the references of a heap.
#[derive(Debug)]
pub struct Reader<'a> {
    /// The objects.
    pub heap: &'a Heap,
    /// The rule of each type.
    pub rules: &'a [References],
    /// Dependent handles: counted as references.
    pub counted: &'a ExtraEdges,
    /// Other edges that keep objects alive: not counted.
    pub uncounted: &'a ExtraEdges,
}

impl Reader<'_> {
    /// Call `target(index)` for each reference of an object that leads to an object.
    pub fn visit(&self, words: &mut Words<'_>, index: u32, address: u64, mut target: impl FnMut(u32)) {
        let rule = &self.rules[self.heap.table.type_of(index) as usize];
        if *rule != References::None
            && let Some(size) = self.heap.unaligned_size(words, index, address)
        {
            rule.visit(words, address, size, |run| {
                for word in run {
                    let value = u64::from_le_bytes(*word);
                    if value != 0 {
                        let found = self.heap.table.index_of(value);
                        if found != NONE {
                            target(found);
                        }
                    }
                }
            });
        }
        self.counted.of(index).for_each(&mut target);
        self.uncounted.of(index).for_each(&mut target);
    }

    /// Read all of them.
    ///
    /// # Errors
    /// `Cancelled`, `LimitExceeded`
    pub fn read_all(&self, monitor: &Monitor) -> Result<(Rows, ReferenceFacts)> {
        let count = self.heap.len();
        monitor.begin("reading references", count as u64);
        let firsts: Vec<usize> = (0..count).step_by(BLOCK).collect();
        let mut rows = Rows::with_capacity(count);
        let mut facts = ReferenceFacts::default();
        // A few blocks at a time, so that no more than the edges themselves stays allocated; while some are read, those before are put away.
        let mut before = Vec::new();
        for some in firsts.chunks(8 * rayon::current_num_threads()) {
            let read_one = |&first: &usize| self.read_from(first, monitor);
            let (put_away, read) = rayon::join(
                || put_away(&mut rows, &mut facts, before),
                || some.par_iter().with_max_len(1).map(read_one).collect::<Result<Vec<_>>>(),
            );
            put_away?;
            before = read?;
        }
        put_away(&mut rows, &mut facts, before)?;
        Ok((rows, facts))
    }

    fn read_from(&self, first: usize, monitor: &Monitor) -> Result<(BlockRows, ReferenceFacts)> {
        let stop = (first + BLOCK).min(self.heap.len());
        monitor.step((stop - first) as u64)?;
        Ok(self.read_block(u32::try_from(first).unwrap_or(NONE), u32::try_from(stop).unwrap_or(NONE)))
    }

    fn read_block(&self, first: u32, stop: u32) -> (BlockRows, ReferenceFacts) {
        let mut rows = BlockRows::default();
        let mut facts = ReferenceFacts::default();
        let mut words = Words::new(&self.heap.image);
        let mut extra = ExtraAhead { counted: self.counted.from(first), uncounted: self.uncounted.from(first) };
        let mut sums = Sums::default();
        for (index, address) in self.heap.table.objects(first, stop) {
            let kind = self.heap.table.type_of(index) as usize;
            if extra.begin_at(index) {
                rows.begin();
                self.read_fields(&mut words, (index, address, kind), rows.edges(), &mut facts);
                self.read_extra(&mut extra, (index, address), rows.edges(), &mut facts);
                rows.end();
                continue;
            }
            match &self.rules[kind] {
                References::None | References::Unknown(_) => rows.put(&[]),
                References::Fixed { size, few, .. } if !few.is_empty() => {
                    match words.slice(address).get(..*size as usize) {
                        Some(object) => self.read_few((index, address), object, few, &mut rows, &mut sums, &mut facts),
                        None => self.read_many(&mut words, (index, address, kind), &mut rows, &mut facts),
                    }
                }
                _ => self.read_many(&mut words, (index, address, kind), &mut rows, &mut facts),
            }
        }
        facts.count += sums.count;
        facts.checksum = facts.checksum.wrapping_add(sums.checksum);
        (rows, facts)
    }

    /// An object of few slots, all of whose bytes are here: most objects of most heaps.
    #[inline(always)]
    #[allow(clippy::inline_always)] // the call would cost as much as the work
    fn read_few(
        &self,
        (index, address): (u32, u64),
        object: &[u8],
        slots: &[u32],
        rows: &mut BlockRows,
        sums: &mut Sums,
        facts: &mut ReferenceFacts,
    ) {
        let (mut targets, mut found) = ([0_u32; FEW], 0);
        for &slot in slots {
            let word = object.get(slot as usize..).and_then(|rest| rest.first_chunk::<8>());
            let value = word.map_or(0, |word| u64::from_le_bytes(*word));
            if value == 0 {
                continue;
            }
            sums.count += 1;
            sums.checksum = sums.checksum.wrapping_add(address.wrapping_mul(31)).wrapping_add(value);
            let target = self.heap.table.index_of(value);
            if target == NONE {
                facts.dangle(index, value);
            } else if let Some(place) = targets.get_mut(found) {
                *place = target;
                found += 1;
            }
        }
        rows.put(&targets[..found.min(FEW)]);
    }

    #[inline(never)]
    fn read_many(
        &self,
        words: &mut Words<'_>,
        object: (u32, u64, usize),
        rows: &mut BlockRows,
        facts: &mut ReferenceFacts,
    ) {
        rows.begin();
        self.read_fields(words, object, rows.edges(), facts);
        rows.end();
    }

    fn read_extra(
        &self,
        extra: &mut ExtraAhead<'_>,
        (index, address): (u32, u64),
        edges: &mut Vec<u32>,
        facts: &mut ReferenceFacts,
    ) {
        while let Some(target) = take(&mut extra.counted, index) {
            // ClrMD counts a dependent handle whose secondary is null as a reference to address 0, and sums are compared with its.
            facts.note(address, if target == NONE { 0 } else { self.heap.table.address_of(target) });
            if target != NONE {
                edges.push(target);
            }
        }
        while let Some(target) = take(&mut extra.uncounted, index) {
            if target != NONE {
                edges.push(target);
            }
        }
    }

    #[inline]
    fn read_fields(
        &self,
        words: &mut Words<'_>,
        (index, address, kind): (u32, u64, usize),
        edges: &mut Vec<u32>,
        facts: &mut ReferenceFacts,
    ) {
        let rule = &self.rules[kind];
        if matches!(rule, References::None | References::Unknown(_)) {
            return;
        }
        let Some(size) = self.heap.size_of_type(words, kind, address) else { return };
        let table = &self.heap.table;
        let missing = rule.visit(words, address, size, |run| {
            let (mut count, mut sum) = (0_u64, 0_u64);
            for word in run {
                let value = u64::from_le_bytes(*word);
                if value == 0 {
                    continue;
                }
                count += 1;
                sum = sum.wrapping_add(value);
                let target = table.index_of(value);
                if target == NONE {
                    facts.dangle(index, value);
                } else {
                    edges.push(target);
                }
            }
            facts.count += count;
            facts.checksum =
                facts.checksum.wrapping_add(address.wrapping_mul(31).wrapping_mul(count)).wrapping_add(sum);
        });
        facts.missing_slots += missing;
    }
}

fn put_away(rows: &mut Rows, facts: &mut ReferenceFacts, blocks: Vec<(BlockRows, ReferenceFacts)>) -> Result<()> {
    for (block, part) in blocks {
        rows.append(&block)?;
        facts.add(&part);
    }
    Ok(())
}

impl ReferenceFacts {
    #[cold]
    fn dangle(&mut self, source: u32, value: u64) {
        self.dangling_count += 1;
        if self.dangling.len() < EXAMPLES {
            self.dangling.push(Dangling { source, value });
        }
    }

    fn note(&mut self, source: u64, target: u64) {
        self.count += 1;
        self.checksum = self.checksum.wrapping_add(source.wrapping_mul(31).wrapping_add(target));
    }
}
