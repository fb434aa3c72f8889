//! The file of a history: an `SQLite` database of one table, which others may read while it is written.

use rusqlite::{Connection, OpenFlags};
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// By which a history is told from other databases: "MCSH".
const APPLICATION: i64 = 0x4d43_5348;

/// Another layout is another version.
const VERSION: i64 = 1;

/// Who has locked the file is waited for so long at a time.
const LOCKED: Duration = Duration::from_millis(500);

const LAYOUT: &str = "
    CREATE TABLE calls (
        id INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        server TEXT NOT NULL,
        method TEXT NOT NULL,
        tool TEXT,
        caller TEXT NOT NULL,
        session TEXT,
        eras TEXT,
        outcome TEXT NOT NULL,
        code INTEGER,
        took INTEGER NOT NULL,
        received INTEGER NOT NULL,
        sent INTEGER NOT NULL,
        arguments TEXT
    ) STRICT;
";

/// Why a file cannot be used as a history.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It is not there.
    #[error("there is no history at {}: start the router with --history", .0.display())]
    Missing(PathBuf),
    /// It cannot be opened.
    #[error("the history {} cannot be opened", path.display())]
    Unopened {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is not a history of mcp-switchboard: give another file", .0.display())]
    Foreign(PathBuf),
    /// It was written by a newer version of this program.
    #[error("the history {} has the layout {found}, and this version knows {VERSION}: use a newer mcp-switchboard", path.display())]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its layout.
        found: i64,
    },
    /// `SQLite` does not get along with it.
    #[error("the history cannot be used: {0}")]
    Database(#[from] rusqlite::Error),
}

impl Unusable {
    /// Whether somebody else has locked it, so that trying again may help.
    pub(super) fn is_locked(&self) -> bool {
        matches!(self, Self::Database(error) if is_locked(error))
    }
}

/// Whether somebody else has locked it.
pub(super) fn is_locked(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked))
}

/// Opens the file to write to it; one that is not there is made, for its user alone.
pub(super) fn open(path: &Path) -> Result<Connection, Unusable> {
    let unopened = |source| Unusable::Unopened { path: path.to_owned(), source };
    make(path).map_err(unopened)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LOCKED)?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| foreign(path, error))?;
    if tables == 0 {
        // So that what is deleted gives its room back.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    } else {
        check(path, &connection)?;
    }
    // It is one of ours, or is about to be: what belongs to another program keeps the rights that it has.
    tighten(path).map_err(unopened)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // After a power failure the last moments may be missing; nothing else is.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update_and_check(None, "journal_size_limit", 4 << 20, |_| Ok(()))?;
    if tables == 0 {
        let layout = connection.transaction()?;
        layout.execute_batch(LAYOUT)?;
        layout.pragma_update(None, "application_id", APPLICATION)?;
        layout.pragma_update(None, "user_version", VERSION)?;
        layout.commit()?;
    }
    Ok(connection)
}

/// Opens the file to read it, whether somebody writes to it or not.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, Unusable> {
    if !path.exists() {
        return Err(Unusable::Missing(path.to_owned()));
    }
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(LOCKED * 10)?;
    check(path, &connection)?;
    Ok(connection)
}

fn check(path: &Path, connection: &Connection) -> Result<(), Unusable> {
    let number = |pragma: &str| {
        let number = connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
        number.map_err(|error| foreign(path, error))
    };
    if number("application_id")? != APPLICATION {
        return Err(Unusable::Foreign(path.to_owned()));
    }
    match number("user_version")? {
        found if found > VERSION => Err(Unusable::Newer { path: path.to_owned(), found }),
        _ => Ok(()),
    }
}

/// What `SQLite` cannot read is none of ours.
fn foreign(path: &Path, error: rusqlite::Error) -> Unusable {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => Unusable::Foreign(path.to_owned()),
        _ => Unusable::Database(error),
    }
}

/// Makes the file, if it is not there. What `SQLite` puts beside it has the same permissions.
fn make(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Keeps others on this machine from reading it.
fn tighten(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if std::fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        }
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_no_history_keeps_its_rights_and_a_history_is_its_users_alone() {
        let directory = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let [text, other, ours] = ["text", "other.db", "ours.db"].map(|name| directory.path().join(name));
        std::fs::write(&text, "a letter of many words, and no database at all").unwrap();
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE birds (name TEXT)").unwrap();
        for path in [&text, &other] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
            assert!(matches!(open(path), Err(Unusable::Foreign(_))), "{}", path.display());
            assert_eq!(mode(path), 0o644, "{}", path.display());
        }
        drop(open(&ours).unwrap());
        std::fs::set_permissions(&ours, std::fs::Permissions::from_mode(0o644)).unwrap();
        drop(open(&ours).unwrap());
        assert_eq!(mode(&ours), 0o600);
    }
}
