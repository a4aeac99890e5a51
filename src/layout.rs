//! Where the few fields lie that a heap walk needs. Plain numbers: the kernel knows no .NET version.

use crate::error::{Error, Result};

/// Offsets and masks of objects and MethodTables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeapLayout {
    /// Bits of an object's first word that make the MethodTable's address; the GC marks in the others.
    pub method_table_mask: u64,
    /// Offset of the u32 flags in a MethodTable.
    pub flags_offset: u64,
    /// Offset of the u32 base size in a MethodTable.
    pub base_size_offset: u64,
    /// Set in the flags when the object has a count and components.
    pub component_flag: u32,
    /// Bits of the flags that are the component's size in bytes, when it has components.
    pub component_mask: u32,
    /// Set in the flags when a `GCDesc` precedes the MethodTable.
    pub contains_pointers_flag: u32,
    /// Set in the flags when the type can be unloaded.
    pub collectible_flag: u32,
    /// Offset of the u32 element count in an object that has components.
    pub array_length_offset: u64,
    /// Every object begins at a multiple of this.
    pub alignment: u64,
    /// No object occupies less than this.
    pub minimum_size: u64,
    /// Offset of the word that is the `EEClass` or, with a low bit set, the canonical MethodTable; `None` leaves that check out.
    pub class_or_canonical_offset: Option<u64>,
    /// Offset of the canonical MethodTable in an `EEClass`.
    pub class_method_table_offset: Option<u64>,
}

impl HeapLayout {
    /// Check that the numbers can be worked with.
    ///
    /// # Errors
    /// `Argument` when they cannot.
    pub fn check(&self) -> Result<()> {
        let complaint = if self.alignment != 8 {
            "alignment must be 8: the kernel reads 64-bit heaps"
        } else if self.method_table_mask >> 32 == 0 {
            "method_table_mask must be the bits to keep, such as ~7"
        } else if self.minimum_size < 16 || !self.minimum_size.is_multiple_of(8) {
            "minimum_size must be a multiple of 8 and at least 16"
        } else {
            return Ok(());
        };
        Err(Error::Argument(complaint.into()))
    }

    /// Round a size up to the alignment.
    #[inline]
    #[must_use]
    pub fn aligned(&self, size: u64) -> u64 {
        (size + 7) & !7
    }
}
