//! What a process takes from itself, for good, and from all that it starts.

use std::error::Error;
use std::fmt::Display;
use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetStatus,
};
use rustix::process::{Resource, Rlimit, getegid, geteuid, getrlimit, setrlimit};
use rustix::thread::{UnshareFlags, set_no_new_privs};

use crate::config::{Places, Sandbox};

/// What a program needs to run at all, as far as it is there: other programs, libraries and the system's settings.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/etc",
    // Often a link out of there.
    "/etc/resolv.conf",
];

/// Devices that keep nothing.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// The first with truncation, without which a file could be emptied that may not be written.
const FILES_SINCE: ABI = ABI::V3;

/// A core dump of this size is never made. One of 0 would still be handed to a program that collects them.
const NO_CORE: u64 = 1;

/// Applies the sandbox to this thread, the only one. The reason of a failure is for `/status`.
pub(super) fn confine(sandbox: &Sandbox, program: &Path) -> Result<(), String> {
    if sandbox.no_new_privileges {
        set_no_new_privs(true).map_err(|error| cannot("forbid new privileges", "noNewPrivileges", &error))?;
    }
    if !sandbox.network {
        leave_network()?;
    }
    if let Some(places) = &sandbox.filesystem {
        leave_files(places, program)?;
    }
    // Last, for what is done here needs memory and files, too.
    let limits = [
        ("", Resource::Core, Some(NO_CORE)),
        // What is private and can be written to: programs reserve far more addresses than they use.
        ("memory", Resource::Data, sandbox.memory),
        ("files", Resource::Nofile, sandbox.files),
        ("processes", Resource::Nproc, sandbox.processes),
        ("fileSize", Resource::Fsize, sandbox.file_size),
    ];
    for (key, resource, limit) in limits {
        if let Some(limit) = limit {
            set(key, resource, limit, limit)?;
        }
    }
    if let Some(seconds) = sandbox.cpu_seconds {
        // It is told by a signal of that name, which ends it unless it is caught; a second later nothing is asked.
        set("cpuSeconds", Resource::Cpu, seconds, seconds.saturating_add(1))?;
    }
    Ok(())
}

/// Lowers a limit; one that is lower already stays.
fn set(key: &str, resource: Resource, current: u64, maximum: u64) -> Result<(), String> {
    let highest = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = Rlimit { current: Some(current.min(highest)), maximum: Some(maximum.min(highest)) };
    setrlimit(resource, limit).map_err(|error| {
        let what =
            if key.is_empty() { "the size of core dumps".to_owned() } else { format!("`sandbox.{key}`") };
        format!("{what} cannot be limited: {error}")
    })
}

/// Leaves the network for one of its own, in which there is nobody. That takes a user namespace, which has one user: the same.
fn leave_network() -> Result<(), String> {
    let refused = |error: &dyn Display| {
        format!(
            "the kernel does not grant a network of its own ({error}): remove `sandbox.network`, or allow user namespaces"
        )
    };
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    #[expect(deprecated, reason = "unsafe is what it may do to file descriptors, which is not asked for")]
    rustix::thread::unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET).map_err(|error| refused(&error))?;
    let maps = [
        // Without this the kernel lets no group be mapped.
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("{user} {user} 1")),
        ("gid_map", format!("{group} {group} 1")),
    ];
    for (file, line) in maps {
        std::fs::write(Path::new("/proc/self").join(file), line).map_err(|error| refused(&error))?;
    }
    Ok(())
}

/// Leaves all files but those places.
fn leave_files(places: &Places, program: &Path) -> Result<(), String> {
    let key = "filesystem";
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(FILES_SINCE))
        .map_err(|error| unable("restrict which files a process touches", key, "6.2", &error))?
        .create()
        .map_err(|error| cannot("begin a Landlock sandbox", key, &error))?;
    let status = open(rules, places, program)?
        .restrict_self()
        .map_err(|error| cannot("enter a Landlock sandbox", key, &error))?;
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok(()),
        _ => Err(cannot("enforce all of a Landlock sandbox", key, &"it did a part of it")),
    }
}

/// Opens what is needed and what is wanted.
fn open(mut rules: RulesetCreated, places: &Places, program: &Path) -> Result<RulesetCreated, String> {
    let read = AccessFs::from_read(FILES_SINCE);
    let write = AccessFs::from_all(FILES_SINCE);
    // What is not there needs no rule.
    let there = |path: &&str| Path::new(path).exists();
    let system = SYSTEM.iter().filter(|path| there(path)).map(|path| (Path::new(path), read, None));
    let devices = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate;
    let devices = DEVICES.iter().filter(|path| there(path)).map(|path| (Path::new(path), devices, None));
    let itself = [(program, read, None)];
    let readable = places.read.iter().map(|path| (path.as_path(), read, Some("read")));
    let writable = places.write.iter().map(|path| (path.as_path(), write, Some("write")));
    for (path, access, key) in system.chain(devices).chain(itself).chain(readable).chain(writable) {
        let refused = |error: &dyn Error| {
            let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            let place = key.map(|key| format!("`sandbox.filesystem.{key}`: ")).unwrap_or_default();
            format!("{place}{} cannot be opened: {reason}", path.display())
        };
        let opened = PathFd::new(path).map_err(|error| refused(&error))?;
        let access = if path.is_dir() { access } else { access & of_files() };
        rules = rules.add_rule(PathBeneath::new(opened, access)).map_err(|error| refused(&error))?;
    }
    Ok(rules)
}

/// What can be done to a file that is no directory.
fn of_files() -> BitFlags<AccessFs> {
    AccessFs::from_file(FILES_SINCE)
}

/// What the kernel is too old for, or was built or started without.
fn unable(what: &str, key: &str, since: &str, error: &dyn Display) -> String {
    format!(
        "the kernel cannot {what} ({error}): remove `sandbox.{key}` or use a newer kernel, Linux {since} or later with Landlock"
    )
}

/// What the kernel should be able to do, and did not.
fn cannot(what: &str, key: &str, error: &dyn Display) -> String {
    format!("the kernel does not {what} ({error}): remove `sandbox.{key}`, or look what forbids it")
}
