//! The signals that ask the program to end, and the one by which daemons are asked to read their configuration again.

use std::io;
use std::sync::Arc;

use tokio::sync::Notify;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT, and on Linux SIGHUP. That asks for a reload where there is something to reload, unless it is said
/// because the terminal was closed: then it ends us, or the servers would be left behind, which are in process groups of
/// their own. Under nohup SIGHUP stays ignored.
#[cfg(unix)]
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
    told: Vec<Arc<Notify>>,
    /// There was a terminal at the start.
    had_terminal: bool,
}

#[cfg(unix)]
impl Signals {
    /// From now on these signals no longer end the process by themselves. These are told by SIGHUP, if there are any.
    pub(super) fn listen(told: Vec<Arc<Notify>>) -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: if hangup_ends_us() { Some(signal(SignalKind::hangup())?) } else { None },
            told,
            had_terminal: has_terminal(),
        })
    }

    /// Waits for the next one that asks to end, and names it.
    pub(super) async fn next(&mut self) -> &'static str {
        loop {
            let hangup = async {
                match &mut self.hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = hangup => {}
            }
            if self.told.is_empty() || (self.had_terminal && !has_terminal()) {
                return "SIGHUP";
            }
            self.told.iter().for_each(|told| told.notify_one());
        }
    }
}

/// Whether the process has a terminal that can close. One that was closed is none any more when its SIGHUP comes.
#[cfg(unix)]
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// Whether SIGHUP would end this process: its disposition is known without unsafe code on Linux only.
#[cfg(unix)]
fn hangup_ends_us() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| !ignores_hangup(&status))
}

/// Reads the mask of ignored signals in `/proc/self/status`, in which bit 0 is SIGHUP.
#[cfg(unix)]
fn ignores_hangup(status: &str) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // What cannot be read is left alone.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_none_or(|mask| mask & 1 == 1)
}

/// Ctrl-C.
#[cfg(not(unix))]
#[derive(Debug)]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(super) fn listen(_told: Vec<Arc<Notify>>) -> io::Result<Self> {
        Ok(Self)
    }

    pub(super) async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_process_under_nohup_keeps_ignoring_the_hangup() {
        assert!(ignores_hangup("SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n"));
        assert!(!ignores_hangup("SigIgn:\t0000000000001000\n"));
        assert!(ignores_hangup("Name:\tx\n"));
    }
}
