//! The walk of a whole heap: ranges cut into strips, strips walked in parallel, then stitched so that the result equals a walk from each range's start.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::image::Image;
use crate::strip::{Gap, Ground, Strip, Walker};

/// Bytes of a strip. Regions (4 MB) are walked whole; larger segments give work to all processors.
pub const STRIP_SIZE: u64 = 32 << 20;
/// How far into a strip its first object is searched before the strip is left to the one in front of it.
const GUESS_EFFORT: u64 = 1 << 20;
/// Missing bytes up to this many do not end a strip.
const SMALL_ABSENCE: u64 = 64 << 10;

#[derive(Debug, Clone, Copy)]
struct Task {
    range: usize,
    range_end: u64,
    start: u64,
    stop: u64,
    start_is_exact: bool,
}

/// Walk all ranges in strips of `strip_size` bytes, which go to `keep` in order of address; the result does not depend on their size.
/// Returns what was passed over, in order of address.
///
/// # Errors
/// `Cancelled`; `Malformed` for ranges that are not ascending, disjoint and aligned; `Argument` for a strip size below 4 KB.
pub fn walk_ranges(
    ground: Ground<'_>,
    ranges: &[(u64, u64)],
    strip_size: u64,
    keep: impl FnMut(Strip) -> Result<()>,
) -> Result<Vec<Gap>> {
    if strip_size < 4096 || !strip_size.is_multiple_of(8) {
        return Err(Error::Argument("strip_size must be a multiple of 8 and at least 4096".into()));
    }
    check_ranges(ranges)?;
    let tasks: Vec<Task> =
        ranges.iter().enumerate().flat_map(|(i, range)| plan(ground.image, i, *range, strip_size)).collect();
    ground.monitor.begin("walking the heap", tasks.iter().map(|task| task.stop - task.start).sum());
    let mut seam =
        Seam { ground, ranges, keep, range: 0, at: ranges.first().map_or(0, |range| range.0), gaps: Vec::new() };
    // Some strips at a time: their memory is used again, so that no more than the table itself stays allocated.
    for some in tasks.chunks(8 * rayon::current_num_threads()) {
        let strips: Vec<Option<Strip>> =
            some.par_iter().with_max_len(1).map(|task| walk_task(ground, task)).collect::<Result<_>>()?;
        for (task, strip) in some.iter().zip(strips) {
            seam.join(task, strip)?;
        }
    }
    seam.enter(ranges.len());
    Ok(seam.gaps)
}

fn check_ranges(ranges: &[(u64, u64)]) -> Result<()> {
    let mut previous = 0;
    for &(start, end) in ranges {
        let wrong = if start > end || end > i64::MAX as u64 {
            "is no range of addresses"
        } else if (start | end) & 7 != 0 {
            "is not aligned to 8"
        } else if start < previous {
            "begins before the one in front of it ends"
        } else {
            previous = end;
            continue;
        };
        return Err(Error::Malformed(format!("the heap range {start:#x}-{end:#x} {wrong}")));
    }
    Ok(())
}

/// Holes in order, those that touch or overlap joined, those that are none left out.
#[must_use]
pub fn orderly(holes: &[(u64, u64)]) -> Vec<(u64, u64)> {
    // Ranges end below this, so what lies above touches none of them.
    let top = i64::MAX as u64;
    let kept = holes.iter().map(|&(start, end)| (start, end.min(top))).filter(|hole| hole.0 < hole.1);
    let mut sorted: Vec<(u64, u64)> = kept.collect();
    sorted.sort_unstable();
    let mut joined: Vec<(u64, u64)> = Vec::with_capacity(sorted.len());
    for (start, end) in sorted {
        match joined.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    joined
}

/// Strips of one range: its readable stretches, cut to a handy size.
fn plan(image: &Image, range: usize, (range_start, range_end): (u64, u64), strip_size: u64) -> Vec<Task> {
    let mut stretches: Vec<(u64, u64)> = Vec::new();
    let first = image.pieces().partition_point(|piece| piece.end <= range_start);
    for piece in image.pieces()[first..].iter().take_while(|piece| piece.start < range_end) {
        match stretches.last_mut() {
            Some(last) if piece.start - last.1 <= SMALL_ABSENCE => last.1 = piece.end,
            _ => stretches.push((piece.start, piece.end)),
        }
    }
    let whole_words =
        |(start, end): (u64, u64)| (start.max(range_start).saturating_add(7) & !7, end.min(range_end) & !7);
    let cut = |(start, end): (u64, u64)| {
        let task = move |at: u64| {
            let stop = at.saturating_add(strip_size).min(end);
            Task { range, range_end, start: at, stop, start_is_exact: at == range_start }
        };
        (start..end).step_by(usize::try_from(strip_size).unwrap_or(usize::MAX)).map(task)
    };
    stretches.into_iter().map(whole_words).flat_map(cut).collect()
}

fn walk_task(ground: Ground<'_>, task: &Task) -> Result<Option<Strip>> {
    let mut walker = Walker::new(ground, task.range_end);
    let start = if task.start_is_exact { Some(task.start) } else { walker.guess_start(task.start, GUESS_EFFORT)? };
    match start {
        Some(start) if start < task.stop => walker.walk(start, task.stop, task.start).map(Some),
        _ => Ok(None),
    }
}

/// Where strips meet: each must begin exactly where the one before ended, or is walked again from there.
struct Seam<'a, K> {
    ground: Ground<'a>,
    ranges: &'a [(u64, u64)],
    keep: K,
    /// The range that is being walked, and how far it is.
    range: usize,
    at: u64,
    gaps: Vec<Gap>,
}

impl<K: FnMut(Strip) -> Result<()>> Seam<'_, K> {
    fn join(&mut self, task: &Task, strip: Option<Strip>) -> Result<()> {
        self.enter(task.range);
        if self.at >= task.stop {
            return Ok(());
        }
        let strip = match strip {
            Some(strip) if strip.start == self.at => strip,
            Some(strip) if self.at < task.start => {
                self.note_absence(strip.start);
                strip
            }
            _ => {
                let mut walker = Walker::new(self.ground, task.range_end);
                let start = if self.at >= task.start {
                    self.at
                } else {
                    walker.guess_start(task.start, u64::MAX)?.unwrap_or(task.stop).min(task.stop)
                };
                self.note_absence(start);
                walker.walk(start, task.stop, task.start)?
            }
        };
        self.at = strip.end;
        self.gaps.extend_from_slice(&strip.gaps);
        (self.keep)(strip)
    }

    /// Close the ranges before number `range`.
    fn enter(&mut self, range: usize) {
        while self.range < range {
            self.note_absence(self.ranges[self.range].1);
            self.range += 1;
            self.at = self.ranges.get(self.range).map_or(self.at, |next| next.0);
        }
    }

    /// There are no bytes up to `end`, apart from holes, which are nobody's loss.
    fn note_absence(&mut self, end: u64) {
        let holes = self.ground.holes;
        for &(hole_start, hole_end) in &holes[holes.partition_point(|hole| hole.1 <= self.at)..] {
            if hole_start >= end {
                break;
            }
            self.note_gap(hole_start);
            self.at = self.at.max(hole_end.next_multiple_of(8));
        }
        self.note_gap(end);
        self.at = self.at.max(end);
    }

    fn note_gap(&mut self, end: u64) {
        if self.at < end {
            self.gaps.push(Gap { start: self.at, end, reason: "not in the dump".into() });
        }
    }
}
