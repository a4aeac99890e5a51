//! The conservative reading of memory: words that point into objects, whatever they are meant to be.

use crate::heap::Heap;
use crate::image::Image;
use crate::table::NONE;
use crate::words::Words;

/// 8-aligned words in `[start, end)` that point into an object: their addresses, and the object's index. Free space is no object here.
#[must_use]
pub fn scan_words(heap: &Heap, image: &Image, start: u64, end: u64) -> (Vec<u64>, Vec<u32>) {
    let (mut slots, mut indices) = (Vec::new(), Vec::new());
    let mut words = Words::new(image);
    let Some(mut at) = start.checked_next_multiple_of(8) else { return (slots, indices) };
    while end.checked_sub(8).is_some_and(|last| at <= last) {
        match words.u64(at) {
            Some(value) => {
                let index = heap.index_containing(value);
                if index != NONE && Some(heap.table.type_of(index)) != heap.free_type {
                    slots.push(at);
                    indices.push(index);
                }
                at += 8;
            }
            None => match image.next_readable(at + 1).and_then(|next| next.checked_next_multiple_of(8)) {
                Some(next) => at = next,
                None => break,
            },
        }
    }
    (slots, indices)
}
