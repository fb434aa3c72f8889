//! The one timer of a connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::connection::ConnectionSettings;
use super::pulse::{Phase, Pulse};

pin_project! {
    /// When a connection has waited long enough for its peer.
    ///
    /// A request costs it one look at the clock: the timer is left where it is, and only when it fires is
    /// it set to the time that is right by then.
    pub(super) struct Deadline {
        pulse: Arc<Pulse>,
        phase: Phase,
        beats: u32,
        since: Instant,
        head_timeout: Duration,
        idle: Duration,
        armed: bool,
        #[pin]
        timer: Sleep,
    }
}

impl Deadline {
    /// The deadline of a connection that was opened at `begun`.
    pub(super) fn new(begun: Instant, pulse: Arc<Pulse>, settings: &ConnectionSettings) -> Self {
        let (_, beats) = pulse.observe();
        Self {
            pulse,
            phase: Phase::Opening,
            beats,
            since: begun,
            head_timeout: settings.head_timeout,
            idle: settings.idle,
            armed: false,
            timer: sleep_until(begun + settings.idle),
        }
    }

    /// From now on no new request is expected, and waiting for the peer is not worth more than a head is.
    pub(super) fn hasten(self: Pin<&mut Self>) {
        let this = self.project();
        *this.idle = (*this.idle).min(*this.head_timeout);
        if *this.phase != Phase::Head {
            *this.since = Instant::now();
        }
    }

    /// Ready with what it was that took too long. To be polled after every poll of the connection, by the
    /// task that owns both: it counts on being woken by the connection's own events.
    pub(super) fn poll_overdue(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Phase> {
        let mut this = self.project();
        let (phase, beats) = this.pulse.observe();
        if (phase, beats) != (*this.phase, *this.beats) {
            // The time of the first head began with the connection.
            let is_first = *this.phase == Phase::Opening && phase == Phase::Head;
            (*this.phase, *this.beats) = (phase, beats);
            if !is_first && !matches!(phase, Phase::Busy | Phase::Opening) {
                *this.since = Instant::now();
            }
        }
        let due = match phase {
            Phase::Busy => None,
            Phase::Opening | Phase::Head => Some(*this.since + *this.head_timeout),
            Phase::Idle | Phase::Stalled => Some(*this.since + *this.idle),
        };
        loop {
            let early_enough = due.is_none_or(|due| this.timer.deadline() <= due);
            if !early_enough || this.timer.is_elapsed() {
                let now = Instant::now();
                if due.is_some_and(|due| due <= now) {
                    return Poll::Ready(phase);
                }
                this.timer.as_mut().reset(due.unwrap_or(now + *this.idle));
            } else if *this.armed {
                return Poll::Pending;
            }
            // The task's waker never changes, so the timer needs to hear of it only when it is set.
            *this.armed = true;
            if this.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}
