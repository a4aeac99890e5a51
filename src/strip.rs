//! The walk of one stretch of a heap range, from one object to the next.

use crate::error::Result;
use crate::image::Image;
use crate::layout::HeapLayout;
use crate::monitor::Monitor;
use crate::shapes::{ShapeCache, Shapes};
use crate::words::Words;

/// Objects in a row that must look right before a position found by search is believed.
const CONSECUTIVE: usize = 8;
/// Bytes that are announced to the system, and walked, at a time: little enough that an object of many megabytes is not read for its header.
const WINDOW: u64 = 1 << 20;
/// How far a search goes between two looks whether it should stop.
const SEARCH_STRIDE: u64 = 1 << 20;

/// A part of a range in which no objects could be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// First address.
    pub start: u64,
    /// One past the last address.
    pub end: u64,
    /// What was found instead of an object.
    pub reason: String,
}

/// How many objects of a type, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Objects.
    pub count: u64,
    /// Bytes, each object rounded to the alignment.
    pub bytes: u64,
    /// Bytes, not rounded.
    pub unaligned_bytes: u64,
}

/// What one worker found: objects that begin in `[start, stop)`.
#[derive(Debug, Default)]
pub struct Strip {
    /// Where the walk began.
    pub start: u64,
    /// Objects of the strip begin before this address.
    pub stop: u64,
    /// First address after the last object, gap or hole; at least `stop`.
    pub end: u64,
    /// One bit for each 8 bytes from `bits_base`: an object begins here.
    pub bits: Vec<u64>,
    /// Address of the first bit.
    pub bits_base: u64,
    /// Discovery number of the type of each object, in order of address.
    pub types: Vec<u32>,
    /// Per discovery number.
    pub tallies: Vec<Tally>,
    /// What was passed over.
    pub gaps: Vec<Gap>,
    /// Bytes of all objects.
    pub walked_bytes: u64,
    /// Sum of address*31 + MethodTable*17 + size.
    pub checksum: u64,
    /// Per discovery number: objects without components, which are not yet in `tallies`.
    plain: Vec<u64>,
    /// Sum of the addresses of all objects.
    addresses: u64,
}

/// What all strips of a walk share.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The memory.
    pub image: &'a Image,
    /// The places of fields.
    pub layout: &'a HeapLayout,
    /// The types met so far.
    pub shapes: &'a Shapes<'a>,
    /// Unused allocation contexts, ascending, disjoint.
    pub holes: &'a [(u64, u64)],
    /// To report to.
    pub monitor: &'a Monitor,
}

/// Walks objects in one range.
pub struct Walker<'a> {
    ground: Ground<'a>,
    words: Words<'a>,
    cache: ShapeCache<'a>,
    range_end: u64,
}

enum Step {
    Object { type_index: u32, unaligned: u64 },
    NotInDump,
    Bad(String),
}

impl<'a> Walker<'a> {
    /// A walker of the range that ends at `range_end`.
    #[must_use]
    pub fn new(ground: Ground<'a>, range_end: u64) -> Self {
        let (words, cache) = (Words::new(ground.image), ShapeCache::new(ground.shapes));
        Self { ground, words, cache, range_end }
    }

    /// Walk from an object's start until the first object that begins at or after `stop`. Bits begin at `bits_base`.
    ///
    /// # Errors
    /// `Cancelled`
    pub fn walk(&mut self, start: u64, stop: u64, bits_base: u64) -> Result<Strip> {
        let mut strip = Strip { start, stop, bits_base, ..Strip::default() };
        let words = usize::try_from((stop - bits_base).div_ceil(512)).unwrap_or(0);
        strip.bits = vec![0; words];
        let mut at = start;
        let mut reported = start;
        while at < stop {
            let (limit, after_hole) = self.limit_at(at);
            if at >= limit {
                at = after_hole.max(at + 8).min(self.range_end);
                continue;
            }
            let window = (at | (WINDOW - 1)).saturating_add(1).min(limit).min(stop);
            self.ground.image.announce(at, window);
            at = self.walk_until(at, window, limit, &mut strip)?;
            self.ground.monitor.step((at - reported).min(stop - reported))?;
            reported = at.min(stop);
        }
        strip.end = at;
        strip.sum_up(self.ground);
        Ok(strip)
    }

