//! How many processes may be starting at a time; clients go before spares.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Lets a bounded number of starts through, those that a client waits for first; half of them are for clients only.
#[derive(Debug)]
pub(super) struct Gate(Mutex<Starts>);

/// The right to start a process; empty once it was handed on.
///
/// Dropped when the process has answered, or has had two seconds for it; for a spare, a replacement, and a process to
/// which nothing is said yet, as soon as it was spawned.
#[derive(Debug)]
pub(super) struct Pass(Option<Arc<Gate>>);

/// Who waits for a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    Client,
    Spare,
}

/// The starts that may be made, and who waits for one.
#[derive(Debug)]
struct Starts {
    free: usize,
    /// So many starts are kept for clients.
    reserved: usize,
    clients: VecDeque<oneshot::Sender<Pass>>,
    spares: VecDeque<oneshot::Sender<Pass>>,
}

impl Gate {
    /// A gate for `width` starts at a time.
    pub(super) fn new(width: usize) -> Arc<Self> {
        let reserved = width / 2;
        Arc::new(Self(Mutex::new(Starts {
            free: width,
            reserved,
            clients: VecDeque::new(),
            spares: VecDeque::new(),
        })))
    }

    /// Waits for the right to start a process.
    pub(super) async fn enter(self: &Arc<Self>, urgency: Urgency) -> Pass {
        let waiting = {
            let mut starts = self.lock();
            if starts.free > starts.least(urgency) {
                starts.free -= 1;
                return Pass(Some(self.clone()));
            }
            let (sender, receiver) = oneshot::channel();
            match urgency {
                Urgency::Client => starts.clients.push_back(sender),
                Urgency::Spare => starts.spares.push_back(sender),
            }
            receiver
        };
        // The sender is dropped only after it was used.
        waiting.await.unwrap_or(Pass(None))
    }

    fn lock(&self) -> MutexGuard<'_, Starts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Starts {
    /// How many starts must stay free for others.
    fn least(&self, urgency: Urgency) -> usize {
        match urgency {
            Urgency::Client => 0,
            Urgency::Spare => self.reserved,
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let Some(gate) = self.0.take() else { return };
        loop {
            let mut starts = gate.lock();
            let spares = starts.free + 1 > starts.least(Urgency::Spare);
            let next = starts.clients.pop_front();
            let next = if spares { next.or_else(|| starts.spares.pop_front()) } else { next };
            let Some(next) = next else {
                starts.free += 1;
                return;
            };
            drop(starts);
            match next.send(Self(Some(gate.clone()))) {
                Ok(()) => return,
                // Who waited has given up: the pass goes to the next.
                Err(mut unwanted) => drop(unwanted.0.take()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn spares_leave_half_of_the_starts_to_clients() {
        let gate = Gate::new(4);
        let spares = [gate.enter(Urgency::Spare).await, gate.enter(Urgency::Spare).await];
        let mut third = Box::pin(gate.enter(Urgency::Spare));
        assert!((&mut third).now_or_never().is_none());
        let clients = [gate.enter(Urgency::Client).await, gate.enter(Urgency::Client).await];
        drop(clients);
        assert!((&mut third).now_or_never().is_none());
        drop(spares);
        assert!(third.now_or_never().is_some());
    }

    #[tokio::test]
    async fn clients_go_first_and_who_gave_up_is_passed_over() {
        let gate = Gate::new(1);
        let first = gate.enter(Urgency::Spare).await;
        let mut spare = Box::pin(gate.enter(Urgency::Spare));
        let mut gone = Box::pin(gate.enter(Urgency::Client));
        let mut client = Box::pin(gate.enter(Urgency::Client));
        assert!((&mut spare).now_or_never().is_none());
        assert!((&mut gone).now_or_never().is_none());
        assert!((&mut client).now_or_never().is_none());
        drop(gone);
        drop(first);
        assert!((&mut spare).now_or_never().is_none());
        let client = client.now_or_never().unwrap();
        drop(client);
        drop(spare.now_or_never().unwrap());
        drop(gate.enter(Urgency::Client).now_or_never().unwrap());
        assert_eq!(gate.lock().free, 1);
    }
}
