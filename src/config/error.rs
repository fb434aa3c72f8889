//! Why a configuration file is refused.

use std::io;
use std::path::PathBuf;

use super::json::JsonPath;

/// A configuration file is refused as a whole; the text names the file and the place inside it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no such file, or it cannot be read.
    #[error("{}: cannot be read", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// What it holds cannot be used.
    #[error("{}: {problem}", file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// What is wrong, and where.
        problem: Problem,
    },
}

/// What is wrong inside a file, and where. The text holds no secret: only what was written where a
/// choice of words was wanted is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The text is not JSON.
    #[error("line {line}, column {column}: not JSON: {reason}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What the parser says.
        reason: String,
    },
    /// A value is not what is wanted there.
    #[error("{path}: found {found}, wanted {wanted}")]
    Value {
        /// Where.
        path: JsonPath,
        /// What was found: its kind, not its content.
        found: String,
        /// What is wanted.
        wanted: String,
    },
    /// A key that protects something, and that this version cannot honour: to go on without it would
    /// leave open what its author believes closed.
    #[error("{path}: `{key}` is not supported by this version")]
    Unsupported {
        /// Where.
        path: JsonPath,
        /// The key as it was written.
        key: String,
    },
    /// A key that means nothing, in an object that protects something: it may be misspelt.
    #[error("{path}: unknown key, which is not ignored here; known are {}", known.join(", "))]
    Unknown {
        /// Where.
        path: JsonPath,
        /// The keys that mean something.
        known: Vec<&'static str>,
    },
    /// Two servers would have the same URL.
    #[error("{path}: {first:?} and {second:?} would both be mounted as `{name}`; rename one")]
    SameName {
        /// Where the second one is.
        path: JsonPath,
        /// A server as named in the file.
        first: String,
        /// Another one.
        second: String,
        /// The name that both lead to.
        name: String,
    },
    /// A value of the top level holds a `${}` that cannot be expanded.
    #[error("{path}: {reason}")]
    Expansion {
        /// Where.
        path: JsonPath,
        /// Which one, and why.
        reason: String,
    },
}
