//! `heaphound._core.Image`

use std::path::PathBuf;
use std::sync::Arc;

use numpy::{IntoPyArray, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rayon::prelude::*;

use super::arrays::Array;
use super::errors::OrRaise;
use super::run::run_long;
use crate::find;
use crate::image::Image;
use crate::words::Words;

/// The memory of the dumped process.
#[pyclass(frozen, name = "Image", module = "heaphound._core")]
pub struct PyImage(pub Arc<Image>);

type Found<'py> = (Array<'py, u64>, Array<'py, u32>);
type Gathered<'py, T> = (Array<'py, T>, Array<'py, bool>);

#[pymethods]
impl PyImage {
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        Image::open(&path).map(|image| Self(Arc::new(image))).or_raise(py)
    }

    #[getter]
    fn path(&self) -> &str {
        self.0.path()
    }

    #[getter]
    fn machine(&self) -> &'static str {
        self.0.machine().name()
    }

    #[getter]
    fn file_size_bytes(&self) -> u64 {
        self.0.file_size()
    }

    #[getter]
    fn expected_size_bytes(&self) -> u64 {
        self.0.expected_size()
    }

    #[getter]
    fn segments(&self) -> Vec<(u64, u64, u64, u64, u32)> {
        let row = |s: &crate::elf::Segment| (s.address, s.size_in_file, s.size_in_memory, s.file_offset, s.flags);
        self.0.segments().iter().map(row).collect()
    }

    #[getter]
    fn notes(&self) -> Vec<(u64, u64)> {
        self.0.notes().to_vec()
    }

    #[getter]
    fn readable_ranges(&self) -> Vec<(u64, u64)> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for piece in self.0.pieces() {
            match ranges.last_mut() {
                Some(last) if last.1 == piece.start => last.1 = piece.end,
                _ => ranges.push((piece.start, piece.end)),
            }
        }
        ranges
    }

    fn file_bytes<'py>(&self, py: Python<'py>, offset: u64, size: u64) -> PyResult<Bound<'py, PyBytes>> {
        self.0.file_bytes(offset, size).map(|bytes| PyBytes::new(py, bytes)).or_raise(py)
    }

    fn read<'py>(&self, py: Python<'py>, address: u64, size: u64) -> PyResult<Bound<'py, PyBytes>> {
        let slice = self.0.slice_at(address);
        if let Some(bytes) = usize::try_from(size).ok().and_then(|size| slice.get(..size)) {
            return Ok(PyBytes::new(py, bytes));
        }
        self.0.read(address, size).map(|bytes| PyBytes::new(py, &bytes)).or_raise(py)
    }

    fn readable_bytes(&self, address: u64, limit: u64) -> u64 {
        self.0.readable_bytes(address, limit)
    }

    fn u8(&self, py: Python<'_>, address: u64) -> PyResult<u8> {
        self.0.array(address).map(u8::from_le_bytes).or_raise(py)
    }

    fn u16(&self, py: Python<'_>, address: u64) -> PyResult<u16> {
        self.0.array(address).map(u16::from_le_bytes).or_raise(py)
    }

    fn u32(&self, py: Python<'_>, address: u64) -> PyResult<u32> {
        self.0.array(address).map(u32::from_le_bytes).or_raise(py)
    }

    fn u64(&self, py: Python<'_>, address: u64) -> PyResult<u64> {
        self.0.array(address).map(u64::from_le_bytes).or_raise(py)
    }

    fn i32(&self, py: Python<'_>, address: u64) -> PyResult<i32> {
        self.0.array(address).map(i32::from_le_bytes).or_raise(py)
    }

    fn i64(&self, py: Python<'_>, address: u64) -> PyResult<i64> {
        self.0.array(address).map(i64::from_le_bytes).or_raise(py)
    }

    fn gather_u64<'py>(&self, py: Python<'py>, addresses: PyReadonlyArray1<'py, u64>) -> Gathered<'py, u64> {
        gather(py, &self.0, &addresses, Words::u64)
    }

    fn gather_u32<'py>(&self, py: Python<'py>, addresses: PyReadonlyArray1<'py, u64>) -> Gathered<'py, u32> {
        gather(py, &self.0, &addresses, Words::u32)
    }

    fn with_backing(&self, py: Python<'_>, path: PathBuf, mappings: Vec<(u64, u64, u64)>) -> PyResult<Self> {
        self.0.with_backing(&path, &mappings).map(|image| Self(Arc::new(image))).or_raise(py)
    }

    fn with_bytes(&self, py: Python<'_>, address: u64, data: Vec<u8>) -> PyResult<Self> {
        self.0.with_bytes(address, data).map(|image| Self(Arc::new(image))).or_raise(py)
    }

    #[pyo3(signature = (values, ranges, limit, progress=None))]
    fn find_u64<'py>(
        &self,
        py: Python<'py>,
        values: PyReadonlyArray1<'py, u64>,
        ranges: Vec<(u64, u64)>,
        limit: usize,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Found<'py>> {
        let (image, values) = (self.0.clone(), values.as_array().to_vec());
        let (addresses, indices) =
            run_long(py, progress, move |monitor| find::find_u64(&image, &values, &ranges, limit, monitor))?;
        Ok((addresses.into_pyarray(py), indices.into_pyarray(py)))
    }

    #[pyo3(signature = (needle, ranges, limit, progress=None))]
    fn find_bytes<'py>(
        &self,
        py: Python<'py>,
        needle: Vec<u8>,
        ranges: Vec<(u64, u64)>,
        limit: usize,
        progress: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Array<'py, u64>> {
        let image = self.0.clone();
        let found = run_long(py, progress, move |monitor| find::find_bytes(&image, &needle, &ranges, limit, monitor))?;
        Ok(found.into_pyarray(py))
    }

    fn __repr__(&self) -> String {
        format!("Image({:?}, {}, {} segments)", self.0.path(), self.0.machine().name(), self.0.segments().len())
    }
}

/// Addresses that one reader handles before the next one takes over.
const GATHERED_AT_ONCE: usize = 1 << 14;

/// Read one value at each address, on all processors; where it is missing the flag is false and the value 0.
fn gather<'py, 'image, T, F>(
    py: Python<'py>,
    image: &'image Image,
    addresses: &PyReadonlyArray1<'py, u64>,
    read: F,
) -> Gathered<'py, T>
where
    T: numpy::Element + Default + Copy + Send,
    F: Fn(&mut Words<'image>, u64) -> Option<T> + Sync,
{
    let wanted = addresses.as_array().to_vec();
    let (values, present) = py.detach(|| {
        let (mut values, mut present) = (vec![T::default(); wanted.len()], vec![false; wanted.len()]);
        let parts = values.par_chunks_mut(GATHERED_AT_ONCE).zip(present.par_chunks_mut(GATHERED_AT_ONCE));
        parts.zip(wanted.par_chunks(GATHERED_AT_ONCE)).for_each(|((values, present), wanted)| {
            let mut words = Words::new(image);
            for ((value, present), &address) in values.iter_mut().zip(present).zip(wanted) {
                if let Some(found) = read(&mut words, address) {
                    (*value, *present) = (found, true);
                }
            }
        });
        (values, present)
    });
    (values.into_pyarray(py), present.into_pyarray(py))
}
