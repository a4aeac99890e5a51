//! Long work: on another thread and without the GIL, while the calling thread reports progress and listens for Ctrl-C.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::errors::to_python;
use crate::error::Result;
use crate::monitor::Monitor;

/// How often the caller is told: ten times a second is smooth for a person and costs nothing.
const TICK: Duration = Duration::from_millis(100);

/// Run `work`, calling `progress(phase, done, total)` meanwhile; a signal or an exception of `progress` cancels the work and is raised.
pub fn run_long<T, F>(py: Python<'_>, progress: Option<&Bound<'_, PyAny>>, work: F) -> PyResult<T>
where
    T: Send,
    F: FnOnce(&Monitor) -> Result<T> + Send,
{
    let monitor = Monitor::default();
    let progress = progress.filter(|callable| !callable.is_none()).map(|callable| callable.clone().unbind());
    let outcome = py.detach(|| wait_for(&monitor, progress.as_ref(), work));
    match outcome {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(to_python(py, &error)),
        Err(raised) => Err(raised),
    }
}

fn wait_for<T, F>(monitor: &Monitor, progress: Option<&Py<PyAny>>, work: F) -> PyResult<Result<T>>
where
    T: Send,
    F: FnOnce(&Monitor) -> Result<T> + Send,
{
    let (sender, receiver) = channel::<()>();
    std::thread::scope(|scope| {
        let worker = scope.spawn(move || {
            let result = work(monitor);
            drop(sender);
            result
        });
        let mut raised = None;
        while receiver.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
            if raised.is_none()
                && let Err(error) = Python::attach(|py| report(py, monitor, progress))
            {
                raised = Some(error);
                monitor.cancel();
            }
        }
        let result = worker.join().map_err(|_| PyRuntimeError::new_err("the kernel failed; this is a bug"))?;
        raised.map_or(Ok(result), Err)
    })
}

fn report(py: Python<'_>, monitor: &Monitor, progress: Option<&Py<PyAny>>) -> PyResult<()> {
    py.check_signals()?;
    let (phase, done, total) = monitor.now();
    if let Some(callable) = progress
        && !phase.is_empty()
    {
        callable.call1(py, (phase, done, total))?;
    }
    Ok(())
}
