//! What the mounts of a router share: how many processes there may be, and how they are started.

use super::era::Verdicts;
use super::gate::Gate;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

/// What all pools of a router share.
#[derive(Clone, Debug)]
pub struct House {
    pub(super) gate: Arc<Gate>,
    pub(super) processes: Arc<Semaphore>,
    /// Children inherit the whole environment.
    pub(super) pass_environment: bool,
    /// Bytes of a line, at most.
    pub(super) line_limit: usize,
    /// What is known of every command and URL.
    pub(super) verdicts: Verdicts,
    /// Owns the tasks of all processes.
    pub(super) tracker: TaskTracker,
}

impl House {
    /// The house of a router with at most `processes` processes; at most 2 x cores of them start at a time.
    pub fn new(processes: usize, pass_environment: bool, line_limit: usize, tracker: TaskTracker) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            gate: Gate::new(2 * cores),
            processes: Arc::new(Semaphore::new(processes.min(Semaphore::MAX_PERMITS))),
            pass_environment,
            line_limit,
            verdicts: Verdicts::default(),
            tracker,
        }
    }
}
