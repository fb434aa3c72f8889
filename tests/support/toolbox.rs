//! Python and Node programs that tests need, installed once under the target directory.
//!
//! What is installed is pinned in `tests/interop/requirements-*.txt`, and in the `package.json` of `tests/interop`,
//! `tests/conformance` and `tests/page`.
//! Test processes that run side by side wait for each other on a lock file; a stamp remembers what was
//! installed, so that only a changed pin or another interpreter installs again.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Why a tool cannot be had on this machine, and what would help.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Missing(String);

/// The virtual environment with the packages of `tests/interop/requirements-<name>.txt`; programs are
/// in its `bin`.
pub(crate) fn python_environment(name: &str) -> Result<PathBuf, Missing> {
    let requirements = recipes().join(format!("requirements-{name}.txt"));
    let version = output("python3", ["--version"], "install Python 3.10 or newer")?;
    install(&format!("python-{name}"), &version, &requirements, |folder| {
        output("python3", [OsStr::new("-m"), OsStr::new("venv"), folder.as_os_str()], PYTHON_VENV)?;
        let python = folder.join("bin/python");
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "2", "-r"];
        let arguments = pip.map(OsStr::new).into_iter().chain([requirements.as_os_str()]);
        output(&python, arguments, "the Python package index must be reachable")?;
        if folder.join("bin/mcp-server-fetch").exists() {
            // What it reads pages with fetches Node packages at its first use: here, not under a test. Of packages released
            // together npm may remember an older state of one, and then finds that no version fits.
            let warm_up = "import os; os.environ['npm_config_prefer_online'] = 'true'; \
                           from readabilipy.simple_json import have_node; have_node()";
            output(&python, ["-c", warm_up], "see the output above")?;
        }
        Ok(())
    })
}

/// The folder with the `node_modules` of `tests/interop/package.json`; the scripts beside that file are
/// in its `scripts`, where they find these modules.
pub(crate) fn node_environment() -> Result<PathBuf, Missing> {
    node_packages("node", &recipes())
}

#[allow(dead_code, reason = "only what starts a server of ours needs it")]
/// The interpreter itself: what is found as `python3` may be a script that looks for it on every start.
pub(crate) fn python() -> Result<String, Missing> {
    output("python3", ["-c", "import sys; print(sys.executable)"], "install Python 3.10 or newer")
}

/// The folder with the `node_modules` of the `package.json` in `recipe`, called `name` among those of other recipes.
pub(crate) fn node_packages(name: &str, recipe: &Path) -> Result<PathBuf, Missing> {
    let package = recipe.join("package.json");
    let version = output("node", ["--version"], "install Node 20 or newer")?;
    let major: u32 =
        version.trim_start_matches('v').split('.').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    if major < 20 {
        return Err(Missing(format!("node is {version}: install Node 20 or newer")));
    }
    install(name, &version, &package, |folder| {
        fs::create_dir_all(folder).map_err(|error| unusable(&error))?;
        fs::copy(&package, folder.join("package.json")).map_err(|error| unusable(&error))?;
        std::os::unix::fs::symlink(recipe, folder.join("scripts")).map_err(|error| unusable(&error))?;
        let npm = [
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--prefer-online",
            "--fetch-retries=2",
            "--prefix",
        ];
        let arguments = npm.map(OsStr::new).into_iter().chain([folder.as_os_str()]);
        output("npm", arguments, "the npm registry must be reachable").map(drop)
    })
}

#[allow(dead_code, reason = "only what needs a program of Debian's looks for it")]
/// A program that is found in PATH.
pub(crate) fn program(name: &str, advice: &str) -> Result<PathBuf, Missing> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    found.ok_or_else(|| Missing(format!("there is no {name} in PATH: {advice}")))
}

#[allow(dead_code, reason = "only the page needs it")]
/// The system's Chromium, or what goes by another name and is one.
pub(crate) fn chromium() -> Result<PathBuf, Missing> {
    let advice = "(Debian: apt-get install chromium)";
    let other = |name| program(name, advice).ok();
    program("chromium", advice)
        .or_else(|missing| ["chromium-browser", "google-chrome"].into_iter().find_map(other).ok_or(missing))
}

/// What there is of `tool`; nothing, after saying so, where it cannot be had, which ends a test early.
///
/// # Panics
///
/// With `CI=true` in the environment, where nothing may be skipped.
pub(crate) fn or_skip<T>(tool: Result<T, Missing>) -> Option<T> {
    match tool {
        Ok(tool) => Some(tool),
        Err(missing) if std::env::var_os("CI").is_some_and(|ci| ci == "true") => {
            panic!("CI=true and a tool is missing: {missing}")
        }
        Err(missing) => {
            // Past the capture of `println!`: who runs the tests should see it.
            let _ = writeln!(io::stderr(), "skipped: {missing}");
            None
        }
    }
}

/// Makes the folder `name` hold what `pins` asks for, by `build` unless its stamp says that it does.
fn install(
    name: &str,
    interpreter: &str,
    pins: &Path,
    build: impl FnOnce(&Path) -> Result<(), Missing>,
) -> Result<PathBuf, Missing> {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop");
    let folder = root.join(name);
    let stamp = root.join(format!("{name}.stamp"));
    fs::create_dir_all(&root).map_err(|error| unusable(&error))?;
    // Held until the end of this function; the system lets go of it even if this process is killed.
    let lock = File::create(root.join(format!("{name}.lock"))).map_err(|error| unusable(&error))?;
    lock.lock().map_err(|error| unusable(&error))?;

    let wanted = format!("{interpreter}\n{}", fs::read_to_string(pins).map_err(|error| unusable(&error))?);
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(folder);
    }
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(&error)),
        _ => build(&folder)?,
    }
    fs::write(&stamp, wanted).map_err(|error| unusable(&error))?;
    Ok(folder)
}

/// What `program` printed, trimmed; an ending that is no success is a missing tool, with `advice`.
fn output<A: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = A>,
    advice: &str,
) -> Result<String, Missing> {
    let program = program.as_ref();
    let ended = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| Missing(format!("{} does not start ({error}): {advice}", program.display())))?;
    if !ended.status.success() {
        let said =
            [ended.stdout, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        return Err(Missing(format!("{} failed: {advice}\n{said}", program.display())));
    }
    Ok(String::from_utf8_lossy(&ended.stdout).trim().to_owned())
}

fn unusable(error: &io::Error) -> Missing {
    Missing(format!("the target directory is not usable: {error}"))
}

fn recipes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop")
}

const PYTHON_VENV: &str = "`python3 -m venv` must work (Debian, Ubuntu: apt-get install python3-venv)";
