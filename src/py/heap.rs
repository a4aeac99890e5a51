//! `heaphound._core.HeapLayout` and `heaphound._core.Heap`

use std::sync::Arc;

use numpy::{IntoPyArray, PyReadonlyArray1};
use pyo3::prelude::*;

use super::arrays::{Array, Indices};
use super::errors::OrRaise;
use super::image::PyImage;
use super::run::run_long;
use crate::heap::Heap;
use crate::layout::HeapLayout;
use crate::scan;
use crate::strip::Tally;
use crate::table::NONE;
use crate::words::Words;

/// Offsets and masks of objects and MethodTables.
#[pyclass(frozen, name = "HeapLayout", module = "heaphound._core")]
pub struct PyHeapLayout(pub Arc<HeapLayout>);

#[pymethods]
impl PyHeapLayout {
    #[new]
    #[pyo3(signature = (
        *, method_table_mask=0xffff_ffff_ffff_fff8, flags_offset=0, base_size_offset=4, component_flag=0x8000_0000, component_mask=0xffff,
        contains_pointers_flag=0x0100_0000, collectible_flag=0x0020_0000, array_length_offset=8, alignment=8, minimum_size=24,
        class_or_canonical_offset=None, class_method_table_offset=None,
    ))]
    #[allow(clippy::too_many_arguments)] // keyword arguments of one plain record
    fn new(
        py: Python<'_>,
        method_table_mask: u64,
        flags_offset: u64,
        base_size_offset: u64,
        component_flag: u32,
        component_mask: u32,
        contains_pointers_flag: u32,
        collectible_flag: u32,
        array_length_offset: u64,
        alignment: u64,
        minimum_size: u64,
        class_or_canonical_offset: Option<u64>,
        class_method_table_offset: Option<u64>,
    ) -> PyResult<Self> {
        let layout = HeapLayout {
            method_table_mask,
            flags_offset,
            base_size_offset,
            component_flag,
            component_mask,
            contains_pointers_flag,
            collectible_flag,
            array_length_offset,
            alignment,
            minimum_size,
            class_or_canonical_offset,
            class_method_table_offset,
        };
        layout.check().or_raise(py)?;
        Ok(Self(Arc::new(layout)))
    }

    fn __repr__(&self) -> String {
        format!("{:?}", self.0)
    }
}

// The stub and Python's help show the default, so it stands as a number in the signature below.
const _: () = assert!(crate::walk::STRIP_SIZE == 33_554_432);

/// All objects of a heap.
#[pyclass(frozen, name = "Heap", module = "heaphound._core")]
pub struct PyHeap(pub Arc<Heap>);

impl PyHeap {
    fn per_type<'py>(&self, py: Python<'py>, pick: impl Fn(&Tally) -> u64) -> Array<'py, u64> {
        self.0.tallies.iter().map(pick).collect::<Vec<u64>>().into_pyarray(py)
    }

    fn bounds(&self, start: u32, stop: Option<u32>) -> (u32, u32) {
        let count = u32::try_from(self.0.len()).unwrap_or(NONE);
        (start.min(count), stop.unwrap_or(count).min(count))
    }
}

#[pymethods]
impl PyHeap {
    #[staticmethod]
    #[allow(clippy::too_many_arguments)] // Python names them
    #[pyo3(signature = (image, layout, ranges, holes, free_method_table, progress=None, strip_bytes=33_554_432))]
    fn walk(
        py: Python<'_>,
        image: &PyImage,
        layout: &PyHeapLayout,
        ranges: Vec<(u64, u64)>,
        holes: Vec<(u64, u64)>,
        free_method_table: u64,
        progress: Option<&Bound<'_, PyAny>>,
        strip_bytes: u64,
    ) -> PyResult<Self> {
        let (image, layout) = (image.0.clone(), layout.0.clone());
        let heap = run_long(py, progress, move |monitor| {
            Heap::walk(image, layout, &ranges, &holes, free_method_table, strip_bytes, monitor)
        })?;
        Ok(Self(Arc::new(heap)))
    }

    #[getter]
    fn object_count(&self) -> usize {
        self.0.len()
    }

