//! Where other programs keep what they know of servers.

use std::env;
use std::path::{Path, PathBuf};

/// The directories of this user from which the places are counted.
#[derive(Clone, Debug)]
pub struct Places {
    /// The user's home.
    pub home: PathBuf,
    /// Where programs of the desktop keep their settings.
    pub settings: PathBuf,
    /// The current directory, which stands for the project at hand.
    pub project: PathBuf,
}

impl Places {
    /// The places of the user who runs this program.
    ///
    /// # Errors
    /// What is not known of them.
    pub fn of_this_user() -> Result<Self, String> {
        let home = env::home_dir().filter(|home| home.is_absolute());
        let home = home.ok_or("the home directory is not known: set HOME")?;
        let project = env::current_dir().map_err(|error| format!("the current directory: {error}"))?;
        let named = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let settings = if cfg!(target_os = "macos") {
            home.join("Library").join("Application Support")
        } else if cfg!(windows) {
            named("APPDATA").unwrap_or_else(|| home.join("AppData").join("Roaming"))
        } else {
            named("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"))
        };
        Ok(Self { home, settings, project })
    }

    /// Claude Desktop's file.
    pub fn claude_desktop(&self) -> PathBuf {
        below(&self.settings, &["Claude", "claude_desktop_config.json"])
    }

    /// Claude Code's file of this user, which knows their projects, too.
    pub fn claude_code(&self) -> PathBuf {
        let moved = env::var_os("CLAUDE_CONFIG_DIR").map(PathBuf::from);
        moved.filter(|path| path.is_absolute()).unwrap_or_else(|| self.home.clone()).join(".claude.json")
    }

    /// Claude Code's file of a project, which is shared with others.
    pub fn claude_code_project(&self) -> PathBuf {
        self.project.join(".mcp.json")
    }

    /// Cursor's file of this user.
    pub fn cursor(&self) -> PathBuf {
        below(&self.home, &[".cursor", "mcp.json"])
    }

    /// Cursor's file of a project.
    pub fn cursor_project(&self) -> PathBuf {
        below(&self.project, &[".cursor", "mcp.json"])
    }

    /// The file of VS Code's default profile.
    pub fn vscode(&self) -> PathBuf {
        below(&self.settings, &["Code", "User", "mcp.json"])
    }

    /// VS Code's file of a workspace.
    pub fn vscode_project(&self) -> PathBuf {
        below(&self.project, &[".vscode", "mcp.json"])
    }

    /// The file that `MCProxy` reads where it is started.
    pub fn mcproxy(&self) -> PathBuf {
        self.project.join("mcproxy.json")
    }
}

fn below(start: &Path, parts: &[&str]) -> PathBuf {
    parts.iter().fold(start.to_owned(), |path, part| path.join(part))
}
