//! `heaphound._core.Graph`

use std::sync::Arc;

use numpy::{IntoPyArray, PyReadonlyArray1};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use super::arrays::{Array, Indices};
use super::dominators::PyDominators;
use super::errors::OrRaise;
use super::heap::PyHeap;
use super::image::PyImage;
use super::run::run_long;
use crate::graph::Graph;
use crate::heap::Heap;
use crate::monitor::Monitor;
use crate::paths;
use crate::references::ExtraEdges;
use crate::table::NONE;
use crate::tree::{Sizes, Tree};

fn list(array: &Indices<'_>) -> Vec<u32> {
    array.as_array().to_vec()
}

fn edges(heap: &Heap, arrays: Option<&(Indices<'_>, Indices<'_>)>) -> crate::error::Result<ExtraEdges> {
    match arrays {
        Some((sources, targets)) => ExtraEdges::new(heap, &list(sources), &list(targets)),
        None => Ok(ExtraEdges::default()),
    }
}

/// The references of a heap.
#[pyclass(frozen, name = "Graph", module = "heaphound._core")]
pub struct PyGraph(pub Arc<Graph>);

#[pymethods]
impl PyGraph {
    #[staticmethod]
    #[pyo3(signature = (image, layout, heap, extra_edges=None, uncounted_edges=None, progress=None))]
    fn build(
        py: Python<'_>,
        image: &PyImage,
        layout: &super::heap::PyHeapLayout,
        heap: &PyHeap,
        extra_edges: Option<(Indices<'_>, Indices<'_>)>,
        uncounted_edges: Option<(Indices<'_>, Indices<'_>)>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let graph = Self::open(py, image, layout, heap, extra_edges, uncounted_edges)?;
        run_long(py, progress, |monitor| graph.0.facts(monitor).map(|_| ()))?;
        Ok(graph)
    }

    #[staticmethod]
    #[pyo3(signature = (image, layout, heap, extra_edges=None, uncounted_edges=None))]
    fn open(
        py: Python<'_>,
        image: &PyImage,
        layout: &super::heap::PyHeapLayout,
        heap: &PyHeap,
        extra_edges: Option<(Indices<'_>, Indices<'_>)>,
        uncounted_edges: Option<(Indices<'_>, Indices<'_>)>,
    ) -> PyResult<Self> {
        // A heap keeps the memory and the layout that it was walked with; others could only contradict it.
        if !Arc::ptr_eq(&image.0, &heap.0.image) || *layout.0 != *heap.0.layout {
            return Err(PyValueError::new_err("the heap was walked with another image or layout"));
        }
        let counted = edges(&heap.0, extra_edges.as_ref()).or_raise(py)?;
        let uncounted = edges(&heap.0, uncounted_edges.as_ref()).or_raise(py)?;
        Ok(Self(Arc::new(Graph::open(heap.0.clone(), counted, uncounted))))
    }

    #[staticmethod]
    fn from_edges(py: Python<'_>, object_count: usize, sources: Indices<'_>, targets: Indices<'_>) -> PyResult<Self> {
        let graph = Graph::from_edges(object_count, &list(&sources), &list(&targets)).or_raise(py)?;
        Ok(Self(Arc::new(graph)))
    }

    #[getter]
    fn object_count(&self) -> usize {
        self.0.len()
    }

    #[getter]
    fn reference_count(&self, py: Python<'_>) -> PyResult<u64> {
        run_long(py, None, |monitor| self.0.facts(monitor).map(|facts| facts.count))
    }

    fn reference_checksum(&self, py: Python<'_>) -> PyResult<u64> {
        run_long(py, None, |monitor| self.0.facts(monitor).map(|facts| facts.checksum))
    }

    #[getter]
    fn dangling_count(&self, py: Python<'_>) -> PyResult<u64> {
        run_long(py, None, |monitor| self.0.facts(monitor).map(|facts| facts.dangling_count))
    }

    #[getter]
    fn dangling_references(&self, py: Python<'_>) -> PyResult<Vec<(u32, u64)>> {
        let facts = run_long(py, None, |monitor| self.0.facts(monitor))?;
        Ok(facts.dangling.iter().map(|dangling| (dangling.source, dangling.value)).collect())
    }

    #[getter]
    fn missing_slots(&self, py: Python<'_>) -> PyResult<u64> {
        run_long(py, None, |monitor| self.0.facts(monitor).map(|facts| facts.missing_slots))
    }

    #[getter]
    fn unknown_types(&self) -> Vec<(u32, &'static str)> {
        self.0.unknown_types()
    }