    /// Objects from `at` while they begin before `stop`; none passes `limit`. Ends at a gap's end at the latest.
    fn walk_until(&mut self, mut at: u64, stop: u64, limit: u64, strip: &mut Strip) -> Result<u64> {
        loop {
            at = self.run(at, stop, limit, strip);
            if at >= stop {
                return Ok(at);
            }
            match self.step(at, limit) {
                Step::Object { type_index, unaligned } => {
                    let size = self.occupied(unaligned);
                    strip.add(at, type_index);
                    strip.tally(type_index, unaligned, size);
                    at += size;
                }
                Step::NotInDump => {
                    let readable = self.ground.image.next_readable(at).map_or(limit, |next| next.min(limit));
                    let resumed = self.search(readable.next_multiple_of(8), limit, u64::MAX)?.unwrap_or(limit);
                    strip.gaps.push(Gap { start: at, end: resumed, reason: "not in the dump".into() });
                    return Ok(resumed);
                }
                Step::Bad(reason) => {
                    let resumed = self.search(at + 8, limit, u64::MAX)?.unwrap_or(limit);
                    strip.gaps.push(Gap { start: at, end: resumed, reason });
                    return Ok(resumed);
                }
            }
        }
    }

    /// Objects from `at` while they are of remembered types and lie in one slice of the file: nearly all. Returns where the first other
    /// begins, which is for [`Self::step`] to look at.
    fn run(&mut self, mut at: u64, stop: u64, limit: u64, strip: &mut Strip) -> u64 {
        let (base, bytes) = (at, self.words.slice(at));
        let layout = self.ground.layout;
        while at < stop {
            let Some(rest) = usize::try_from(at - base).ok().and_then(|offset| bytes.get(offset..)) else { break };
            let Some(word) = rest.first_chunk() else { break };
            let method_table = u64::from_le_bytes(*word) & layout.method_table_mask;
            let slot = self.cache.slot(method_table);
            if slot.method_table != method_table {
                break;
            }
            let mut size = slot.occupied;
            if slot.shape.component_size == 0 {
                if size > limit - at {
                    break;
                }
                strip.count(slot.number);
            } else {
                let count = usize::try_from(layout.array_length_offset).ok().and_then(|offset| rest.get(offset..));
                let Some(count) = count.and_then(|count| count.first_chunk()) else { break };
                let unaligned = slot.shape.size(u32::from_le_bytes(*count)).max(layout.minimum_size);
                size = layout.aligned(unaligned);
                if size > limit - at {
                    break;
                }
                strip.tally(slot.number, unaligned, size);
            }
            strip.add(at, slot.number);
            at += size;
        }
        at
    }

    #[inline]
    fn occupied(&self, unaligned: u64) -> u64 {
        self.ground.layout.aligned(unaligned)
    }

    /// Where objects from `at` on must end, and where the hole ends that begins there.
    fn limit_at(&self, at: u64) -> (u64, u64) {
        let next = self.ground.holes.partition_point(|hole| hole.1 <= at);
        match self.ground.holes.get(next) {
            Some(&(start, end)) if start < self.range_end => (start, end.next_multiple_of(8)),
            _ => (self.range_end, self.range_end),
        }
    }

    #[inline]
    fn step(&mut self, at: u64, limit: u64) -> Step {
        let Some(word) = self.words.u64(at) else { return Step::NotInDump };
        let method_table = word & self.ground.layout.method_table_mask;
        let Some((type_index, shape)) = self.cache.resolve(method_table) else {
            return Step::Bad(format!("no MethodTable at {method_table:#x}"));
        };
        let mut count = 0;
        if shape.component_size != 0 {
            match self.words.u32(at.wrapping_add(self.ground.layout.array_length_offset)) {
                Some(read) => count = read,
                None => return Step::NotInDump,
            }
        }
        // The empty string, 22 bytes by its MethodTable, occupies and counts as the minimum (so SOS and ClrMD sum it too).
        let unaligned = shape.size(count).max(self.ground.layout.minimum_size);
        if self.occupied(unaligned) > limit - at {
            return Step::Bad(format!("an object of {unaligned} bytes passes {limit:#x}"));
        }
        Step::Object { type_index, unaligned }
    }

