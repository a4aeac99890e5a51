//! The object table: one bit for each 8 bytes of heap (an object begins here), counts of bits, and the type of each object.
//! About 4 bytes an object, constant-time address to index.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::strip::Strip;

/// Index of no object.
pub const NONE: u32 = u32::MAX;
/// Objects that 32-bit indices can number; the values above are marks.
pub const MAXIMUM_OBJECTS: usize = (u32::MAX - 16) as usize;

/// 64 bits for 512 bytes of heap, and how many objects begin before them. Side by side, so that a lookup touches one cache line.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    low: u32,
    high: u32,
    rank: u32,
}

impl Cell {
    #[inline]
    fn bits(self) -> u64 {
        u64::from(self.low) | u64::from(self.high) << 32
    }
}

/// Objects that begin in `[start, stop)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Address of the first bit.
    pub start: u64,
    /// One past the last address that an object may begin at.
    pub stop: u64,
    /// Index of the first object.
    pub first: u32,
    /// Index of the first cell.
    cell: usize,
}

/// Where objects begin, and of which type they are. Indices ascend with addresses.
#[derive(Debug, Default)]
pub struct Table {
    spans: Vec<Span>,
    cells: Vec<Cell>,
    /// Cell of every 64th object: where the search for an object's address begins.
    samples: Vec<u32>,
    types: TypeColumn,
    directory: Directory,
}

#[derive(Debug)]
enum TypeColumn {
    Narrow(Vec<u16>),
    Wide(Vec<u32>),
}

impl Default for TypeColumn {
    fn default() -> Self {
        Self::Narrow(Vec::new())
    }
}

/// The span of an address without a search through all spans: equal steps of the address space.
#[derive(Debug, Default)]
struct Directory {
    base: u64,
    shift: u32,
    first_span: Vec<u32>,
}

/// Objects between two samples.
const SAMPLE: usize = 64;

/// The GC reserves 256 GB for regions of 4 MB and has frozen objects elsewhere (gcconfig.h): steps stay well below a region then.
const DIRECTORY_SIZE: u64 = 1 << 19;

impl Directory {
    fn new(spans: &[Span]) -> Self {
        let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return Self::default() };
        let base = first.start;
        let mut shift = 12;
        while (last.stop - base) >> shift >= DIRECTORY_SIZE {
            shift += 1;
        }
        let mut first_span = Vec::new();
        let mut span = 0;
        for step in 0..=(last.stop - base) >> shift {
            let address = base + (step << shift);
            while spans.get(span).is_some_and(|span| span.stop <= address) {
                span += 1;
            }
            first_span.push(u32::try_from(span).unwrap_or(u32::MAX));
        }
        Self { base, shift, first_span }
    }

    #[inline(always)] // as `index_of`
    #[allow(clippy::inline_always)]
    fn span(&self, spans: &[Span], address: u64) -> Option<usize> {
        let step = usize::try_from(address.wrapping_sub(self.base) >> self.shift).ok()?;
        let mut index = *self.first_span.get(step)? as usize;
        if address >= spans.get(index)?.stop {
            // Usually the next one; a heap with a part far away has wide steps with many spans.
            let last = self.first_span.get(step + 1).map_or(spans.len() - 1, |&next| next as usize);
            index += 1;
            index += spans.get(index..=last)?.partition_point(|span| span.stop <= address);
        }
        let span = spans.get(index)?;
        (address >= span.start).then_some(index)
    }
}

