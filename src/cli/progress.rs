//! The mounts while they come up: a small live table on a terminal, elsewhere one log line each.

use std::collections::HashSet;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::router::MountLine;

/// Between two looks at the mounts.
const PAUSE: Duration = Duration::from_millis(100);

/// The state of a mount that has not answered yet.
const STARTING: &str = "starting";

/// Follows the mounts until none is starting any more, or this is dropped.
///
/// It has a thread of its own: a terminal that is stopped (Ctrl-S) blocks whoever writes to it.
#[derive(Debug)]
pub struct MountProgress {
    stopped: Arc<AtomicBool>,
}

impl MountProgress {
    /// Follows what `lines` says of the mounts, on `screen` if that is a terminal.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn follow(
        screen: MultiProgress,
        lines: impl Fn() -> Vec<MountLine> + Send + 'static,
    ) -> std::io::Result<Self> {
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopped);
        std::thread::Builder::new().name("progress".to_owned()).spawn(move || {
            let mut display: Box<dyn Display> = if std::io::stderr().is_terminal() && !screen.is_hidden() {
                Box::new(Table { screen, rows: Vec::new() })
            } else {
                Box::new(LogLines::default())
            };
            while !stop.load(Ordering::Acquire) {
                let lines = lines();
                display.show(&lines);
                if lines.iter().all(|line| line.state != STARTING) {
                    break;
                }
                std::thread::sleep(PAUSE);
            }
            display.finish();
        })?;
        Ok(Self { stopped })
    }
}

impl Drop for MountProgress {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Release);
    }
}

/// A way to show the mounts again and again, until there is nothing new to expect.
trait Display {
    fn show(&mut self, lines: &[MountLine]);

    fn finish(&mut self) {}
}

/// One row of the terminal for each mount.
struct Table {
    screen: MultiProgress,
    rows: Vec<ProgressBar>,
}

impl Display for Table {
    fn show(&mut self, lines: &[MountLine]) {
        let width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0);
        for (index, line) in lines.iter().enumerate() {
            if index == self.rows.len() {
                self.rows.push(
                    self.screen.add(ProgressBar::new_spinner().with_style(style("{spinner:.cyan} {msg}"))),
                );
            }
            let row = &self.rows[index];
            if row.is_finished() {
                continue;
            }
            let text = row_text(line, width);
            if line.state == STARTING {
                row.set_message(text);
                row.tick();
            } else {
                row.set_style(style(if is_bad(line) { "{msg:.red}" } else { "{msg}" }));
                row.finish_with_message(text);
            }
        }
    }

    /// Leaves the rows behind as plain lines: what is logged from now on comes below them.
    fn finish(&mut self) {
        let text: String = self.rows.iter().flat_map(|row| [row.message(), "\n".to_owned()]).collect();
        for row in self.rows.drain(..) {
            self.screen.remove(&row);
        }
        // A terminal that is gone has nobody to tell.
        let _ = self.screen.clear();
        let _ = self.screen.suspend(|| std::io::stderr().write_all(text.as_bytes()));
    }
}

/// One line of the log for each mount, once it has left `starting`.
#[derive(Default)]
struct LogLines {
    told: HashSet<String>,
}

impl LogLines {
    fn news<'a>(&mut self, lines: &'a [MountLine]) -> Vec<&'a MountLine> {
        lines.iter().filter(|line| line.state != STARTING && self.told.insert(line.name.clone())).collect()
    }
}

impl Display for LogLines {
    fn show(&mut self, lines: &[MountLine]) {
        for line in self.news(lines) {
            let (server, state, url) = (&line.name, line.state, &line.url);
            match &line.detail {
                // Why it is bad the mount itself has told.
                _ if is_bad(line) => tracing::warn!(server, state, url, "not working"),
                Some(detail) => tracing::info!(server, state, url, detail, "mounted"),
                None => tracing::info!(server, state, url, "mounted"),
            }
        }
    }
}

fn is_bad(line: &MountLine) -> bool {
    matches!(line.state, "failing" | "failed")
}

fn row_text(line: &MountLine, width: usize) -> String {
    let mark = match line.state {
        STARTING => "",
        "disabled" => "- ",
        _ if is_bad(line) => "✗ ",
        _ => "✓ ",
    };
    // Details come from servers: nothing of theirs may move the cursor.
    let detail: String = line.detail.iter().flat_map(|detail| detail.chars()).flat_map(escaped).collect();
    let rest = if is_bad(line) || detail.is_empty() { detail } else { format!("{detail}  ") };
    let url = if is_bad(line) { "" } else { &line.url };
    format!("{mark}{:width$}  {:8}  {rest}{url}", line.name, line.state).trim_end().to_owned()
}

fn escaped(character: char) -> impl Iterator<Item = char> {
    let plain = (!character.is_control()).then_some(character);
    let escape = character.is_control().then(|| character.escape_default());
    plain.into_iter().chain(escape.into_iter().flatten())
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, state: &'static str, detail: Option<&str>) -> MountLine {
        let url = format!("http://127.0.0.1:1/servers/{name}/mcp");
        MountLine { name: name.to_owned(), state, detail: detail.map(str::to_owned), url }
    }

    #[test]
    fn a_row_says_what_became_of_a_mount() {
        let rows = [
            (line("a", "starting", None), "a     starting  http://127.0.0.1:1/servers/a/mcp"),
            (
                line("a", "ready", Some("time 1.0")),
                "✓ a     ready     time 1.0  http://127.0.0.1:1/servers/a/mcp",
            ),
            (line("a", "failed", Some("no\nsuch\x1b[2J file")), "✗ a     failed    no\\nsuch\\u{1b}[2J file"),
            (line("a", "disabled", None), "- a     disabled  http://127.0.0.1:1/servers/a/mcp"),
        ];
        for (line, row) in rows {
            assert_eq!(row_text(&line, 4), row);
        }
    }

    #[test]
    fn each_mount_is_told_of_once_when_it_has_started() {
        let mut log = LogLines::default();
        let names = |news: Vec<&MountLine>| news.iter().map(|line| line.name.clone()).collect::<Vec<_>>();
        let first = [line("a", "starting", None), line("b", "ready", None)];
        assert_eq!(names(log.news(&first)), ["b"]);
        let second = [line("a", "failed", None), line("b", "failing", None)];
        assert_eq!(names(log.news(&second)), ["a"]);
        assert_eq!(names(log.news(&second)), [] as [&str; 0]);
    }

    #[test]
    fn following_ends_when_nobody_is_starting() {
        let (asked, answers) = std::sync::mpsc::sync_channel(10);
        let states = std::sync::Mutex::new(vec!["ready", "starting", "starting"]);
        let screen = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden());
        let progress = MountProgress::follow(screen, move || {
            let state = states.lock().unwrap().pop().unwrap_or("ready");
            asked.send(state).unwrap();
            vec![line("a", state, None)]
        })
        .unwrap();
        // The channel closes when the thread has ended, without having been told to.
        assert_eq!(answers.iter().collect::<Vec<_>>(), ["starting", "starting", "ready"]);
        drop(progress);
    }
}
