//! An address space as sorted, disjoint pieces of byte sources.

/// Addresses `[start, end)` whose bytes lie at `offset` of source number `source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// First address.
    pub start: u64,
    /// One past the last address.
    pub end: u64,
    /// Which source holds the bytes.
    pub source: u32,
    /// Where in the source they begin.
    pub offset: u64,
}

impl Piece {
    fn clipped_from(mut self, start: u64) -> Self {
        if start > self.start {
            self.offset += start - self.start;
            self.start = start;
        }
        self
    }

    fn clipped_to(mut self, end: u64) -> Self {
        self.end = self.end.min(end);
        self
    }
}

/// Lay `added` under `upper`: added bytes show only where `upper` has none. `upper` must be sorted and disjoint.
///
/// Among overlapping added pieces the one that starts first shows.
#[must_use]
pub fn lay_under(upper: &[Piece], mut added: Vec<Piece>) -> Vec<Piece> {
    added.retain(|piece| piece.start < piece.end);
    added.sort_by_key(|piece| (piece.start, piece.offset));
    let mut all: Vec<Piece> = upper.to_vec();
    let mut covered_until = 0;
    let mut next_upper = 0;
    for piece in added {
        let mut rest = piece.clipped_from(covered_until);
        covered_until = covered_until.max(piece.end);
        while next_upper < upper.len() && upper[next_upper].end <= rest.start {
            next_upper += 1;
        }
        for above in &upper[next_upper..] {
            if above.start >= rest.end || rest.start >= rest.end {
                break;
            }
            if above.start > rest.start {
                all.push(rest.clipped_to(above.start));
            }
            rest = rest.clipped_from(above.end);
        }
        if rest.start < rest.end {
            all.push(rest);
        }
    }
    all.sort_by_key(|piece| piece.start);
    merge_neighbours(all)
}

/// Join pieces that follow each other both in address and in their source, so that a heap range is one slice wherever it can be.
fn merge_neighbours(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut merged: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        if let Some(last) = merged.last_mut() {
            let follows = last.end == piece.start && last.source == piece.source;
            if follows && last.offset + (last.end - last.start) == piece.offset {
                last.end = piece.end;
                continue;
            }
        }
        merged.push(piece);
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(start: u64, end: u64, source: u32, offset: u64) -> Piece {
        Piece { start, end, source, offset }
    }

    #[test]
    fn added_bytes_show_only_in_holes() {
        let upper = [piece(10, 20, 0, 0), piece(30, 40, 0, 10)];
        let result = lay_under(&upper, vec![piece(0, 100, 1, 1000)]);
        let expected = vec![
            piece(0, 10, 1, 1000),
            piece(10, 20, 0, 0),
            piece(20, 30, 1, 1020),
            piece(30, 40, 0, 10),
            piece(40, 100, 1, 1040),
        ];
        assert_eq!(result, expected);
    }

    #[test]
    fn neighbours_in_address_and_file_become_one() {
        let result = lay_under(&[], vec![piece(0, 10, 0, 5), piece(10, 20, 0, 15), piece(20, 30, 0, 99)]);
        assert_eq!(result, vec![piece(0, 20, 0, 5), piece(20, 30, 0, 99)]);
    }

    #[test]
    fn of_overlapping_pieces_the_first_shows() {
        let result = lay_under(&[], vec![piece(0, 100, 0, 0), piece(50, 60, 1, 0), piece(90, 120, 2, 0)]);
        assert_eq!(result, vec![piece(0, 100, 0, 0), piece(100, 120, 2, 10)]);
    }
}