impl Table {
    /// Add the next strip, in order of address. Types are discovery numbers until [`Self::finish`].
    ///
    /// # Errors
    /// `LimitExceeded` above 2^32 objects, or 2^32 cells.
    pub fn append(&mut self, strip: &Strip) -> Result<()> {
        if strip.types.is_empty() {
            return Ok(());
        }
        let total = self.types.len() + strip.types.len();
        if total > MAXIMUM_OBJECTS {
            return Err(Error::LimitExceeded(format!("{total} objects are more than 32-bit indices can number")));
        }
        let cells = self.cells.len() + strip.bits.len();
        if u32::try_from(cells).is_err() {
            return Err(Error::LimitExceeded(format!(
                "a heap of {} bytes is more than can be walked",
                cells as u64 * 512
            )));
        }
        let mut rank = u32::try_from(self.types.len()).unwrap_or(NONE);
        self.spans.push(Span { start: strip.bits_base, stop: strip.stop, first: rank, cell: self.cells.len() });
        for &bits in &strip.bits {
            let cell = u32::try_from(self.cells.len()).unwrap_or(NONE);
            self.cells.push(Cell { low: (bits & 0xffff_ffff) as u32, high: (bits >> 32) as u32, rank });
            rank += bits.count_ones();
            if self.samples.len() < (rank as usize).div_ceil(SAMPLE) {
                self.samples.resize((rank as usize).div_ceil(SAMPLE), cell);
            }
        }
        self.types.extend(&strip.types);
        Ok(())
    }

    /// No more strips follow: `renumber[discovery number]` is the final type index.
    #[must_use]
    pub fn finish(mut self, renumber: &[u32]) -> Self {
        self.types.renumber(renumber);
        self.directory = Directory::new(&self.spans);
        self
    }

    /// How many objects.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// No object at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Stretches of the heap, in order.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Index of the object that begins at `address`, [`NONE`] if none does.
    #[inline(always)] // once for each reference of the heap
    #[allow(clippy::inline_always)]
    #[must_use]
    pub fn index_of(&self, address: u64) -> u32 {
        let Some(span) = self.directory.span(&self.spans, address) else { return NONE };
        let span = &self.spans[span];
        let bit = (address - span.start) >> 3;
        let cell = self.cells[span.cell + (bit >> 6) as usize];
        let (bits, bit) = (cell.bits(), bit & 63);
        if address & 7 != 0 || bits >> bit & 1 == 0 {
            return NONE;
        }
        cell.rank + (bits & ((1 << bit) - 1)).count_ones()
    }

    /// Index of the last object that begins at or before `address` in its span, and that object's address.
    #[must_use]
    pub fn last_at_or_before(&self, address: u64) -> Option<u32> {
        let Some(span) = self.directory.span(&self.spans, address) else {
            // Past the end of a span an object of it may still go on.
            let before = self.spans.partition_point(|span| span.start <= address).checked_sub(1)?;
            return self.end_of(before).checked_sub(1);
        };
        let span = &self.spans[span];
        let bit = (address - span.start) >> 3;
        let cell = self.cells[span.cell + (bit >> 6) as usize];
        // Bits up to and including this one.
        (cell.rank + (cell.bits() << (63 - (bit & 63))).count_ones()).checked_sub(1)
    }

    /// One past the last index of a span.
    #[must_use]
    pub fn end_of(&self, span: usize) -> u32 {
        self.spans.get(span + 1).map_or_else(|| u32::try_from(self.len()).unwrap_or(NONE), |next| next.first)
    }

    /// Address of an object. `index` must be below `len`.
    #[must_use]
    pub fn address_of(&self, index: u32) -> u64 {
        let sample = index as usize / SAMPLE;
        let first = self.samples[sample] as usize;
        let last = self.samples.get(sample + 1).map_or(self.cells.len(), |&cell| cell as usize + 1);
        let cell = first + self.cells[first..last].partition_point(|cell| cell.rank <= index) - 1;
        let mut bits = self.cells[cell].bits();
        for _ in 0..index - self.cells[cell].rank {
            bits &= bits - 1;
        }
        let span = &self.spans[self.spans.partition_point(|span| span.cell <= cell) - 1];
        let cell = cell - span.cell;
        span.start + ((cell as u64) << 9) + (u64::from(bits.trailing_zeros()) << 3)
    }

