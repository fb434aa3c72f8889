//! What servers have listed, kept on disk: shown in place of a server that does not run yet.
//!
//! A cache and nothing more. What is missing, broken or of another version is as good as not there, and where nothing can be
//! written everything works without. A file is named by a digest of what makes the server this one, so that no secret
//! stands in its name, and one that is configured anew is another server.

use crate::config::{ServerSpec, Target};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::NamedTempFile;

/// Files of another version are not understood.
const VERSION: u32 = 1;

/// Files that are kept, and their bytes together; the oldest go first.
const MOST_FILES: usize = 1024;
const MOST_BYTES: u64 = 64 << 20;

/// Larger lists are not kept.
const LARGEST: u64 = 8 << 20;

/// What a file ends with, and what one begins with that is not whole yet.
const SUFFIX: &str = "json";
const UNFINISHED: &str = "unfinished-";

/// Nobody writes a file for so long: who began one has died.
const ABANDONED: Duration = Duration::from_hours(1);

/// The lists of all servers, one file each, in a directory of their own.
#[derive(Clone, Debug)]
pub struct ListCache(Option<PathBuf>);

/// Whose lists they are: those of one server, as it shows them to clients that can do the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListKey(Box<str>);

/// What a server has said of itself, and what it has listed: each item is the JSON that it was, all pages in one list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lists {
    /// When it was listed.
    pub at: SystemTime,
    /// The result of `server/discover`.
    #[serde(with = "raw::one")]
    pub discovered: Option<Box<str>>,
    /// The items of `tools/list`; nothing where the server has no such list.
    #[serde(with = "raw::many")]
    pub tools: Option<Vec<Box<str>>>,
    /// The items of `prompts/list`.
    #[serde(with = "raw::many")]
    pub prompts: Option<Vec<Box<str>>>,
    /// The items of `resources/list`.
    #[serde(with = "raw::many")]
    pub resources: Option<Vec<Box<str>>>,
    /// The items of `resources/templates/list`.
    #[serde(with = "raw::many")]
    pub templates: Option<Vec<Box<str>>>,
}

/// A file as it is written.
#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    lists: &'a Lists,
}

/// A file as it is read: what version it has must be known before the rest is understood.
#[derive(Deserialize)]
struct Found<'a> {
    version: u32,
    #[serde(borrow)]
    lists: &'a serde_json::value::RawValue,
}

impl ListCache {
    /// The cache in `directory`, which need not be there yet; without one nothing is kept.
    pub fn new(directory: Option<&Path>) -> Self {
        Self(directory.map(|directory| directory.join("lists")))
    }

    /// What was kept, if anything was.
    pub async fn load(&self, key: &ListKey) -> Option<Lists> {
        let directory = self.0.clone()?;
        let path = key.path(&directory);
        off_the_workers(move || read(&directory, &path)).await.unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::debug!("kept lists are passed over: {error}");
            }
            None
        })
    }

    /// Keeps `lists` in place of what was kept. Whoever reads meanwhile, in another process too, finds the one or the other.
    pub async fn store(&self, key: &ListKey, lists: &Lists) {
        let Some(directory) = self.0.clone() else { return };
        let path = key.path(&directory);
        let written = match serde_json::to_vec(&Written { version: VERSION, lists }) {
            Ok(text) => off_the_workers(move || write(&directory, &path, &text)).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = written {
            tracing::debug!("lists are not kept: {error}");
        }
    }
}

impl ListKey {
    /// The lists of a server for clients with these capabilities.
    pub fn of(spec: &ServerSpec, capabilities: &Map<String, Value>) -> Self {
        let mut digest = Digester(Sha256::new());
        if !spec.tools.is_open() {
            // What is kept is what is shown.
            spec.tools.hash(&mut digest);
        }
        Self::new(&spec.target, capabilities, digest)
    }

    fn new(target: &Target, capabilities: &Map<String, Value>, mut digest: Digester) -> Self {
        // All that the configuration says of it counts, values of `env` and `headers` too: other users see other lists.
        let mut target = target.clone();
        if let Target::Remote(remote) = &mut target
            && let Some(login) = &mut remote.login
        {
            // Whether there is somebody who may be asked says nothing about the server.
            login.interactive = false;
        }
        target.hash(&mut digest);
        if let Target::Stdio(command) = &target
            && command.cwd.is_none()
        {
            // `node server.js` is another server in another directory.
            std::env::current_dir().ok().hash(&mut digest);
        }
        // Their keys are sorted: the same capabilities are the same text.
        Value::Object(capabilities.clone()).to_string().hash(&mut digest);
        let digest = digest.0.finalize();
        Self(digest.iter().fold(String::new(), |name, byte| format!("{name}{byte:02x}")).into())
    }

