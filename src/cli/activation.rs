//! Sockets that systemd has opened for this program.

use crate::router::Inherited;

/// What a process that is started on behalf of a socket finds in its environment; no server inherits it.
#[cfg(unix)]
const VARIABLE: &str = "LISTEN_FDS";

/// The sockets that were opened for this very process, and what is odd about that. To be called before there are threads:
/// what says that they are there is taken out of the environment.
#[cfg(unix)]
pub(super) fn inherited() -> Result<Inherited, String> {
    let mut inherited = Inherited::default();
    // sd_listen_fds(3): they are another process's if `LISTEN_PID` is not ours.
    let is_ours = std::env::var("LISTEN_PID").is_ok_and(|pid| pid == std::process::id().to_string());
    if !is_ours {
        return Ok(inherited);
    }
    let mut sockets = listenfd::ListenFd::from_env();
    for index in 0..sockets.len() {
        if let Ok(Some(listener)) = sockets.take_tcp_listener(index) {
            inherited.tcp.push(listener);
        } else if let Ok(Some(listener)) = sockets.take_unix_listener(index) {
            inherited.unix.push(listener);
        } else {
            return Err(format!(
                "socket {} of {VARIABLE} is neither one of TCP nor a unix socket for connections: its unit wants `ListenStream=`",
                index + 1
            ));
        }
    }
    Ok(inherited)
}

/// There is nothing like it.
#[cfg(not(unix))]
pub(super) fn inherited() -> Result<Inherited, String> {
    Ok(Inherited::default())
}
