//! Looking at processes, as the kernel tells them.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// Whether the process exists and has not ended.
pub(crate) fn is_running(pid: u32) -> bool {
    Stat::of(pid).is_some_and(|stat| stat.state != 'Z')
}

/// Whether the process has ended and nobody has waited for it.
pub(crate) fn is_zombie(pid: u32) -> bool {
    Stat::of(pid).is_some_and(|stat| stat.state == 'Z')
}

/// Every process that descends from `pid`, zombies included; in a subreaper nothing escapes from it.
pub(crate) fn descendants(pid: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = pids().filter_map(|pid| Some((pid, Stat::of(pid)?.parent))).collect();
    let mut found = vec![pid];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(all.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found.split_off(1)
}

/// How many file descriptors the process has open.
pub(crate) fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// The memory that the process holds, in KiB.
pub(crate) fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or_default()
}

/// Sends a signal, if the process is still there.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended already.
        let _ = kill_process(pid, signal);
    }
}

/// `kill -9`.
pub(crate) fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

struct Stat {
    state: char,
    parent: u32,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before it is in parentheses, and may hold some itself.
        let mut rest = stat.rsplit_once(") ")?.1.split(' ');
        Some(Self { state: rest.next()?.chars().next()?, parent: rest.next()?.parse().ok()? })
    }
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
