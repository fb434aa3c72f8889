//! What a service manager is told, where one has started the program: systemd with `Type=notify`.

/// The router listens.
pub(super) fn ready() {
    #[cfg(unix)]
    tell(sd_notify::NotifyState::Ready);
}

/// The router has begun to stop.
pub(super) fn stopping() {
    #[cfg(unix)]
    tell(sd_notify::NotifyState::Stopping);
}

#[cfg(unix)]
fn tell(state: sd_notify::NotifyState<'_>) {
    // Where nobody asked to be told, this does nothing.
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager at NOTIFY_SOCKET cannot be told how the router is");
    }
}
