//! Sizes of any magnitude in four bytes each: in units of 8 bytes, with the few that do not fit kept aside.

use rustc_hash::FxHashMap;

/// Marks a size that is kept aside.
const ASIDE: u32 = u32::MAX;

/// One size for each position.
#[derive(Debug, Default)]
pub struct Retained {
    /// Sizes are multiples of 2^shift.
    shift: u32,
    small: Vec<u32>,
    large: FxHashMap<u32, u64>,
}

impl Retained {
    /// From small sizes as [`packed`] gave them, and the large ones with their positions.
    #[must_use]
    pub fn new(shift: u32, small: Vec<u32>, large: Vec<(u32, u64)>) -> Self {
        Self { shift, small, large: large.into_iter().collect() }
    }

    /// The size at a position.
    #[inline]
    #[must_use]
    pub fn get(&self, position: u32) -> u64 {
        match self.small[position as usize] {
            ASIDE => self.large.get(&position).copied().unwrap_or(0),
            units => u64::from(units) << self.shift,
        }
    }

    /// Add the size at `from` to the one at `to`. Sums above 2^64 stay there.
    #[inline]
    pub fn add(&mut self, to: u32, from: u32) {
        let (one, other) = (self.small[to as usize], self.small[from as usize]);
        // ASIDE plus 0 is ASIDE, ASIDE plus anything else overflows: what is kept aside always ends below.
        match one.checked_add(other) {
            Some(sum) if sum != ASIDE => self.small[to as usize] = sum,
            _ => {
                let sum = self.get(to).saturating_add(self.get(from));
                self.small[to as usize] = ASIDE;
                self.large.insert(to, sum);
            }
        }
    }

    /// Bytes of memory that the sizes take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.small.len() * 4 + self.large.len() * 24
    }
}

/// A size in units, or the mark that it has to be kept aside.
#[inline]
#[must_use]
pub fn packed(size: u64, shift: u32) -> Option<u32> {
    let units = size >> shift;
    match u32::try_from(units) {
        Ok(units) if units != ASIDE && u64::from(units) << shift == size => Some(units),
        _ => None,
    }
}

/// What stands for a size that [`packed`] refused.
pub const MARK: u32 = ASIDE;

#[cfg(test)]
mod tests {
    use super::*;

    fn retained(shift: u32, sizes: &[u64]) -> Retained {
        let small = sizes.iter().map(|&size| packed(size, shift).unwrap_or(MARK)).collect();
        let large = (0..).zip(sizes).filter(|(_, size)| packed(**size, shift).is_none()).map(|(at, size)| (at, *size));
        Retained::new(shift, small, large.collect())
    }

    #[test]
    fn sums_move_aside_when_they_grow() {
        let edge = u64::from(u32::MAX) - 1;
        let mut sizes = retained(0, &[edge, 1, 0, 1 << 40, u64::MAX]);
        assert_eq!(sizes.get(0), edge);
        sizes.add(0, 2);
        assert_eq!(sizes.get(0), edge);
        sizes.add(0, 1);
        assert_eq!(sizes.get(0), edge + 1);
        sizes.add(0, 1);
        assert_eq!(sizes.get(0), edge + 2);
        sizes.add(2, 3);
        assert_eq!(sizes.get(2), 1 << 40);
        sizes.add(3, 2);
        assert_eq!(sizes.get(3), 2 << 40);
        sizes.add(3, 4);
        assert_eq!(sizes.get(3), u64::MAX);
    }

    #[test]
    fn sizes_that_are_no_multiples_are_kept_aside() {
        let mut sizes = retained(3, &[24, 25, 8]);
        assert_eq!((sizes.get(0), sizes.get(1)), (24, 25));
        sizes.add(0, 2);
        assert_eq!(sizes.get(0), 32);
        sizes.add(0, 1);
        assert_eq!(sizes.get(0), 57);
    }
}