    #[getter]
    fn memory_bytes(&self) -> usize {
        self.0.memory_bytes()
    }

    fn references<'py>(&self, py: Python<'py>, index: u32) -> PyResult<Array<'py, u32>> {
        self.0.check(&[index]).or_raise(py)?;
        let mut targets = Vec::new();
        self.0.outgoing().visit(index, |target| targets.push(target));
        Ok(targets.into_pyarray(py))
    }

    #[pyo3(signature = (index, limit=None, progress=None))]
    fn referrers<'py>(
        &self,
        py: Python<'py>,
        index: u32,
        limit: Option<usize>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Array<'py, u32>> {
        self.0.check(&[index]).or_raise(py)?;
        let limit = limit.unwrap_or(usize::MAX);
        Ok(run_long(py, progress, |monitor| self.0.referrers(index, limit, monitor))?.into_pyarray(py))
    }

    #[pyo3(signature = (progress=None))]
    fn referrer_counts<'py>(&self, py: Python<'py>, progress: Option<&Bound<'py, PyAny>>) -> PyResult<Array<'py, u32>> {
        Ok(run_long(py, progress, |monitor| self.0.referrer_counts(monitor))?.into_pyarray(py))
    }

    #[pyo3(signature = (roots, progress=None))]
    fn reachable<'py>(
        &self,
        py: Python<'py>,
        roots: Indices<'py>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Array<'py, bool>> {
        let roots = list(&roots);
        let distance = run_long(py, progress, |monitor| self.0.distances(&roots, monitor))?;
        Ok(distance.into_iter().map(|distance| distance != NONE).collect::<Vec<bool>>().into_pyarray(py))
    }

    #[pyo3(signature = (roots, progress=None))]
    fn distances<'py>(
        &self,
        py: Python<'py>,
        roots: Indices<'py>,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Array<'py, u32>> {
        let roots = list(&roots);
        Ok(run_long(py, progress, |monitor| self.0.distances(&roots, monitor))?.into_pyarray(py))
    }

    #[pyo3(signature = (heap, roots, last_resort=None, progress=None))]
    fn dominators(
        &self,
        py: Python<'_>,
        heap: &PyHeap,
        roots: Indices<'_>,
        last_resort: Option<Indices<'_>>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyDominators> {
        let (heap, roots, spare) = (heap.0.clone(), list(&roots), last_resort.as_ref().map(list).unwrap_or_default());
        let tree = run_long(py, progress, |monitor| Tree::build(&self.0, Sizes::Heap(&heap), &roots, &spare, monitor))?;
        Ok(PyDominators { tree, heap: Some(heap) })
    }

    #[pyo3(signature = (sizes, roots, last_resort=None, progress=None))]
    fn dominators_of_sizes(
        &self,
        py: Python<'_>,
        sizes: PyReadonlyArray1<'_, u64>,
        roots: Indices<'_>,
        last_resort: Option<Indices<'_>>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyDominators> {
        let (sizes, roots, spare) =
            (sizes.as_array().to_vec(), list(&roots), last_resort.as_ref().map(list).unwrap_or_default());
        let tree =
            run_long(py, progress, |monitor| Tree::build(&self.0, Sizes::Array(&sizes), &roots, &spare, monitor))?;
        Ok(PyDominators { tree, heap: None })
    }

    #[pyo3(signature = (roots, target, last_resort=None, progress=None))]
    fn first_path(
        &self,
        py: Python<'_>,
        roots: Indices<'_>,
        target: u32,
        last_resort: Option<Indices<'_>>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<Vec<u32>>> {
        let (roots, spare) = (list(&roots), last_resort.as_ref().map(list).unwrap_or_default());
        run_long(py, progress, |monitor| paths::first_path(&self.0, &roots, &spare, target, monitor))
    }

    #[pyo3(signature = (roots, target, maximum, last_resort=None, progress=None))]
    fn shortest_paths(
        &self,
        py: Python<'_>,
        roots: Indices<'_>,
        target: u32,
        maximum: usize,
        last_resort: Option<Indices<'_>>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<(Vec<Vec<u32>>, bool)> {
        let (roots, spare) = (list(&roots), last_resort.as_ref().map(list).unwrap_or_default());
        let work = |monitor: &Monitor| paths::shortest_paths(&self.0, &roots, &spare, target, maximum, monitor);
        let found = run_long(py, progress, work)?;
        Ok((found.paths, found.complete))
    }

    fn __repr__(&self) -> String {
        format!("Graph({} objects)", self.0.len())
    }
}
