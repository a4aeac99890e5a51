//! Kernel errors become the exceptions of `heaphound.errors`, imported when the first one is raised.

use pyo3::exceptions::{PyKeyboardInterrupt, PyValueError};
use pyo3::prelude::*;

use crate::error::Error;

/// The Python exception for an error of the kernel.
pub fn to_python(py: Python<'_>, error: &Error) -> PyErr {
    let text = error.to_string();
    let made = match error {
        Error::Unreadable { address, size, why } => exception(py, "Unreadable", (*address, *size, *why)),
        Error::Dump(_) | Error::Io(_) => exception(py, "DumpError", (text,)),
        Error::Malformed(_) => exception(py, "Malformed", (text,)),
        Error::LimitExceeded(_) => exception(py, "LimitExceeded", (text,)),
        Error::Argument(_) => return PyValueError::new_err(text),
        Error::Cancelled => return PyKeyboardInterrupt::new_err(()),
    };
    made.unwrap_or_else(|failure| failure)
}

fn exception<'py, A>(py: Python<'py>, name: &str, arguments: A) -> PyResult<PyErr>
where
    A: pyo3::call::PyCallArgs<'py>,
{
    let class = py.import("heaphound.errors")?.getattr(name)?;
    Ok(PyErr::from_value(class.call1(arguments)?))
}

/// `result.or_raise(py)?` in methods.
pub trait OrRaise<T> {
    /// The value, or the exception.
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for crate::error::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| to_python(py, &error))
    }
}
