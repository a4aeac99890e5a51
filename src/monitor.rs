//! How far long work has come, and whether it should stop; shared between the workers and the thread that waits for them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Progress and cancellation of one long call.
#[derive(Debug, Default)]
pub struct Monitor {
    phase: Mutex<&'static str>,
    done: AtomicU64,
    total: AtomicU64,
    cancelled: AtomicBool,
}

impl Monitor {
    /// A new phase begins, of `total` units (0: unknown).
    pub fn begin(&self, phase: &'static str, total: u64) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        match self.phase.lock() {
            Ok(mut guard) => *guard = phase,
            Err(poisoned) => *poisoned.into_inner() = phase,
        }
    }

    /// `count` more units are done.
    ///
    /// # Errors
    /// `Cancelled` once somebody asked to stop.
    #[inline]
    pub fn step(&self, count: u64) -> Result<()> {
        self.done.fetch_add(count, Ordering::Relaxed);
        if self.cancelled.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Ask the workers to stop at their next step.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// (phase, done, total) now; done is never above a total that is known.
    #[must_use]
    pub fn now(&self) -> (&'static str, u64, u64) {
        let phase = match self.phase.lock() {
            Ok(guard) => *guard,
            Err(poisoned) => *poisoned.into_inner(),
        };
        let (done, total) = (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed));
        // Workers step in round numbers, and the next phase may begin between the two reads.
        (phase, if total == 0 { done } else { done.min(total) }, total)
    }
}