    /// The first position from `from` where several objects in a row look right; `None` if there is none before `limit` or within `effort` bytes.
    ///
    /// # Errors
    /// `Cancelled`
    pub fn search(&mut self, from: u64, limit: u64, effort: u64) -> Result<Option<u64>> {
        let give_up = from.saturating_add(effort);
        let mut at = from;
        while at < limit && at < give_up {
            if at.is_multiple_of(SEARCH_STRIDE) {
                self.ground.monitor.step(0)?;
            }
            match self.words.u64(at) {
                None => match self.ground.image.next_readable(at) {
                    Some(next) => {
                        at = next.max(at + 1).next_multiple_of(8);
                        continue;
                    }
                    None => return Ok(None),
                },
                Some(0) => {}
                Some(_) => {
                    if self.looks_right(at, limit) {
                        return Ok(Some(at));
                    }
                }
            }
            at += 8;
        }
        Ok(None)
    }

    fn looks_right(&mut self, mut at: u64, limit: u64) -> bool {
        for _ in 0..CONSECUTIVE {
            if at == limit {
                return true;
            }
            match self.step(at, limit) {
                Step::Object { unaligned, .. } => at += self.occupied(unaligned),
                _ => return false,
            }
        }
        true
    }

    /// A position at or after `boundary` where an object probably begins, for a strip that starts in the middle of a range.
    ///
    /// # Errors
    /// `Cancelled`
    pub fn guess_start(&mut self, boundary: u64, effort: u64) -> Result<Option<u64>> {
        let (limit, after_hole) = self.limit_at(boundary);
        if boundary >= limit {
            return Ok((after_hole < self.range_end).then_some(after_hole));
        }
        self.search(boundary, limit, effort)
    }
}

impl Strip {
    #[inline]
    fn add(&mut self, at: u64, number: u32) {
        let bit = (at - self.bits_base) >> 3;
        if let Some(word) = usize::try_from(bit >> 6).ok().and_then(|word| self.bits.get_mut(word)) {
            *word |= 1 << (bit & 63);
        }
        self.types.push(number);
        self.addresses = self.addresses.wrapping_add(at);
    }

    /// One more object of a type without components: what it occupies is known from its type.
    #[inline]
    fn count(&mut self, number: u32) {
        let slot = number as usize;
        if slot >= self.plain.len() {
            self.plain.resize(slot + 1, 0);
        }
        self.plain[slot] += 1;
    }

    #[inline]
    fn tally(&mut self, number: u32, unaligned: u64, size: u64) {
        let slot = number as usize;
        if slot >= self.tallies.len() {
            self.tallies.resize(slot + 1, Tally::default());
        }
        let tally = &mut self.tallies[slot];
        tally.count += 1;
        tally.bytes += size;
        tally.unaligned_bytes += unaligned;
    }

    /// Bytes and checksum of all objects, from how many there are of each type.
    fn sum_up(&mut self, ground: Ground<'_>) {
        if self.tallies.len() < self.plain.len() {
            self.tallies.resize(self.plain.len(), Tally::default());
        }
        self.checksum = self.addresses.wrapping_mul(31);
        for (number, tally) in self.tallies.iter_mut().enumerate() {
            let plain = self.plain.get(number).copied().unwrap_or(0);
            if tally.count + plain == 0 {
                continue;
            }
            let Some(shape) = ground.shapes.shape(number) else { continue };
            let unaligned = shape.size(0).max(ground.layout.minimum_size);
            tally.count += plain;
            tally.bytes += plain * ground.layout.aligned(unaligned);
            tally.unaligned_bytes += plain * unaligned;
            self.walked_bytes += tally.bytes;
            let sum = shape.method_table.wrapping_mul(17).wrapping_mul(tally.count);
            self.checksum = self.checksum.wrapping_add(sum).wrapping_add(tally.bytes);
        }
        self.plain = Vec::new();
    }
}
