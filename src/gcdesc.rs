//! Which words of an object are references: the `GCDesc` in front of its MethodTable (the runtime's gcdesc.h; unchanged since 1.0).

use crate::image::Image;
use crate::shapes::Shape;
use crate::words::Words;

/// Series or items that are believed. A class has at most 2^27 bytes of fields, in far fewer runs of references than this.
const MAXIMUM_SERIES: u64 = 1 << 16;
/// Slots up to which an object's references are read without a detour over runs.
pub const FEW: usize = 16;
/// Words of a `GCDesc` are 8 bytes, downwards from the MethodTable.
const WORD: u64 = 8;

/// The rule by which references lie in the objects of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum References {
    /// Objects hold none.
    None,
    /// References in objects that all have the same size.
    Fixed {
        /// Bytes of each object, not rounded.
        size: u32,
        /// (offset from the object's start, bytes) of each run.
        runs: Box<[(u32, u32)]>,
        /// Offsets of all slots where they are few; else empty.
        few: Box<[u32]>,
    },
    /// Runs of references: (offset from the object's start, bytes of the run minus the object's size).
    Series(Box<[(u64, i64)]>),
    /// Components that are structs: from `start` on, again and again, `pointers` references and then `skip` bytes.
    Repeating {
        /// Offset of the first reference.
        start: u64,
        /// (pointers, skip)
        items: Box<[(u32, u32)]>,
    },
    /// The `GCDesc` is missing or makes no sense; objects of the type have references that nobody can tell.
    Unknown(&'static str),
}

impl References {
    /// Read the rule of a type.
    #[must_use]
    pub fn read(image: &Image, shape: &Shape) -> Self {
        if !shape.contains_pointers {
            return Self::None;
        }
        let word = |index: u64| image.u64(shape.method_table.wrapping_sub(index * WORD)).ok();
        let Some(count) = word(1) else { return Self::Unknown("its GCDesc is not in the dump") };
        // A positive count is of series, a negative one of the items that repeat.
        let signed = count.cast_signed();
        if signed.unsigned_abs() == 0 || signed.unsigned_abs() > MAXIMUM_SERIES {
            return Self::Unknown("its GCDesc has an impossible number of series");
        }
        let read =
            if signed > 0 { read_series(signed.unsigned_abs(), word) } else { read_items(signed.unsigned_abs(), word) };
        match read {
            Some(Self::Repeating { start, .. }) if start < WORD => Self::Unknown("its GCDesc has an impossible offset"),
            Some(Self::Series(series)) if series.iter().any(|&(offset, _)| offset < WORD) => {
                Self::Unknown("its GCDesc has an impossible offset")
            }
            Some(Self::Series(series)) if shape.component_size == 0 => Self::fixed(&series, shape.base_size),
            Some(references) => references,
            None => Self::Unknown("its GCDesc is not in the dump"),
        }
    }

    fn fixed(series: &[(u64, i64)], base_size: u32) -> Self {
        let size = u64::from(base_size);
        let runs: Box<[(u32, u32)]> = series
            .iter()
            .filter_map(|&(offset, delta)| {
                let length = run_length(size, offset, delta);
                Some((u32::try_from(offset).ok()?, u32::try_from(length).ok()?))
            })
            .collect();
        let slots = runs.iter().flat_map(|&(offset, length)| (offset..offset.saturating_add(length)).step_by(8));
        let few = if slots.clone().count() <= FEW { slots.collect() } else { Box::default() };
        Self::Fixed { size: base_size, runs, few }
    }

    /// Call `visit(words)` for each run of reference slots, null ones included, of an object of `size` unrounded bytes.
    /// Returns how many slots are not in the dump.
    #[inline]
    pub fn visit(&self, words: &mut Words<'_>, address: u64, size: u64, mut visit: impl FnMut(&[[u8; 8]])) -> u64 {
        let slice = words.slice(address);
        if slice.len() as u64 >= size {
            // Runs lie inside the object, whose bytes are all here.
            self.runs(size, |offset, length| visit(part(slice, offset, length).as_chunks::<8>().0));
            return 0;
        }
        let mut missing = 0;
        self.runs(size, |offset, length| {
            for at in (offset..offset.saturating_add(length)).step_by(8) {
                match words.u64(address.wrapping_add(at)) {
                    Some(value) => visit(&[value.to_le_bytes()]),
                    None => missing += 1,
                }
            }
        });
        missing
    }

    /// Call `run(offset, bytes)` for each run of reference slots in an object of `size` unrounded bytes; none passes the object.
    #[inline]
    pub fn runs(&self, size: u64, mut run: impl FnMut(u64, u64)) {
        match self {
            Self::None | Self::Unknown(_) => {}
            Self::Fixed { runs, .. } => {
                for &(offset, length) in runs {
                    run(u64::from(offset), u64::from(length));
                }
            }
            Self::Series(series) => {
                for &(offset, delta) in series {
                    run(offset, run_length(size, offset, delta));
                }
            }
            Self::Repeating { start, items } => {
                // The object's size counts the header in front of it, so its last word lies 8 bytes before `size`.
                let end = size.saturating_sub(WORD);
                let mut at = *start;
                while at < end {
                    let before = at;
                    for &(pointers, skip) in items {
                        let length = (u64::from(pointers) * WORD).min(end.saturating_sub(at) & !7);
                        run(at, length);
                        at += u64::from(pointers) * WORD + u64::from(skip);
                    }
                    if at == before {
                        return;
                    }
                }
            }
        }
    }
}

#[inline]
fn part(bytes: &[u8], offset: u64, length: u64) -> &[u8] {
    let (Ok(start), Ok(length)) = (usize::try_from(offset), usize::try_from(length)) else { return &[] };
    bytes.get(start..start.saturating_add(length)).unwrap_or(&[])
}

/// Bytes of a run that begins at `offset`, kept inside the object.
#[inline]
fn run_length(size: u64, offset: u64, delta: i64) -> u64 {
    size.saturating_add_signed(delta).min(size.saturating_sub(offset)) & !7
}

fn read_series(count: u64, word: impl Fn(u64) -> Option<u64>) -> Option<References> {
    // Series i is {size - base size, offset} at words 3+2i and 2+2i below the MethodTable.
    let one = |index: u64| Some((word(2 + 2 * index)?, word(3 + 2 * index)?.cast_signed()));
    (0..count).map(one).collect::<Option<Box<[_]>>>().map(References::Series)
}

fn read_items(count: u64, word: impl Fn(u64) -> Option<u64>) -> Option<References> {
    let start = word(2)?;
    // Each item is {u32 pointers, u32 bytes to skip}.
    let one = |index: u64| word(3 + index).map(|item| ((item & 0xffff_ffff) as u32, (item >> 32) as u32));
    let items = (0..count).map(one).collect::<Option<Box<[_]>>>()?;
    Some(References::Repeating { start, items })
}
