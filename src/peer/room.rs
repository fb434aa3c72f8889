//! Waiting until something fits into a queue.

use tokio::sync::Notify;

/// Waits until `fits`, which is looked at again whenever `changed` says that it may.
pub(super) async fn until(changed: &Notify, fits: impl Fn() -> bool) {
    let mut next = std::pin::pin!(changed.notified());
    loop {
        // Listening begins before looking: what changes in between is not missed.
        next.as_mut().enable();
        if fits() {
            return;
        }
        next.as_mut().await;
        next.set(changed.notified());
    }
}