    /// (index, address) of the objects `start..stop`, in order.
    #[must_use]
    pub fn objects(&self, start: u32, stop: u32) -> Objects<'_> {
        let stop = stop.min(u32::try_from(self.len()).unwrap_or(NONE));
        let mut objects = Objects {
            table: self,
            index: start.min(stop),
            stop,
            span: 0,
            cell: 0,
            bits: 0,
            base: 0,
            next_span_cell: 0,
        };
        if start < stop {
            let address = self.address_of(start);
            objects.enter(self.spans.partition_point(|span| span.first <= start) - 1);
            let cells = (address - objects.base) >> 9;
            objects.cell += usize::try_from(cells).unwrap_or(usize::MAX);
            objects.base += cells << 9;
            objects.bits =
                self.cells[objects.cell].bits() & (u64::MAX << ((address >> 3).wrapping_sub(objects.base >> 3) & 63));
        }
        objects
    }

    /// Type index of an object. `index` must be below `len`.
    #[inline]
    #[must_use]
    pub fn type_of(&self, index: u32) -> u32 {
        match &self.types {
            TypeColumn::Narrow(types) => u32::from(types[index as usize]),
            TypeColumn::Wide(types) => types[index as usize],
        }
    }

    /// Bytes of memory that the table takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let types = match &self.types {
            TypeColumn::Narrow(types) => types.capacity() * 2,
            TypeColumn::Wide(types) => types.capacity() * 4,
        };
        self.cells.capacity() * size_of::<Cell>() + self.samples.capacity() * 4 + types
    }
}

/// Iterator over (index, address).
#[derive(Debug, Clone)]
pub struct Objects<'a> {
    table: &'a Table,
    index: u32,
    stop: u32,
    span: usize,
    cell: usize,
    /// Bits of the cell that are still to come.
    bits: u64,
    /// Address of the cell's first bit.
    base: u64,
    /// Where the next span begins.
    next_span_cell: usize,
}

impl Objects<'_> {
    /// Go to the first cell of a span.
    fn enter(&mut self, span: usize) {
        let Some(entered) = self.table.spans.get(span) else { return };
        (self.span, self.cell, self.base) = (span, entered.cell, entered.start);
        self.next_span_cell = self.table.spans.get(span + 1).map_or(usize::MAX, |next| next.cell);
    }
}

impl Iterator for Objects<'_> {
    type Item = (u32, u64);

    #[inline(always)] // once for each object of every pass over the heap
    #[allow(clippy::inline_always)]
    fn next(&mut self) -> Option<(u32, u64)> {
        if self.index >= self.stop {
            return None;
        }
        while self.bits == 0 {
            self.cell += 1;
            self.bits = self.table.cells.get(self.cell)?.bits();
            if self.cell == self.next_span_cell {
                self.enter(self.span + 1);
            } else {
                self.base += 512;
            }
        }
        let address = self.base + (u64::from(self.bits.trailing_zeros()) << 3);
        self.bits &= self.bits - 1;
        let index = self.index;
        self.index += 1;
        Some((index, address))
    }
}

impl TypeColumn {
    fn len(&self) -> usize {
        match self {
            Self::Narrow(types) => types.len(),
            Self::Wide(types) => types.len(),
        }
    }

    /// Add discovery numbers; the column becomes wide when one does not fit.
    fn extend(&mut self, numbers: &[u32]) {
        if let Self::Narrow(types) = self {
            let all_bits = numbers.iter().fold(0, |all, &number| all | number);
            if u16::try_from(all_bits).is_ok() {
                types.extend(numbers.iter().map(|&number| (number & 0xffff) as u16));
                return;
            }
            *self = Self::Wide(types.iter().copied().map(u32::from).collect());
        }
        if let Self::Wide(types) = self {
            types.extend_from_slice(numbers);
        }
    }

    fn renumber(&mut self, renumber: &[u32]) {
        match self {
            // The new numbers are no greater than the old ones' greatest, so they fit.
            Self::Narrow(types) => {
                types.par_iter_mut().for_each(|kind| *kind = (renumber[usize::from(*kind)] & 0xffff) as u16);
            }
            Self::Wide(types) => types.par_iter_mut().for_each(|kind| *kind = renumber[*kind as usize]),
        }
    }
}
