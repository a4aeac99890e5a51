//! `heaphound._core.CallFrames`

use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use rustc_hash::FxHashMap;

use super::errors::OrRaise;
use super::image::PyImage;
use crate::call_frames::{Row, find_row};
use crate::caller::{Registers, caller};
use crate::error::Result;
use crate::image::Image;

/// Rules that are kept; a process has some thousands of places where a call returns to.
const KEPT: usize = 1 << 18;

/// Undoes frames of native code.
#[pyclass(frozen, name = "CallFrames", module = "heaphound._core")]
pub struct PyCallFrames {
    image: Arc<Image>,
    rows: Mutex<Rows>,
}

/// By the table and the address; errors are kept too.
type Rows = FxHashMap<(u64, u64), Result<Arc<Row>>>;
type Undone = (Registers, Vec<(u16, u64)>, bool, bool);

#[pymethods]
impl PyCallFrames {
    #[new]
    fn new(image: PyRef<'_, PyImage>) -> Self {
        Self { image: image.0.clone(), rows: Mutex::default() }
    }

    fn caller(&self, py: Python<'_>, header: u64, place: u64, registers: Registers) -> PyResult<Undone> {
        let row = self.row(header, place).or_raise(py)?;
        let found = caller(&self.image, &row, &registers).or_raise(py)?;
        Ok((found.registers, found.saved_at, found.outermost, row.signal))
    }
}

impl PyCallFrames {
    fn row(&self, header: u64, place: u64) -> Result<Arc<Row>> {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.len() >= KEPT {
            rows.clear();
        }
        match rows.entry((header, place)) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(free) => free.insert(find_row(&self.image, header, place).map(Arc::new)).clone(),
        }
    }
}
