//! What a walk must know of each type: found once per MethodTable, checked for plausibility, shared by all workers.

use std::sync::{PoisonError, RwLock};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::image::Image;
use crate::layout::HeapLayout;

/// Largest base size that is believed: field offsets are 27 bits wide (`FieldDesc`, the runtime's field.h), so no object is larger.
const MAXIMUM_BASE_SIZE: u32 = (1 << 27) + (1 << 12);
/// Refused addresses that are remembered; garbage can bring any number of them.
const MAXIMUM_REFUSED: usize = 1 << 18;

/// The size rule and flags of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Address of the MethodTable.
    pub method_table: u64,
    /// Bytes of an object without components, its header included.
    pub base_size: u32,
    /// Bytes of each component; 0 when there are none.
    pub component_size: u32,
    /// Objects hold references: a `GCDesc` precedes the MethodTable.
    pub contains_pointers: bool,
    /// The type can be unloaded.
    pub collectible: bool,
}

impl Shape {
    /// Bytes of an object with `count` components, not rounded.
    #[inline]
    #[must_use]
    pub fn size(&self, count: u32) -> u64 {
        u64::from(self.base_size) + u64::from(self.component_size) * u64::from(count)
    }
}

/// All types met so far.
#[derive(Debug)]
pub struct Shapes<'a> {
    image: &'a Image,
    layout: &'a HeapLayout,
    free_method_table: u64,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    index_of: FxHashMap<u64, u32>,
    refused: FxHashSet<u64>,
    shapes: Vec<Shape>,
}

impl<'a> Shapes<'a> {
    /// No type is known yet.
    #[must_use]
    pub fn new(image: &'a Image, layout: &'a HeapLayout, free_method_table: u64) -> Self {
        Self { image, layout, free_method_table, known: RwLock::default() }
    }

    /// The number (in order of discovery) and shape of the type whose MethodTable is at `address`; `None` if there is no plausible one.
    pub fn resolve(&self, address: u64) -> Option<(u32, Shape)> {
        if address == 0 || address & 7 != 0 {
            return None;
        }
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(&index) = known.index_of.get(&address) {
                return Some((index, known.shapes[index as usize]));
            }
            if known.refused.contains(&address) {
                return None;
            }
        }
        let shape = self.read_shape(address);
        let mut guard = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let known = &mut *guard;
        let Some(shape) = shape else {
            if known.refused.len() < MAXIMUM_REFUSED {
                known.refused.insert(address);
            }
            return None;
        };
        let next = u32::try_from(known.shapes.len()).ok()?;
        let index = *known.index_of.entry(address).or_insert(next);
        if index == next {
            known.shapes.push(shape);
        }
        Some((index, shape))
    }

    /// The shape with this number in order of discovery, `None` where none has it.
    pub fn shape(&self, number: usize) -> Option<Shape> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).shapes.get(number).copied()
    }

    /// All shapes in order of discovery.
    #[must_use]
    pub fn into_shapes(self) -> Vec<Shape> {
        self.known.into_inner().unwrap_or_else(PoisonError::into_inner).shapes
    }

    fn read_shape(&self, address: u64) -> Option<Shape> {
        let flags = self.image.u32(address.checked_add(self.layout.flags_offset)?).ok()?;
        let base_size = self.image.u32(address.checked_add(self.layout.base_size_offset)?).ok()?;
        let has_components = flags & self.layout.component_flag != 0;
        let component_size = if has_components { flags & self.layout.component_mask } else { 0 };
        // Header and MethodTable are 16 bytes. Only types with components have a base size that is no multiple of 8 (String: 22).
        let size_fits =
            (16..=MAXIMUM_BASE_SIZE).contains(&base_size) && (has_components || base_size.is_multiple_of(8));
        let components_fit = !has_components || component_size > 0;
        if !size_fits || !components_fit || !self.class_agrees(address) {
            return None;
        }
        Some(Shape {
            method_table: address,
            base_size,
            component_size,
            contains_pointers: flags & self.layout.contains_pointers_flag != 0,
            collectible: flags & self.layout.collectible_flag != 0,
        })
    }

    /// The `EEClass` of a MethodTable names the canonical MethodTable back. Words that the dump lacks cannot contradict.
    fn class_agrees(&self, address: u64) -> bool {
        let (Some(class_offset), Some(back_offset)) =
            (self.layout.class_or_canonical_offset, self.layout.class_method_table_offset)
        else {
            return true;
        };
        if address == self.free_method_table {
            return true;
        }
        let Ok(mut class) = self.image.u64(address.wrapping_add(class_offset)) else { return true };
        let mut canonical = address;
        // Low bits tell a canonical MethodTable from an EEClass: bit 0 since .NET 7, bit 1 before (methodtable.h).
        if class & 3 != 0 {
            canonical = class & !3;
            match self.image.u64(canonical.wrapping_add(class_offset)) {
                Ok(word) => class = word,
                Err(_) => return canonical != 0,
            }
        }
        class != 0 && self.image.u64(class.wrapping_add(back_offset)).map_or(true, |back| back == canonical)
    }
}

/// A small direct-mapped memory in front of [`Shapes`], one for each worker: most objects are of few types.
#[derive(Debug)]
pub struct ShapeCache<'a> {
    shapes: &'a Shapes<'a>,
    slots: Vec<Slot>,
}

/// One remembered type, with what a walk needs of it for each object.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// Address of the MethodTable.
    pub method_table: u64,
    /// Bytes that an object occupies where it has no components; more than any object has in a slot that remembers nothing.
    pub occupied: u64,
    /// Number of the type in order of discovery.
    pub number: u32,
    /// The type.
    pub shape: Shape,
}

const SLOTS: usize = 512;

impl<'a> ShapeCache<'a> {
    /// An empty cache.
    #[must_use]
    pub fn new(shapes: &'a Shapes<'a>) -> Self {
        let shape =
            Shape { method_table: 0, base_size: 0, component_size: 0, contains_pointers: false, collectible: false };
        Self { shapes, slots: vec![Slot { method_table: 0, occupied: u64::MAX, number: 0, shape }; SLOTS] }
    }

    /// What is remembered where this MethodTable would be: it, another, or nothing.
    #[inline]
    #[must_use]
    pub fn slot(&self, method_table: u64) -> &Slot {
        &self.slots[slot_of(method_table)]
    }

    /// As [`Shapes::resolve`].
    #[inline]
    pub fn resolve(&mut self, method_table: u64) -> Option<(u32, Shape)> {
        let slot = slot_of(method_table);
        let entry = &self.slots[slot];
        if entry.method_table == method_table && method_table != 0 {
            return Some((entry.number, entry.shape));
        }
        let (number, shape) = self.shapes.resolve(method_table)?;
        let layout = self.shapes.layout;
        let occupied = layout.aligned(shape.size(0).max(layout.minimum_size));
        self.slots[slot] = Slot { method_table, occupied, number, shape };
        Some((number, shape))
    }
}

#[inline]
fn slot_of(method_table: u64) -> usize {
    (method_table.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 55) as usize
}
