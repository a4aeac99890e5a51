//! The arrays that cross the seam.

use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;

pub type Indices<'py> = PyReadonlyArray1<'py, u32>;
pub type Array<'py, T> = Bound<'py, PyArray1<T>>;
