//! The file of the pins: what is approved of each tool, and what is held back. People read it, and compare its versions.

use super::definition::Definition;
use super::{Pinned, Servers};
use crate::wire::canonical::pretty;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// Files of another version are not understood.
const VERSION: u32 = 1;

/// A longer file is none of ours.
const LARGEST: u64 = 64 << 20;

/// The file as it is read and written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole<'a> {
    version: u32,
    #[serde(borrow)]
    servers: BTreeMap<Cow<'a, str>, BTreeMap<Cow<'a, str>, Entry<'a>>>,
}

/// A tool.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    approved: Option<Said<'a>>,
    #[serde(borrow, default, rename = "heldBack", skip_serializing_if = "Option::is_none")]
    held_back: Option<Said<'a>>,
}

/// What it says of itself.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said<'a> {
    #[serde(borrow)]
    sha256: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    definition: Option<&'a RawValue>,
}

/// Reads the file; one that is not there is an empty one.
///
/// # Errors
/// Why it cannot be used.
pub(super) fn read(path: &Path) -> Result<Option<Servers>, String> {
    let mut text = String::new();
    let opened = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened,
    };
    let read = opened.and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text));
    read.map_err(|error| error.to_string())?;
    if text.len() as u64 > LARGEST {
        return Err("it is larger than 64 MiB".to_owned());
    }
    parse(&text).map(Some)
}

/// Writes the file whole or not at all.
pub(super) fn write(path: &Path, servers: &Servers) -> io::Result<()> {
    let text = text(servers)?;
    // A link stays one, as in a directory that is under version control elsewhere.
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".pins-").suffix(".unfinished");
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        // It is reviewed by others as the configuration beside it is; who may read it stays as it was.
        let mode = std::fs::metadata(path).map_or(0o644, |metadata| metadata.mode() & 0o777);
        builder.permissions(std::fs::Permissions::from_mode(mode));
    }
    let mut file = builder.tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    NamedTempFile::persist(file, &target).map(drop).map_err(|error| error.error)
}

fn parse(text: &str) -> Result<Servers, String> {
    let whole: Whole<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if whole.version != VERSION {
        return Err(format!("it is of version {}, and this program knows version {VERSION}", whole.version));
    }
    let mut servers = Servers::new();
    for (server, tools) in whole.servers {
        let pinned = servers.entry(server.as_ref().into()).or_default();
        for (tool, entry) in tools {
            let said = |said: Option<Said<'_>>| said.map(|said| said.check(&server, &tool)).transpose();
            let (approved, held) = (said(entry.approved)?, said(entry.held_back)?);
            pinned.insert(tool.as_ref().into(), Pinned { approved, held, seen: None });
        }
    }
    Ok(servers)
}

impl Said<'_> {
    fn check(self, server: &str, tool: &str) -> Result<Definition, String> {
        let wrong = |what: &str| format!("servers.{server}.{tool}: {what}");
        let stated = Definition::of_digest(&self.sha256).ok_or_else(|| wrong("`sha256` is no SHA-256"))?;
        let Some(definition) = self.definition else { return Ok(stated) };
        let found = Definition::of_text(definition.get());
        if !found.is(&stated) {
            return Err(wrong("`sha256` is not that of `definition`: one of them was edited"));
        }
        Ok(found)
    }
}

fn text(servers: &Servers) -> io::Result<String> {
    fn said(definition: Option<&Definition>) -> io::Result<Option<(String, Option<&RawValue>)>> {
        let Some(definition) = definition else { return Ok(None) };
        let raw = definition.text().map(serde_json::from_str).transpose()?;
        Ok(Some((definition.digest(), raw)))
    }
    let mut whole = Whole { version: VERSION, servers: BTreeMap::new() };
    for (server, tools) in servers {
        let written = whole.servers.entry(Cow::Borrowed(&**server)).or_default();
        for (tool, pinned) in tools {
            let entry = |said: Option<(String, _)>| {
                said.map(|(digest, definition)| Said { sha256: digest.into(), definition })
            };
            let approved = entry(said(pinned.approved.as_ref())?);
            let held_back = entry(said(pinned.held.as_ref())?);
            written.insert(Cow::Borrowed(&**tool), Entry { approved, held_back });
        }
    }
    Ok(pretty(&serde_json::to_string(&whole)?) + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Servers {
        let definition = |text: &str| Definition::of(text);
        let pinned = Pinned {
            approved: definition(
                r#"{"name":"a\n","description":"x","inputSchema":{"maximum":1.0,"a":1e400}}"#,
            ),
            held: definition(r#"{"name":"a"}"#),
            seen: None,
        };
        let new = Pinned { approved: None, held: definition(r#"{"name":"b"}"#), seen: None };
        let tools = [("a\n".into(), pinned), ("b".into(), new)].into();
        [("time".into(), tools)].into()
    }

    #[test]
    fn what_is_written_is_read_and_is_for_people() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("servers.pins.json");
        assert_eq!(read(&path), Ok(None));
        write(&path, &some()).unwrap();
        assert_eq!(read(&path), Ok(Some(some())));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("\n        \"approved\": {\n          \"definition\": {\n"), "{text}");
        assert!(text.contains("\"maximum\": 1.0\n"), "digits are kept: {text}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn a_broken_file_is_not_an_empty_one() {
        let good = text(&some()).unwrap();
        for (broken, why) in [
            (String::new(), "EOF"),
            (good.replace("\"version\": 1", "\"version\": 2"), "it is of version 2"),
            (good.replace("\"x\"", "\"y\""), "servers.time.a\n: `sha256` is not that of `definition`"),
            (good.replace("heldBack", "heldback"), "unknown field"),
            (good[..good.len() / 2].to_owned(), "EOF"),
        ] {
            let found = parse(&broken).unwrap_err();
            assert!(found.contains(why), "{found}");
        }
    }
}
