//! What is wrong, and what to do about it.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// It keeps a server, or all of them, from working.
    Error,
    /// It works, but not as well or as surely as it could.
    Warning,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// Its kind, in a word that does not change: for machines.
    pub(super) cause: &'static str,
    /// What is wrong, for a person; without secrets, and on one line.
    pub(super) what: String,
    /// What to do; empty where `what` says it.
    pub(super) advice: String,
}

impl Severity {
    /// The word.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

impl Finding {
    /// Something that keeps a server from working.
    pub(super) fn error(cause: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { severity: Severity::Error, cause, what: what.into(), advice: advice.into() }
    }

    /// Something that may.
    pub(super) fn warning(cause: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(cause, what, advice) }
    }

    /// Whether it keeps something from working.
    pub(super) fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
