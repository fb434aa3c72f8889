//! The memory of another process, where the system tells it.

/// Bytes that the process holds now.
pub(crate) fn resident(pid: u32) -> Option<u64> {
    field(pid, "VmRSS:")
}

/// Bytes that the process held at most.
pub(crate) fn peak(pid: u32) -> Option<u64> {
    field(pid, "VmHWM:")
}

fn field(pid: u32, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}
