//! What the helper says to the router: that all is in place, and then nothing, or what went wrong.

use std::io;

/// Said when everything is in place, right before the command begins.
pub(super) const READY: &[u8] = b"ready\n";

/// Begins what is said, after [`READY`], when the command could not be run: the number of the error follows.
const NOT_RUN: &[u8] = b"not run\n";

/// How a start in a sandbox has ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The command runs, restricted as was asked.
    Running,
    /// Everything was in place, but the system did not run the program.
    NotRun(io::Error),
    /// The restrictions could not be put in place, for this reason.
    Refused(String),
}

impl Outcome {
    /// What all that was said means, once the helper says no more.
    pub(super) fn heard(said: &[u8]) -> Self {
        let Some(rest) = said.strip_prefix(READY) else {
            let reason = String::from_utf8_lossy(said);
            return Self::Refused(match reason.trim() {
                "" => "the helper ended before the sandbox was in place".to_owned(),
                reason => reason.to_owned(),
            });
        };
        if rest.is_empty() {
            return Self::Running;
        }
        let number =
            rest.strip_prefix(NOT_RUN).and_then(|number| std::str::from_utf8(number).ok()?.parse().ok());
        match number {
            Some(number) => Self::NotRun(io::Error::from_raw_os_error(number)),
            None => Self::Refused("the helper said something that is not understood".to_owned()),
        }
    }

    /// What is said when the program could not be run.
    pub(super) fn not_run(error: &io::Error) -> Vec<u8> {
        [NOT_RUN, error.raw_os_error().unwrap_or_default().to_string().as_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ready_and_then_silence_is_a_running_command() {
        assert!(matches!(Outcome::heard(READY), Outcome::Running));
        let missing = io::Error::from_raw_os_error(2);
        let heard = Outcome::heard(&[READY, &Outcome::not_run(&missing)].concat());
        assert!(matches!(heard, Outcome::NotRun(error) if error.kind() == io::ErrorKind::NotFound));
        for said in [&b""[..], b"the kernel cannot", b"read", b"ready\nodd", b"ready\nnot run\nx", b"\xff"] {
            assert!(
                matches!(Outcome::heard(said), Outcome::Refused(reason) if !reason.is_empty()),
                "{said:?}"
            );
        }
    }
}