    fn __len__(&self) -> usize {
        self.0.len()
    }

    #[getter]
    fn gaps(&self) -> Vec<(u64, u64, String)> {
        self.0.gaps.iter().map(|gap| (gap.start, gap.end, gap.reason.clone())).collect()
    }

    #[getter]
    fn walked_bytes(&self) -> u64 {
        self.0.walked_bytes
    }

    #[getter]
    fn hole_bytes(&self) -> u64 {
        self.0.hole_bytes
    }

    #[getter]
    fn memory_bytes(&self) -> usize {
        self.0.table.memory_bytes()
    }

    #[getter]
    fn free_type_index(&self) -> Option<u32> {
        self.0.free_type
    }

    #[getter]
    fn method_tables<'py>(&self, py: Python<'py>) -> Array<'py, u64> {
        self.0.shapes.iter().map(|shape| shape.method_table).collect::<Vec<_>>().into_pyarray(py)
    }

    #[getter]
    fn type_base_sizes<'py>(&self, py: Python<'py>) -> Array<'py, u32> {
        self.0.shapes.iter().map(|shape| shape.base_size).collect::<Vec<_>>().into_pyarray(py)
    }

    #[getter]
    fn type_component_sizes<'py>(&self, py: Python<'py>) -> Array<'py, u32> {
        self.0.shapes.iter().map(|shape| shape.component_size).collect::<Vec<_>>().into_pyarray(py)
    }

    #[getter]
    fn type_collectible<'py>(&self, py: Python<'py>) -> Array<'py, bool> {
        self.0.shapes.iter().map(|shape| shape.collectible).collect::<Vec<_>>().into_pyarray(py)
    }

    #[getter]
    fn type_contains_pointers<'py>(&self, py: Python<'py>) -> Array<'py, bool> {
        self.0.shapes.iter().map(|shape| shape.contains_pointers).collect::<Vec<_>>().into_pyarray(py)
    }

    #[getter]
    fn type_counts<'py>(&self, py: Python<'py>) -> Array<'py, u64> {
        self.per_type(py, |tally| tally.count)
    }

    #[getter]
    fn type_bytes<'py>(&self, py: Python<'py>) -> Array<'py, u64> {
        self.per_type(py, |tally| tally.bytes)
    }

    #[getter]
    fn type_unaligned_bytes<'py>(&self, py: Python<'py>) -> Array<'py, u64> {
        self.per_type(py, |tally| tally.unaligned_bytes)
    }

    fn walk_checksum(&self) -> u64 {
        self.0.checksum
    }

    #[pyo3(signature = (start=0, stop=None))]
    fn addresses<'py>(&self, py: Python<'py>, start: u32, stop: Option<u32>) -> Array<'py, u64> {
        let (start, stop) = self.bounds(start, stop);
        py.detach(|| self.0.table.objects(start, stop).map(|(_, address)| address).collect::<Vec<_>>()).into_pyarray(py)
    }

    #[pyo3(signature = (start=0, stop=None))]
    fn type_indices<'py>(&self, py: Python<'py>, start: u32, stop: Option<u32>) -> Array<'py, u32> {
        let (start, stop) = self.bounds(start, stop);
        py.detach(|| (start..stop).map(|index| self.0.table.type_of(index)).collect::<Vec<_>>()).into_pyarray(py)
    }

    #[pyo3(signature = (start=0, stop=None))]
    fn sizes<'py>(&self, py: Python<'py>, start: u32, stop: Option<u32>) -> Array<'py, u64> {
        let (start, stop) = self.bounds(start, stop);
        let sizes: Vec<u64> = py.detach(|| {
            let mut words = Words::new(&self.0.image);
            self.0.table.objects(start, stop).map(|(index, address)| self.0.size(&mut words, index, address)).collect()
        });
        sizes.into_pyarray(py)
    }

    fn sizes_of<'py>(&self, py: Python<'py>, indices: Indices<'py>) -> PyResult<Array<'py, u64>> {
        let mut words = Words::new(&self.0.image);
        let mut sizes = Vec::with_capacity(indices.len()?);
        for &index in indices.as_array() {
            self.0.check_index(index).or_raise(py)?;
            sizes.push(self.0.size(&mut words, index, self.0.table.address_of(index)));
        }
        Ok(sizes.into_pyarray(py))
    }

    fn addresses_of<'py>(&self, py: Python<'py>, indices: Indices<'py>) -> PyResult<Array<'py, u64>> {
        let mut addresses = Vec::with_capacity(indices.len()?);
        for &index in indices.as_array() {
            self.0.check_index(index).or_raise(py)?;
            addresses.push(self.0.table.address_of(index));
        }
        Ok(addresses.into_pyarray(py))
    }

    fn types_of<'py>(&self, py: Python<'py>, indices: Indices<'py>) -> PyResult<Array<'py, u32>> {
        let mut types = Vec::with_capacity(indices.len()?);
        for &index in indices.as_array() {
            self.0.check_index(index).or_raise(py)?;
            types.push(self.0.table.type_of(index));
        }
        Ok(types.into_pyarray(py))
    }

    fn index_of(&self, address: u64) -> Option<u32> {
        let index = self.0.table.index_of(address);
        (index != NONE).then_some(index)
    }

    fn index_containing(&self, address: u64) -> Option<u32> {
        let index = self.0.index_containing(address);
        (index != NONE).then_some(index)
    }

    fn indices_of<'py>(&self, py: Python<'py>, addresses: PyReadonlyArray1<'py, u64>) -> Array<'py, u32> {
        let wanted = addresses.as_array().to_vec();
        py.detach(|| wanted.into_iter().map(|address| self.0.table.index_of(address)).collect::<Vec<_>>())
            .into_pyarray(py)
    }

    fn indices_containing<'py>(&self, py: Python<'py>, addresses: PyReadonlyArray1<'py, u64>) -> Array<'py, u32> {
        let wanted = addresses.as_array().to_vec();
        py.detach(|| wanted.into_iter().map(|address| self.0.index_containing(address)).collect::<Vec<_>>())
            .into_pyarray(py)
    }

    #[pyo3(signature = (type_index, limit=None))]
    fn instances<'py>(&self, py: Python<'py>, type_index: u32, limit: Option<usize>) -> Array<'py, u32> {
        let (_, stop) = self.bounds(0, None);
        let limit = limit.unwrap_or(usize::MAX);
        let matches = |index: &u32| self.0.table.type_of(*index) == type_index;
        py.detach(|| (0..stop).filter(matches).take(limit).collect::<Vec<u32>>()).into_pyarray(py)
    }

    fn scan_words<'py>(
        &self,
        py: Python<'py>,
        image: &PyImage,
        start: u64,
        end: u64,
    ) -> (Array<'py, u64>, Array<'py, u32>) {
        let (slots, indices) = py.detach(|| scan::scan_words(&self.0, &image.0, start, end));
        (slots.into_pyarray(py), indices.into_pyarray(py))
    }

    fn address_of(&self, py: Python<'_>, index: u32) -> PyResult<u64> {
        self.0.check_index(index).or_raise(py)?;
        Ok(self.0.table.address_of(index))
    }

    fn type_of(&self, py: Python<'_>, index: u32) -> PyResult<u32> {
        self.0.check_index(index).or_raise(py)?;
        Ok(self.0.table.type_of(index))
    }

    #[pyo3(signature = (index, aligned=true))]
    fn size_of(&self, py: Python<'_>, index: u32, aligned: bool) -> PyResult<u64> {
        self.0.check_index(index).or_raise(py)?;
        let (address, mut words) = (self.0.table.address_of(index), Words::new(&self.0.image));
        if aligned {
            return Ok(self.0.size(&mut words, index, address));
        }
        self.0.unaligned_size(&mut words, index, address).ok_or(crate::error::Error::absent(address, 16)).or_raise(py)
    }

    fn __repr__(&self) -> String {
        format!("Heap({} objects, {} bytes, {} gaps)", self.0.len(), self.0.walked_bytes, self.0.gaps.len())
    }
}
