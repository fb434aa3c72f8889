//! The journal of systemd, where stderr leads to it: it knows the time itself, and takes the priority from the head of a
//! line, as `sd-daemon(3)` says. So no library and no second way into the journal is needed.

/// Whether stderr leads to the journal. The variable alone says nothing: it is inherited by whatever we start, wherever
/// that writes to.
///
/// systemd.exec(5): "`$JOURNAL_STREAM`: if the standard output or standard error output of the executed processes are
/// connected to the journal [...], contains the device and inode numbers of the connection file descriptor".
#[cfg(target_os = "linux")]
pub(super) fn is_stderr() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let named = std::env::var("JOURNAL_STREAM").ok().and_then(|stream| numbers(&stream));
    let stderr = std::fs::metadata("/proc/self/fd/2").ok().map(|file| (file.dev(), file.ino()));
    named.is_some() && named == stderr
}

/// Only Linux has it.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_stderr() -> bool {
    false
}

/// The two numbers of `DEVICE:INODE`.
#[cfg(target_os = "linux")]
fn numbers(stream: &str) -> Option<(u64, u64)> {
    let (device, inode) = stream.split_once(':')?;
    Some((device.parse().ok()?, inode.parse().ok()?))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_two_numbers() {
        assert_eq!(numbers("8:12345"), Some((8, 12345)));
        for wrong in ["", "8", "8:", ":1", "a:1", "8:1:2"] {
            assert_eq!(numbers(wrong), None, "{wrong}");
        }
    }
}
