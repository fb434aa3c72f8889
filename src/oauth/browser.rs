//! How the user is shown the page to log in at.

use std::fmt;
use std::process::Stdio;
use std::sync::Arc;

use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

/// What opens a page.
#[derive(Clone, Default)]
pub enum Browser {
    /// Nothing: the user copies the address from the log, or uses another device.
    #[default]
    None,
    /// The desktop's own way.
    System,
    /// Something else.
    With(Arc<dyn Fn(&Url) + Send + Sync>),
}

impl Browser {
    /// The desktop's way, if there is a desktop.
    pub fn detect() -> Self {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        // Elsewhere there is always something that opens pages.
        let has_desktop = cfg!(any(windows, target_os = "macos")) || DESKTOPS.into_iter().any(is_set);
        if has_desktop { Self::System } else { Self::None }
    }

    /// Whether anything would open.
    pub(super) fn is_there(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Opens a page. That this may fail in silence is why the address is in the log too.
    pub(super) fn open(&self, url: &Url, tracker: &TaskTracker, stop: &CancellationToken) {
        match self {
            Self::None => {}
            Self::With(open) => open(url),
            Self::System => {
                let (program, arguments) = OPENER;
                let mut command = Command::new(program);
                command.args(arguments).arg(url.as_str());
                // Standard output may be the protocol's.
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
                let stop = stop.clone();
                tracker.spawn(async move {
                    // Some openers are the browser, and last as long: they are left to themselves when this ends.
                    let ended = tokio::select! {
                        () = stop.cancelled() => return,
                        ended = run(command) => ended,
                    };
                    if let Ended::Failed = ended {
                        tracing::warn!(program, "no browser could be opened; use the address above");
                    }
                });
            }
        }
    }
}

impl fmt::Debug for Browser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "None",
            Self::System => "System",
            Self::With(_) => "With(..)",
        })
    }
}

/// How an opener has ended.
enum Ended {
    Done,
    Failed,
}

async fn run(mut command: Command) -> Ended {
    let Ok(mut child) = command.spawn() else { return Ended::Failed };
    match child.wait().await {
        Ok(status) if !status.success() => Ended::Failed,
        // A subreaper waits for each child that it does not know, and may have been quicker.
        Ok(_) | Err(_) => Ended::Done,
    }
}

/// Either is set where windows can be opened.
const DESKTOPS: [&str; 2] = ["DISPLAY", "WAYLAND_DISPLAY"];

/// The program that opens a URL, and its arguments before it. None of them is a shell.
const OPENER: (&str, &[&str]) = if cfg!(target_os = "macos") {
    ("open", &[])
} else if cfg!(windows) {
    ("rundll32", &["url.dll,FileProtocolHandler"])
} else {
    ("xdg-open", &[])
};
