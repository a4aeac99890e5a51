//! The Python face of the kernel. No other file of the crate knows Python.

mod arrays;
mod call_frames;
mod demangle;
mod dominators;
mod errors;
mod graph;
mod heap;
mod image;
mod run;

use pyo3::prelude::*;

/// `heaphound._core`
#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<image::PyImage>()?;
    module.add_class::<heap::PyHeapLayout>()?;
    module.add_class::<heap::PyHeap>()?;
    module.add_class::<graph::PyGraph>()?;
    module.add_class::<dominators::PyDominators>()?;
    module.add_class::<call_frames::PyCallFrames>()?;
    module.add_function(wrap_pyfunction!(demangle::demangle, module)?)?;
    Ok(())
}