    fn path(&self, directory: &Path) -> PathBuf {
        directory.join(&*self.0).with_extension(SUFFIX)
    }
}

/// Feeds all that a value is compared by into a digest.
struct Digester(Sha256);

impl Hasher for Digester {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Nobody asks for it.
    fn finish(&self) -> u64 {
        0
    }
}

/// Does what the disk may take its time for, where nobody else waits for it.
async fn off_the_workers<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn read(directory: &Path, path: &Path) -> io::Result<Option<Lists>> {
    trust(directory)?;
    let mut text = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut text)?;
    let broken = |_| io::Error::new(io::ErrorKind::InvalidData, "a file is broken");
    let found: Found<'_> = serde_json::from_slice(&text).map_err(broken)?;
    if found.version != VERSION {
        tracing::debug!(version = found.version, "kept lists are of another version, and are passed over");
        return Ok(None);
    }
    serde_json::from_str(found.lists.get()).map(Some).map_err(broken)
}

fn write(directory: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    if text.len() as u64 >= LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "they are too large"));
    }
    private_directory().create(directory)?;
    trust(directory)?;
    // Only the user can read it. What is not whole goes with the handle.
    let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(directory)?;
    file.write_all(text)?;
    NamedTempFile::persist(file, path).map_err(|error| error.error)?;
    clear(directory, MOST_FILES, MOST_BYTES);
    Ok(())
}

/// Removes the oldest files until there are no more than so many, and so many bytes; also what nobody will finish.
fn clear(directory: &Path, most_files: usize, most_bytes: u64) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let mut kept = Vec::new();
    for entry in entries.flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        // Another process may have removed it already.
        let Ok(metadata) = entry.metadata() else { continue };
        let Ok(at) = metadata.modified() else { continue };
        if name.to_string_lossy().starts_with(UNFINISHED) {
            if at.elapsed().is_ok_and(|age| age > ABANDONED) {
                let _ = fs::remove_file(path);
            }
        } else if path.extension().is_some_and(|suffix| suffix == SUFFIX) {
            kept.push((at, metadata.len(), path));
        }
    }
    kept.sort();
    let mut bytes: u64 = kept.iter().map(|(_, length, _)| length).sum();
    let mut files = kept.len();
    for (_, length, path) in kept {
        if files <= most_files && bytes <= most_bytes {
            break;
        }
        // Whoever cannot remove it can write no more either.
        let _ = fs::remove_file(path);
        files -= 1;
        bytes -= length;
    }
}

/// Refuses a directory in which others may write: a list of tools tells a model what to do.
#[cfg(unix)]
fn trust(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(directory)?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if ours && metadata.mode() & 0o022 == 0 {
        return Ok(());
    }
    let reason = format!("{}: others than its owner may write there", directory.display());
    Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
}

/// Elsewhere what is in a user's directory is the user's.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "it is the other half of the one above")]
fn trust(_: &Path) -> io::Result<()> {
    Ok(())
}

fn private_directory() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// JSON that goes into the file and comes out of it as it is, instead of as a string.
#[expect(clippy::ref_option, reason = "serde calls it so")]
mod raw {
    use serde::de::Deserializer;
    use serde::ser::{Error, Serializer};
    use serde::{Deserialize, Serialize};
    use serde_json::value::RawValue;

    fn value<E: Error>(text: &str) -> Result<&RawValue, E> {
        serde_json::from_str(text).map_err(|_| E::custom("an item is not JSON"))
    }

    pub(super) mod one {
        use super::{Deserialize, Deserializer, RawValue, Serialize, Serializer, value};

        pub(in super::super) fn serialize<S: Serializer>(
            text: &Option<Box<str>>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            text.as_deref().map(value).transpose()?.serialize(serializer)
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Box<str>>, D::Error> {
            Ok(Option::<Box<RawValue>>::deserialize(deserializer)?.map(Into::into))
        }
    }

    pub(super) mod many {
        use super::{Deserialize, Deserializer, RawValue, Serialize, Serializer, value};

        pub(in super::super) fn serialize<S: Serializer>(
            items: &Option<Vec<Box<str>>>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            let values = items
                .as_ref()
                .map(|items| items.iter().map(|item| value(item)).collect::<Result<Vec<_>, S::Error>>());
            values.transpose()?.serialize(serializer)
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Vec<Box<str>>>, D::Error> {
            let items = Option::<Vec<Box<RawValue>>>::deserialize(deserializer)?;
            Ok(items.map(|items| items.into_iter().map(Into::into).collect()))
        }
    }
}

#[cfg(test)]
mod tests;
