//! The object table: one bit for each 8 bytes of heap (an object begins here), counts of bits, and the type of each object.
//! About 3.5 bytes an object, constant-time address to index.

use crate::error::{Error, Result};
use crate::strip::Strip;

/// Index of no object.
pub const NONE: u32 = u32::MAX;
/// Objects that 32-bit indices can number; the values above are marks.
pub const MAXIMUM_OBJECTS: usize = (u32::MAX - 16) as usize;
const WORDS_PER_BLOCK: usize = 8;

/// Objects that begin in `[start, stop)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Address of the first bit.
    pub start: u64,
    /// One past the last address that an object may begin at.
    pub stop: u64,
    /// Index of the first object.
    pub first: u32,
    /// Index of the first word of bits.
    pub word: usize,
}

/// Where objects begin, and of which type they are. Indices ascend with addresses.
#[derive(Debug, Default)]
pub struct Table {
    spans: Vec<Span>,
    bits: Vec<u64>,
    ranks: Vec<u32>,
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

const DIRECTORY_SIZE: u64 = 1 << 16;

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

    #[inline]
    fn span(&self, spans: &[Span], address: u64) -> Option<usize> {
        let step = usize::try_from(address.wrapping_sub(self.base) >> self.shift).ok()?;
        let mut index = *self.first_span.get(step)? as usize;
        loop {
            let span = spans.get(index)?;
            if address < span.stop {
                return (address >= span.start).then_some(index);
            }
            index += 1;
        }
    }
}

impl Table {
    /// Put strips together, in order of address. `renumber[discovery number]` is the final type index. The strips are emptied.
    ///
    /// # Errors
    /// `LimitExceeded` above 2^32 objects.
    pub fn assemble(strips: Vec<Strip>, renumber: &[u32]) -> Result<Self> {
        let total: usize = strips.iter().map(|strip| strip.types.len()).sum();
        if total > MAXIMUM_OBJECTS {
            return Err(Error::LimitExceeded(format!("{total} objects are more than 32-bit indices can number")));
        }
        let narrow = renumber.len() <= usize::from(u16::MAX);
        let mut table = Self { types: TypeColumn::with_capacity(total, narrow), ..Self::default() };
        let words = strips.iter().map(|strip| strip.bits.len().next_multiple_of(WORDS_PER_BLOCK)).sum();
        table.bits.reserve_exact(words);
        table.ranks.reserve_exact(words / WORDS_PER_BLOCK);
        for strip in strips.into_iter().filter(|strip| !strip.types.is_empty()) {
            table.append(strip, renumber);
        }
        table.directory = Directory::new(&table.spans);
        Ok(table)
    }

