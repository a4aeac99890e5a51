//! The walked heap: its objects, types, totals and gaps.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::image::Image;
use crate::layout::HeapLayout;
use crate::monitor::Monitor;
use crate::shapes::{Shape, Shapes};
use crate::strip::{Gap, Ground, Strip, Tally};
use crate::table::{NONE, Table};
use crate::walk::{orderly, walk_ranges};
use crate::words::Words;

/// All objects of a heap. Immutable.
#[derive(Debug)]
pub struct Heap {
    /// The memory it was read from.
    pub image: Arc<Image>,
    /// The places of fields.
    pub layout: Arc<HeapLayout>,
    /// Where objects are.
    pub table: Table,
    /// Types, ascending by MethodTable.
    pub shapes: Vec<Shape>,
    /// Per type.
    pub tallies: Vec<Tally>,
    /// What was passed over, ascending.
    pub gaps: Vec<Gap>,
    /// Bytes of all objects, each rounded to the alignment.
    pub walked_bytes: u64,
    /// Bytes of holes inside the ranges.
    pub hole_bytes: u64,
    /// Sum of address*31 + MethodTable*17 + size over all objects, mod 2^64.
    pub checksum: u64,
    /// Type index of free space.
    pub free_type: Option<u32>,
}

impl Heap {
    /// Walk the ranges.
    ///
    /// # Errors
    /// `Cancelled`, `Argument` for a layout and `Malformed` for ranges that make no sense, `LimitExceeded` for over 2^32 objects.
    #[allow(clippy::too_many_arguments)] // one call site, which names them all
    pub fn walk(
        image: Arc<Image>,
        layout: Arc<HeapLayout>,
        ranges: &[(u64, u64)],
        holes: &[(u64, u64)],
        free_method_table: u64,
        strip_size: u64,
        monitor: &Monitor,
    ) -> Result<Self> {
        layout.check()?;
        let holes = &orderly(holes);
        let shapes = Shapes::new(&image, &layout, free_method_table);
        let ground = Ground { image: &image, layout: &layout, shapes: &shapes, holes, monitor };
        let (mut table, mut totals) = (Table::default(), Totals::default());
        let gaps = walk_ranges(ground, ranges, strip_size, |strip| {
            totals.add(&strip);
            table.append(&strip)
        })?;
        let discovered = shapes.into_shapes();
        totals.tallies.resize(discovered.len(), Tally::default());
        let (renumber, order) = ascending(&discovered, &totals.tallies);
        let table = table.finish(&renumber);
        let tallies = order.iter().map(|&number| totals.tallies[number as usize]).collect();
        let (walked_bytes, checksum) = (totals.walked_bytes, totals.checksum);
        let shapes: Vec<Shape> = order.into_iter().map(|number| discovered[number as usize]).collect();
        let free_type = shapes.binary_search_by_key(&free_method_table, |shape| shape.method_table).ok();
        let free_type = free_type.and_then(|index| u32::try_from(index).ok());
        let hole_bytes = covered(ranges, holes);
        Ok(Self { image, layout, table, shapes, tallies, gaps, walked_bytes, hole_bytes, checksum, free_type })
    }

    /// How many objects, free ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// No object at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Refuse an index that is none of an object.
    ///
    /// # Errors
    /// `Argument`
    pub fn check_index(&self, index: u32) -> Result<()> {
        if (index as usize) < self.len() {
            return Ok(());
        }
        Err(Error::Argument(format!("object index {index} is not below {}", self.len())))
    }

    /// Bytes of an object, not rounded; `None` if its count is not in the dump, which the walk rules out.
    #[inline(always)] // once for each object of every pass over the heap
    #[allow(clippy::inline_always)]
    pub fn unaligned_size(&self, words: &mut Words<'_>, index: u32, address: u64) -> Option<u64> {
        self.size_of_type(words, self.table.type_of(index) as usize, address)
    }

    /// Bytes of an object of a type, not rounded.
    #[inline(always)] // as `unaligned_size`
    #[allow(clippy::inline_always)]
    pub fn size_of_type(&self, words: &mut Words<'_>, kind: usize, address: u64) -> Option<u64> {
        let shape = &self.shapes[kind];
        let mut count = 0;
        if shape.component_size != 0 {
            count = words.u32(address + self.layout.array_length_offset)?;
        }
        Some(shape.size(count).max(self.layout.minimum_size))
    }

    /// Bytes that an object occupies.
    #[inline]
    pub fn size(&self, words: &mut Words<'_>, index: u32, address: u64) -> u64 {
        let unaligned = self.unaligned_size(words, index, address).unwrap_or(self.layout.minimum_size);
        self.layout.aligned(unaligned)
    }

    /// Index of the object that `address` lies in, [`NONE`] if it lies in none.
    #[must_use]
    pub fn index_containing(&self, address: u64) -> u32 {
        let Some(index) = self.table.last_at_or_before(address) else { return NONE };
        let start = self.table.address_of(index);
        let size = self.size(&mut Words::new(&self.image), index, start);
        if address >= start && address - start < size { index } else { NONE }
    }
}

/// Sums over strips.
#[derive(Debug, Default)]
struct Totals {
    tallies: Vec<Tally>,
    walked_bytes: u64,
    checksum: u64,
}

impl Totals {
    fn add(&mut self, strip: &Strip) {
        self.walked_bytes += strip.walked_bytes;
        self.checksum = self.checksum.wrapping_add(strip.checksum);
        if self.tallies.len() < strip.tallies.len() {
            self.tallies.resize(strip.tallies.len(), Tally::default());
        }
        for (sum, tally) in self.tallies.iter_mut().zip(&strip.tallies) {
            sum.count += tally.count;
            sum.bytes += tally.bytes;
            sum.unaligned_bytes += tally.unaligned_bytes;
        }
    }
}

/// Types that have objects, ascending by MethodTable: discovery number to index, and back.
fn ascending(discovered: &[Shape], tallies: &[Tally]) -> (Vec<u32>, Vec<u32>) {
    let mut order: Vec<u32> =
        (0..).zip(tallies).filter(|(_, tally)| tally.count > 0).map(|(number, _)| number).collect();
    order.sort_by_key(|&number| discovered[number as usize].method_table);
    let mut renumber = vec![NONE; discovered.len()];
    for (index, &number) in (0..).zip(&order) {
        renumber[number as usize] = index;
    }
    (renumber, order)
}

/// Bytes of `ranges` that `holes` cover.
fn covered(ranges: &[(u64, u64)], holes: &[(u64, u64)]) -> u64 {
    let mut sum = 0;
    for &(start, end) in ranges {
        let first = holes.partition_point(|hole| hole.1 <= start);
        for &(hole_start, hole_end) in holes[first..].iter().take_while(|hole| hole.0 < end) {
            let hole_end = hole_end.next_multiple_of(8).min(end);
            sum += hole_end.saturating_sub(hole_start.max(start));
        }
    }
    sum
}
