//! The processes of one server: its leader's process group.

#[cfg(unix)]
pub(super) use unix::Group;

#[cfg(not(unix))]
pub(super) use other::Group;

#[cfg(unix)]
mod unix {
    use std::sync::Arc;

    use rustix::io::Errno;
    use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

    /// A process group, known by its leader's process id and by the marker in its members' environment.
    #[derive(Debug)]
    pub(in crate::peer) struct Group {
        id: Option<Pid>,
        marker: Arc<str>,
    }

    impl Group {
        pub(in crate::peer) fn led_by(pid: u32, marker: Arc<str>) -> Self {
            Self { id: i32::try_from(pid).ok().and_then(Pid::from_raw), marker }
        }

        /// Whether the group has a member; one that ended and was not waited for is still counted.
        pub(in crate::peer) fn is_alive(&self) -> bool {
            self.id.is_some_and(|id| test_kill_process_group(id) != Err(Errno::SRCH))
        }

        /// Whether a member carries the marker, so that the group's number cannot have become a stranger's.
        #[cfg(target_os = "linux")]
        pub(in crate::peer) fn is_ours(&self) -> bool {
            use crate::peer::orphans::{all_processes, carries, group};
            let is_member = |pid: &Pid| self.id.is_some() && group(*pid) == self.id;
            all_processes().filter(is_member).any(|pid| carries(pid, &self.marker))
        }

        /// Whether the group has a member: without `/proc` no more can be known.
        #[cfg(not(target_os = "linux"))]
        pub(in crate::peer) fn is_ours(&self) -> bool {
            let _ = &self.marker;
            self.is_alive()
        }

        /// Asks every member to end, also one that is stopped.
        pub(in crate::peer) fn terminate(&self) {
            self.signal(Signal::TERM);
            self.signal(Signal::CONT);
        }

        /// Ends every member.
        pub(in crate::peer) fn kill(&self) {
            self.signal(Signal::KILL);
        }

        fn signal(&self, signal: Signal) {
            if let Some(id) = self.id {
                // It may have ended by itself.
                let _ = kill_process_group(id, signal);
            }
        }
    }
}

#[cfg(not(unix))]
mod other {
    use std::sync::Arc;

    /// Only the leader is known here: it is killed by its handle, and nothing else is.
    #[derive(Debug)]
    pub(in crate::peer) struct Group;

    impl Group {
        pub(in crate::peer) fn led_by(_pid: u32, _marker: Arc<str>) -> Self {
            Self
        }

        pub(in crate::peer) fn is_alive(&self) -> bool {
            false
        }

        pub(in crate::peer) fn is_ours(&self) -> bool {
            false
        }

        pub(in crate::peer) fn terminate(&self) {}

        pub(in crate::peer) fn kill(&self) {}
    }
}
