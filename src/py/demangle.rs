//! `heaphound._core.demangle`

use pyo3::prelude::*;

/// A mangled name of C++ in readable form.
#[pyfunction]
pub fn demangle(name: &str) -> Option<String> {
    crate::demangle::demangle(name)
}
