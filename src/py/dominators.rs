//! `heaphound._core.Dominators`

use std::sync::Arc;

use numpy::IntoPyArray;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::arrays::{Array, Indices};
use crate::heap::Heap;
use crate::tree::Tree;
use crate::words::Words;

/// The dominator tree of what some roots reach.
#[pyclass(frozen, name = "Dominators", module = "heaphound._core")]
pub struct PyDominators {
    pub tree: Tree,
    pub heap: Option<Arc<Heap>>,
}

impl PyDominators {
    fn check(&self, index: u32) -> PyResult<()> {
        if (index as usize) < self.tree.len() {
            return Ok(());
        }
        Err(PyValueError::new_err(format!("object index {index} is not below {}", self.tree.len())))
    }

    fn heap(&self) -> PyResult<&Arc<Heap>> {
        self.heap.as_ref().ok_or_else(|| PyValueError::new_err("dominators of plain arrays know no types"))
    }
}

#[pymethods]
impl PyDominators {
    #[getter]
    fn object_count(&self) -> usize {
        self.tree.len()
    }

    #[getter]
    fn reachable_count(&self) -> u32 {
        self.tree.reachable_count()
    }

    #[getter]
    fn reachable_bytes(&self) -> u64 {
        self.tree.reachable_bytes()
    }

    #[getter]
    fn memory_bytes(&self) -> usize {
        self.tree.memory_bytes()
    }

    #[getter]
    fn immediate<'py>(&self, py: Python<'py>) -> Array<'py, u32> {
        py.detach(|| self.tree.all_dominators()).into_pyarray(py)
    }

    #[getter]
    fn retained_bytes<'py>(&self, py: Python<'py>) -> Array<'py, u64> {
        py.detach(|| self.tree.all_retained()).into_pyarray(py)
    }

    fn immediate_of(&self, index: u32) -> PyResult<u32> {
        self.check(index)?;
        Ok(self.tree.dominator_of(index))
    }

    fn retained_of(&self, index: u32) -> PyResult<u64> {
        self.check(index)?;
        Ok(self.tree.retained_of(index))
    }

    fn retained_count_of(&self, index: u32) -> PyResult<u32> {
        self.check(index)?;
        Ok(self.tree.retained_count_of(index))
    }

    fn retained_of_many<'py>(&self, py: Python<'py>, indices: Indices<'py>) -> PyResult<Array<'py, u64>> {
        let mut retained = Vec::with_capacity(indices.len()?);
        for &index in indices.as_array() {
            self.check(index)?;
            retained.push(self.tree.retained_of(index));
        }
        Ok(retained.into_pyarray(py))
    }

    fn dominates(&self, dominator: u32, index: u32) -> PyResult<bool> {
        self.check(dominator)?;
        self.check(index)?;
        Ok(self.tree.dominates(dominator, index))
    }

    #[pyo3(signature = (index=None, limit=100))]
    fn children<'py>(&self, py: Python<'py>, index: Option<u32>, limit: usize) -> PyResult<Array<'py, u32>> {
        index.map_or(Ok(()), |index| self.check(index))?;
        Ok(py.detach(|| self.tree.children(index, limit)).into_pyarray(py))
    }

    #[pyo3(signature = (index=None))]
    fn child_count(&self, py: Python<'_>, index: Option<u32>) -> PyResult<usize> {
        index.map_or(Ok(()), |index| self.check(index))?;
        Ok(py.detach(|| self.tree.child_count(index)))
    }

    #[pyo3(signature = (index=None, limit=None))]
    fn dominated<'py>(&self, py: Python<'py>, index: Option<u32>, limit: Option<usize>) -> PyResult<Array<'py, u32>> {
        index.map_or(Ok(()), |index| self.check(index))?;
        let all = self.tree.dominated(index);
        Ok(all[..limit.unwrap_or(all.len()).min(all.len())].to_vec().into_pyarray(py))
    }

    #[pyo3(signature = (index=None))]
    fn retained_by_type<'py>(
        &self,
        py: Python<'py>,
        index: Option<u32>,
    ) -> PyResult<(Array<'py, u64>, Array<'py, u64>)> {
        index.map_or(Ok(()), |index| self.check(index))?;
        let heap = self.heap()?;
        let (counts, bytes) = py.detach(|| {
            let mut words = Words::new(&heap.image);
            let (mut counts, mut bytes) = (vec![0_u64; heap.shapes.len()], vec![0_u64; heap.shapes.len()]);
            for &object in self.tree.dominated(index) {
                let kind = heap.table.type_of(object) as usize;
                let address = if heap.shapes[kind].component_size == 0 { 0 } else { heap.table.address_of(object) };
                counts[kind] += 1;
                bytes[kind] += heap.size(&mut words, object, address);
            }
            (counts, bytes)
        });
        Ok((counts.into_pyarray(py), bytes.into_pyarray(py)))
    }

    fn retained_by_all_types<'py>(&self, py: Python<'py>) -> PyResult<(Array<'py, u64>, Array<'py, u64>)> {
        let heap = self.heap()?;
        let type_of = |object| heap.table.type_of(object);
        let (bytes, counts) = py.detach(|| self.tree.retained_by_all_types(heap.shapes.len(), type_of));
        Ok((bytes.into_pyarray(py), counts.into_pyarray(py)))
    }

    fn __repr__(&self) -> String {
        let (count, bytes) = (self.tree.reachable_count(), self.tree.reachable_bytes());
        format!("Dominators({count} of {} objects reachable, {bytes} bytes)", self.tree.len())
    }
}
