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

/// Everything that strips of one range gave, in order of address.
#[derive(Debug, Default)]
pub struct WalkedRange {
    /// Strips that have objects.
    pub strips: Vec<Strip>,
    /// Stretches without objects.
    pub gaps: Vec<Gap>,
}

#[derive(Debug, Clone, Copy)]
struct Task {
    range: usize,
    range_end: u64,
    start: u64,
    stop: u64,
    start_is_exact: bool,
}

/// Walk all ranges in strips of `strip_size` bytes; the result does not depend on it.
///
/// # Errors
/// `Cancelled`; `Argument` for ranges or holes that are not ascending, disjoint and aligned, or a strip size below 4 KB.
pub fn walk_ranges(ground: Ground<'_>, ranges: &[(u64, u64)], strip_size: u64) -> Result<Vec<WalkedRange>> {
    if strip_size < 4096 || !strip_size.is_multiple_of(8) {
        return Err(Error::Argument("strip_size must be a multiple of 8 and at least 4096".into()));
    }
    check_ranges("ranges", ranges, true)?;
    check_ranges("holes", ground.holes, false)?;
    let tasks: Vec<Task> =
        ranges.iter().enumerate().flat_map(|(i, range)| plan(ground.image, i, *range, strip_size)).collect();
    ground.monitor.begin("walking the heap", tasks.iter().map(|task| task.stop - task.start).sum());
    let mut strips: Vec<Option<Strip>> =
        tasks.par_iter().with_max_len(1).map(|task| walk_task(ground, task)).collect::<Result<_>>()?;
    let mut walked = Vec::with_capacity(ranges.len());
    let mut next = 0;
    for (index, range) in ranges.iter().enumerate() {
        let count = tasks[next..].iter().take_while(|task| task.range == index).count();
        walked.push(stitch(ground, *range, &tasks[next..next + count], &mut strips[next..next + count])?);
        next += count;
    }
    Ok(walked)
}

fn check_ranges(what: &str, ranges: &[(u64, u64)], aligned: bool) -> Result<()> {
    let mut previous = 0;
    for &(start, end) in ranges {
        if start > end || start < previous || end > i64::MAX as u64 {
            return Err(Error::Argument(format!("{what} must be ascending and disjoint: {start:#x}-{end:#x}")));
        }
        if aligned && (start | end) & 7 != 0 {
            return Err(Error::Argument(format!("{what} must be aligned to 8: {start:#x}-{end:#x}")));
        }
        previous = end;
    }
    Ok(())
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

/// Keep each strip that begins exactly where the one before ended; walk the others again from there.
fn stitch(
    ground: Ground<'_>,
    (range_start, range_end): (u64, u64),
    tasks: &[Task],
    strips: &mut [Option<Strip>],
) -> Result<WalkedRange> {
    let mut walked = WalkedRange::default();
    let mut at = range_start;
    for (task, strip) in tasks.iter().zip(strips) {
        if at >= task.stop {
            continue;
        }
        let found = strip.take();
        let strip = match found {
            Some(strip) if strip.start == at => strip,
            Some(strip) if at < task.start => {
                walked.note_absence(ground, at, strip.start);
                strip
            }
            _ => {
                let mut again = Walker::new(ground, range_end);
                let start = if at >= task.start {
                    at
                } else {
                    again.guess_start(task.start, u64::MAX)?.unwrap_or(task.stop).min(task.stop)
                };
                walked.note_absence(ground, at, start);
                again.walk(start, task.stop, task.start)?
            }
        };
        at = strip.end;
        walked.gaps.extend_from_slice(&strip.gaps);
        walked.strips.push(strip);
    }
    walked.note_absence(ground, at, range_end);
    Ok(walked)
}

impl WalkedRange {
    /// `[start, end)` has no bytes in the dump, apart from holes, which are nobody's loss.
    fn note_absence(&mut self, ground: Ground<'_>, start: u64, end: u64) {
        let mut at = start;
        for &(hole_start, hole_end) in &ground.holes[ground.holes.partition_point(|hole| hole.1 <= start)..] {
            if hole_start >= end {
                break;
            }
            if hole_start > at {
                self.gaps.push(Gap { start: at, end: hole_start, reason: "not in the dump".into() });
            }
            at = at.max(hole_end.next_multiple_of(8));
        }
        if at < end {
            self.gaps.push(Gap { start: at, end, reason: "not in the dump".into() });
        }
    }
}