    fn append(&mut self, strip: Strip, renumber: &[u32]) {
        let mut rank = u32::try_from(self.types.len()).unwrap_or(NONE);
        self.spans.push(Span { start: strip.bits_base, stop: strip.stop, first: rank, word: self.bits.len() });
        for block in strip.bits.chunks(WORDS_PER_BLOCK) {
            self.ranks.push(rank);
            rank += block.iter().map(|word| word.count_ones()).sum::<u32>();
        }
        self.bits.extend_from_slice(&strip.bits);
        self.bits.resize(self.bits.len().next_multiple_of(WORDS_PER_BLOCK), 0);
        self.types.extend(&strip.types, renumber);
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
    #[inline]
    #[must_use]
    pub fn index_of(&self, address: u64) -> u32 {
        let Some(span) = self.directory.span(&self.spans, address) else { return NONE };
        let span = &self.spans[span];
        let bit = (address - span.start) >> 3;
        let word = span.word + (bit >> 6) as usize;
        if address & 7 != 0 || self.bits[word] >> (bit & 63) & 1 == 0 {
            return NONE;
        }
        self.rank(word, bit & 63)
    }

    /// Index of the last object that begins at or before `address` in its span, and that object's address.
    #[must_use]
    pub fn last_at_or_before(&self, address: u64) -> Option<u32> {
        let span = match self.directory.span(&self.spans, address) {
            Some(span) => &self.spans[span],
            None => {
                // Past the end of a span an object of it may still go on.
                let before = self.spans.partition_point(|span| span.start <= address).checked_sub(1)?;
                return Some(self.end_of(before).checked_sub(1)?);
            }
        };
        let bit = (address - span.start) >> 3;
        let word = span.word + (bit >> 6) as usize;
        let here = u32::from(self.bits[word] >> (bit & 63) & 1 == 1);
        (self.rank(word, bit & 63) + here).checked_sub(1)
    }

    /// Objects before bit `bit` of word `word`.
    #[inline]
    fn rank(&self, word: usize, bit: u64) -> u32 {
        let block = word / WORDS_PER_BLOCK;
        let before: u32 = self.bits[block * WORDS_PER_BLOCK..word].iter().map(|word| word.count_ones()).sum();
        self.ranks[block] + before + (self.bits[word] & ((1 << bit) - 1)).count_ones()
    }

    /// One past the last index of a span.
    #[must_use]
    pub fn end_of(&self, span: usize) -> u32 {
        self.spans.get(span + 1).map_or_else(|| u32::try_from(self.len()).unwrap_or(NONE), |next| next.first)
    }

    /// Address of an object. `index` must be below `len`.
    #[must_use]
    pub fn address_of(&self, index: u32) -> u64 {
        let at = self.spans.partition_point(|span| span.first <= index) - 1;
        let span = &self.spans[at];
        let first_block = span.word / WORDS_PER_BLOCK;
        let last_block = self.spans.get(at + 1).map_or(self.ranks.len(), |next| next.word / WORDS_PER_BLOCK);
        let blocks = &self.ranks[first_block..last_block];
        let block = first_block + blocks.partition_point(|&rank| rank <= index) - 1;
        let mut left = index - self.ranks[block];
        let mut word = block * WORDS_PER_BLOCK;
        while self.bits[word].count_ones() <= left {
            left -= self.bits[word].count_ones();
            word += 1;
        }
        let mut bits = self.bits[word];
        for _ in 0..left {
            bits &= bits - 1;
        }
        span.start + (((word - span.word) as u64) << 9) + (u64::from(bits.trailing_zeros()) << 3)
    }

    /// (index, address) of the objects `start..stop`, in order.
    pub fn objects(&self, start: u32, stop: u32) -> Objects<'_> {
        let stop = stop.min(u32::try_from(self.len()).unwrap_or(NONE));
        if start >= stop {
            return Objects { table: self, index: stop, stop, span: 0, word: 0, bits: 0 };
        }
        let span = self.spans.partition_point(|span| span.first <= start) - 1;
        let bit = (self.address_of(start) - self.spans[span].start) >> 3;
        let word = self.spans[span].word + (bit >> 6) as usize;
        let bits = self.bits[word] & (u64::MAX << (bit & 63));
        Objects { table: self, index: start, stop, span, word, bits }
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
        self.bits.capacity() * 8 + self.ranks.capacity() * 4 + types
    }
}

/// Iterator over (index, address).
#[derive(Debug, Clone)]
pub struct Objects<'a> {
    table: &'a Table,
    index: u32,
    stop: u32,
    span: usize,
    word: usize,
    bits: u64,
}

impl Iterator for Objects<'_> {
    type Item = (u32, u64);

    #[inline]
    fn next(&mut self) -> Option<(u32, u64)> {
        if self.index >= self.stop {
            return None;
        }
        while self.bits == 0 {
            self.word += 1;
            self.bits = *self.table.bits.get(self.word)?;
            while self.table.spans.get(self.span + 1).is_some_and(|next| next.word <= self.word) {
                self.span += 1;
            }
        }
        let span = &self.table.spans[self.span];
        let bit = u64::from(self.bits.trailing_zeros());
        self.bits &= self.bits - 1;
        let address = span.start + (((self.word - span.word) as u64) << 9) + (bit << 3);
        let index = self.index;
        self.index += 1;
        Some((index, address))
    }
}

impl TypeColumn {
    fn with_capacity(count: usize, narrow: bool) -> Self {
        if narrow { Self::Narrow(Vec::with_capacity(count)) } else { Self::Wide(Vec::with_capacity(count)) }
    }

    fn len(&self) -> usize {
        match self {
            Self::Narrow(types) => types.len(),
            Self::Wide(types) => types.len(),
        }
    }

    fn extend(&mut self, discovered: &[u32], renumber: &[u32]) {
        let renumbered = discovered.iter().map(|&number| renumber[number as usize]);
        match self {
            // `narrow` was chosen because every number fits.
            Self::Narrow(types) => types.extend(renumbered.map(|number| (number & 0xffff) as u16)),
            Self::Wide(types) => types.extend(renumbered),
        }
    }
}
