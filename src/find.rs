//! Searching memory for words and for bytes.

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::error::Result;
use crate::image::Image;
use crate::monitor::Monitor;

/// Bytes that one task searches before it looks whether it should stop.
const STRIDE: u64 = 4 << 20;

/// A 1024-bit sieve in front of the hash map: nearly every word of memory is none of the wanted values.
struct Sieve {
    bits: [u64; 1024],
}

impl Sieve {
    fn new(values: &[u64]) -> Self {
        let mut bits = [0; 1024];
        for &value in values {
            let slot = Self::slot(value);
            bits[slot >> 6] |= 1 << (slot & 63);
        }
        Self { bits }
    }

    #[inline]
    fn slot(value: u64) -> usize {
        (value.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize
    }

    #[inline]
    fn may_hold(&self, value: u64) -> bool {
        let slot = Self::slot(value);
        self.bits[slot >> 6] >> (slot & 63) & 1 == 1
    }
}

/// Addresses of 8-aligned words in `ranges` that equal one of `values`, and the index of that value; at most `limit`, ascending per range.
///
/// # Errors
/// `Cancelled`. Missing bytes are passed over.
pub fn find_u64(
    image: &Image,
    values: &[u64],
    ranges: &[(u64, u64)],
    limit: usize,
    monitor: &Monitor,
) -> Result<(Vec<u64>, Vec<u32>)> {
    let sieve = Sieve::new(values);
    let mut index_of: FxHashMap<u64, u32> = FxHashMap::default();
    for (index, &value) in (0u32..).zip(values) {
        index_of.entry(value).or_insert(index);
    }
    let one = values.len() == 1;
    let only = values.first().copied().unwrap_or_default();
    let hits = search(image, ranges, limit, 7, monitor, |base, bytes, hits| {
        let skip = (base.wrapping_neg() & 7) as usize;
        let words = bytes.get(skip..).unwrap_or(&[]).as_chunks::<8>().0;
        for (at, word) in (base + skip as u64..).step_by(8).zip(words) {
            let value = u64::from_le_bytes(*word);
            let wanted = if one { value == only } else { sieve.may_hold(value) };
            if wanted && let Some(&index) = index_of.get(&value) {
                hits.push((at, index));
                if hits.len() >= limit {
                    break;
                }
            }
        }
    })?;
    Ok(hits.into_iter().unzip())
}

/// Addresses in `ranges` where `needle` lies; at most `limit`, ascending per range. Matches across pieces of the dump are found.
///
/// # Errors
/// `Cancelled`. Missing bytes are passed over.
pub fn find_bytes(
    image: &Image,
    needle: &[u8],
    ranges: &[(u64, u64)],
    limit: usize,
    monitor: &Monitor,
) -> Result<Vec<u64>> {
    if needle.is_empty() {
        return Ok(Vec::new());
    }
    let finder = memchr::memmem::Finder::new(needle);
    let hits = search(image, ranges, limit, needle.len() as u64 - 1, monitor, |base, bytes, hits| {
        for at in finder.find_iter(bytes).take(limit) {
            hits.push((base + at as u64, 0));
        }
    })?;
    Ok(hits.into_iter().map(|(address, _)| address).collect())
}

type Hits = Vec<(u64, u32)>;

/// Run `scan(address, bytes, hits)` over windows of the ranges; each window sees `overlap` bytes of the next one.
fn search<F>(
    image: &Image,
    ranges: &[(u64, u64)],
    limit: usize,
    overlap: u64,
    monitor: &Monitor,
    scan: F,
) -> Result<Hits>
where
    F: Fn(u64, &[u8], &mut Hits) + Sync,
{
    let windows: Vec<(u64, u64, u64)> = ranges.iter().flat_map(|&(start, end)| windows(start, end)).collect();
    monitor.begin("searching memory", windows.len() as u64);
    let found: Vec<Hits> = windows
        .par_iter()
        .map(|&(start, stop, end)| {
            monitor.step(1)?;
            let mut hits = Hits::new();
            scan_window(image, start, stop.saturating_add(overlap).min(end), &scan, &mut hits);
            hits.retain(|&(at, _)| at < stop);
            hits.truncate(limit);
            Ok(hits)
        })
        .collect::<Result<_>>()?;
    let mut hits: Hits = found.into_iter().flatten().take(limit).collect();
    hits.dedup();
    Ok(hits)
}

fn windows(start: u64, end: u64) -> impl Iterator<Item = (u64, u64, u64)> {
    let mut at = start;
    std::iter::from_fn(move || {
        (at < end).then(|| {
            let from = at;
            at = from.saturating_add(STRIDE).min(end);
            (from, at, end)
        })
    })
}

fn scan_window<F: Fn(u64, &[u8], &mut Hits)>(image: &Image, start: u64, stop: u64, scan: &F, hits: &mut Hits) {
    let mut at = start;
    while let Some(next) = image.next_readable(at).filter(|&next| next < stop) {
        let run = image.readable_bytes(next, stop - next);
        let slice = image.slice_at(next);
        if slice.len() as u64 >= run {
            scan(next, &slice[..usize::try_from(run).unwrap_or(slice.len())], hits);
        } else if let Ok(copy) = image.read(next, run) {
            scan(next, &copy, hits);
        }
        at = next + run;
    }
}
