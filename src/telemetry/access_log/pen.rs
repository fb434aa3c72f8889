//! What writes the access log.

use super::Place;
use super::sheet::Sheet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// Writes lines where they go.
pub(super) struct Pen {
    place: Place,
    file: Option<File>,
    /// Lines that could not be written since one could; the file may end within one of them.
    lost: usize,
}

impl Pen {
    /// One for this place.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(super) fn at(place: Place) -> io::Result<Self> {
        let file = match &place {
            Place::Log => None,
            Place::File { path, .. } => Some(append(path)?),
        };
        Ok(Self { place, file, lost: 0 })
    }

    /// Writes all that stands there.
    pub(super) fn write(&mut self, sheet: &Sheet) {
        sheet.log();
        let (Place::File { path, .. }, Some(file)) = (&self.place, &mut self.file) else { return };
        let Some(text) = sheet.lines() else { return };
        let before = self.lost;
        // Whatever stands there half ends.
        let ended = if before > 0 { file.write_all(b"\n") } else { Ok(()) };
        match ended.and_then(|()| file.write_all(text.as_bytes())) {
            Ok(()) if before == 0 => {}
            Ok(()) => {
                self.lost = 0;
                tracing::info!(file = %path.display(), lost = before, "the access log can be written again");
            }
            Err(error) => {
                self.lost += sheet.count();
                // A full disk is said once, not for each line.
                if before == 0 {
                    tracing::warn!(file = %path.display(), %error, "the access log cannot be written: its lines are lost until it can");
                }
            }
        }
    }

    /// Opens the file again: the one that was written to may have another name by now.
    pub(super) fn reopen(&mut self) {
        let Place::File { path, .. } = &self.place else { return };
        match append(path) {
            Ok(file) => {
                self.file = Some(file);
                tracing::info!(file = %path.display(), "the access log was opened again");
            }
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "the access log cannot be opened again: it goes on in the file before");
            }
        }
    }
}

/// A file to the end of which is written, and which nobody else may read unless he could before.
fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::super::tests::ended;
    use super::*;
    use std::sync::Arc;

    #[cfg(target_os = "linux")]
    #[test]
    fn after_a_full_disk_lines_begin_where_lines_begin() {
        let server: Arc<str> = "files".into();
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("access.log");
        std::fs::write(&path, "half a li").unwrap();
        let place = Place::File { path: "/dev/full".into(), json: false };
        let sheet = |count| {
            let mut sheet = Sheet::of(&place, false);
            (0..count).for_each(|_| sheet.add(&ended(&server)));
            sheet
        };
        let mut pen = Pen::at(place.clone()).unwrap();
        pen.write(&sheet(2));
        pen.write(&sheet(3));
        assert_eq!(pen.lost, 5);
        pen.file = Some(append(&path).unwrap());
        pen.write(&sheet(0));
        assert_eq!(pen.lost, 5, "nothing is written yet");
        pen.write(&sheet(1));
        assert_eq!(pen.lost, 0);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), lines[0]), (2, "half a li"), "{text}");
        assert!(lines[1].contains("server=files"), "{text}");
    }
}
