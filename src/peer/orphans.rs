//! Processes that lost their parent, and became children of this one.
//!
//! A grandchild that leaves its process group escapes the signals that end the group. In a subreaper, which only the
//! binary becomes, it turns up as a child when its parent dies; the marker in its environment tells
//! whose it was. As the first process of a container the same happens without being asked for.
//!
//! Children are waited for by their own process id only: waiting for any would take exits away from the runtime.

#[cfg(target_os = "linux")]
pub(super) use linux::{all_processes, carries, end, forget, group, reap, spawning};
#[cfg(target_os = "linux")]
pub use linux::{become_subreaper, reap_until};

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{become_subreaper, reap_until};
#[cfg(not(target_os = "linux"))]
pub(super) use elsewhere::{end, forget, reap, spawning};

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::VecDeque;
    use std::io;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock, RwLockReadGuard};
    use std::time::Duration;

    use rustc_hash::FxHashMap;
    use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
    use tokio::signal::unix::{SignalKind, signal};
    use tokio::time::sleep;
    use tokio_util::sync::CancellationToken;

    use crate::peer::MARKER;

    /// Longest time between two looks of [`reap_until`] while children end.
    const PAUSE: Duration = Duration::from_secs(1);

    /// How many ended markers are remembered, for orphans that turn up late.
    const REMEMBERED: usize = 256;

    /// How often the escapees of one process are looked for, ten milliseconds apart, before it is left to [`reap_until`].
    const LOOKS: usize = 100;

    static SUBREAPER: AtomicBool = AtomicBool::new(false);

    /// Held for reading while a process is spawned, until it is in [`OWN`]; for writing while orphans are dealt with.
    static SPAWNS: RwLock<()> = RwLock::new(());

    /// The processes that were spawned here and not waited for yet, with their markers.
    static OWN: LazyLock<Mutex<FxHashMap<u32, Arc<str>>>> = LazyLock::new(Mutex::default);

    /// The markers that ended last.
    static ENDED: Mutex<VecDeque<Arc<str>>> = Mutex::new(VecDeque::new());

    /// Makes orphaned descendants children of this process, and lets every ladder look for its own among them.
    ///
    /// From then on every child of this process that [`Peer::spawn`](crate::peer::Peer::spawn) did not start counts
    /// as an orphan and is waited for: call it only in a program that starts no others.
    ///
    /// # Errors
    /// The kernel has no subreapers.
    pub fn become_subreaper() -> io::Result<()> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        SUBREAPER.store(true, Ordering::Release);
        Ok(())
    }

    /// Waits for orphans that end, until `stop` is cancelled. Does nothing unless [`become_subreaper`] was called.
    pub async fn reap_until(stop: CancellationToken) {
        if !SUBREAPER.load(Ordering::Acquire) {
            return;
        }
        let mut child_ended = match signal(SignalKind::child()) {
            Ok(signals) => signals,
            Err(error) => return tracing::warn!(%error, "orphans are not waited for"),
        };
        let mut doomed = Vec::new();
        loop {
            sweep(&mut doomed, |pid| lock(&ENDED).iter().any(|marker| carries(pid, marker)));
            tokio::select! {
                () = stop.cancelled() => return,
                _ = child_ended.recv() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(PAUSE) => {}
            }
        }
    }

    /// A spawn in progress: until it is registered, its process must not be taken for an orphan.
    pub(in crate::peer) struct Spawning(RwLockReadGuard<'static, ()>);

    /// To be held around a spawn.
    pub(in crate::peer) fn spawning() -> Spawning {
        Spawning(SPAWNS.read().unwrap_or_else(PoisonError::into_inner))
    }

    impl Spawning {
        /// The spawn is over, and this process came of it.
        pub(in crate::peer) fn register(self, pid: u32, marker: Arc<str>) {
            lock(&OWN).insert(pid, marker);
            drop(self.0);
        }
    }

    /// The process has been waited for, and its number may be given to another.
    pub(in crate::peer) fn forget(pid: u32, marker: &Arc<str>) {
        let mut own = lock(&OWN);
        // Another process of ours may have the number already.
        if own.get(&pid).is_some_and(|owner| owner == marker) {
            own.remove(&pid);
        }
    }

    /// Ends every orphan that carries `marker`.
    pub(in crate::peer) async fn end(marker: &Arc<str>) {
        if !SUBREAPER.load(Ordering::Acquire) {
            return;
        }
        remember(marker);
        let mut doomed = Vec::new();
        for _ in 0..LOOKS {
            if !sweep(&mut doomed, |pid| carries(pid, marker)) {
                return;
            }
            // What was killed leaves children of its own behind, which may carry the marker too.
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for the orphans that have ended.
    pub(in crate::peer) fn reap() {
        if SUBREAPER.load(Ordering::Acquire) {
            sweep(&mut Vec::new(), |_| false);
        }
    }

    /// Waits for orphans that have ended, and kills those that are condemned; `doomed` are those killed before.
    /// Tells whether one that is condemned was still there.
    fn sweep(doomed: &mut Vec<Pid>, condemned: impl Fn(Pid) -> bool) -> bool {
        let mut candidates = children();
        candidates.retain(|pid| !is_own(*pid));
        if candidates.is_empty() {
            return false;
        }
        // With every spawn registered, what is still unknown is no child of a spawn in progress.
        let _no_spawns = SPAWNS.write().unwrap_or_else(PoisonError::into_inner);
        let mut found = false;
        for pid in candidates.into_iter().filter(|pid| !is_own(*pid)) {
            // `None`: a child that runs, whose number therefore cannot become another's.
            if let Ok(None) = waitpid(Some(pid), WaitOptions::NOHANG)
                && (doomed.contains(&pid) || condemned(pid))
            {
                found = true;
                if !doomed.contains(&pid) {
                    tracing::debug!(
                        pid = pid.as_raw_nonzero(),
                        "killing a process that outlived its session"
                    );
                    doomed.push(pid);
                }
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        found
    }

    fn is_own(pid: Pid) -> bool {
        lock(&OWN).contains_key(&pid.as_raw_nonzero().get().unsigned_abs())
    }

    fn remember(marker: &Arc<str>) {
        let mut ended = lock(&ENDED);
        if ended.len() == REMEMBERED {
            ended.pop_front();
        }
        ended.push_back(Arc::clone(marker));
    }

    /// The children among which adopted ones are: those of the main thread, to which the kernel gives orphans.
    fn children() -> Vec<Pid> {
        let me = rustix::process::getpid();
        let list = format!("/proc/self/task/{}/children", me.as_raw_nonzero());
        match std::fs::read_to_string(list) {
            Ok(list) => list.split_ascii_whitespace().filter_map(pid_from).collect(),
            // A kernel without that file.
            Err(_) => all_processes().filter(|pid| parent(*pid) == Some(me)).collect(),
        }
    }

    /// Every process that can be seen.
    pub(in crate::peer) fn all_processes() -> impl Iterator<Item = Pid> {
        let entries = std::fs::read_dir("/proc").into_iter().flatten();
        entries.filter_map(|entry| pid_from(entry.ok()?.file_name().to_str()?))
    }

    /// Whether the process was started with this marker in its environment.
    pub(in crate::peer) fn carries(pid: Pid, marker: &str) -> bool {
        let environment =
            std::fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
        let value =
            |entry: &[u8]| entry.strip_prefix(MARKER.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec);
        environment.split(|&byte| byte == 0).filter_map(value).any(|value| value == marker.as_bytes())
    }

    fn parent(pid: Pid) -> Option<Pid> {
        stat(pid).map(|[parent, _]| parent)?
    }

    /// The process group of a process; `None` also where it is one that cannot be seen from here.
    pub(in crate::peer) fn group(pid: Pid) -> Option<Pid> {
        stat(pid).map(|[_, group]| group)?
    }

    /// Parent and process group.
    fn stat(pid: Pid) -> Option<[Option<Pid>; 2]> {
        let stat = std::fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        // The program's name comes before, in parentheses, and may hold anything.
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace().skip(1).map(pid_from);
        Some([fields.next()?, fields.next()?])
    }

    fn pid_from(text: &str) -> Option<Pid> {
        text.parse().ok().and_then(Pid::from_raw)
    }

    fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
        // Nothing in this module panics half-way through a change.
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(not(target_os = "linux"))]
mod elsewhere {
    use std::io;
    use std::sync::Arc;

    use tokio_util::sync::CancellationToken;

    /// Orphans are adopted on Linux only; elsewhere this does nothing.
    ///
    /// # Errors
    /// None.
    pub fn become_subreaper() -> io::Result<()> {
        Ok(())
    }

    /// Orphans are adopted on Linux only; elsewhere this does nothing.
    pub async fn reap_until(_stop: CancellationToken) {}

    pub(in crate::peer) struct Spawning;

    pub(in crate::peer) fn spawning() -> Spawning {
        Spawning
    }

    impl Spawning {
        pub(in crate::peer) fn register(self, _pid: u32, _marker: Arc<str>) {}
    }

    pub(in crate::peer) fn forget(_pid: u32, _marker: &Arc<str>) {}

    pub(in crate::peer) async fn end(_marker: &Arc<str>) {}

    pub(in crate::peer) fn reap() {}
}
