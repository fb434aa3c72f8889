//! Log levels, and which of them a client wants.

use crate::wire::meta::find_string;
use crate::wire::{Code, Message, RpcError};

/// A log level; the more verbose is the lesser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(usize);

impl Level {
    /// The levels of RFC 5424, the most verbose first.
    pub(super) const NAMES: [&str; 8] =
        ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
    pub(super) const INFO: Self = Self(1);
    pub(super) const WARNING: Self = Self(3);

    /// The `level` of a message's params, if it is one.
    pub fn of(message: &Message) -> Option<Self> {
        Self::named(&find_string(message.body(), &["level"])?)
    }

    /// The level that raw JSON names, if it names one.
    pub(super) fn read(raw: &str) -> Option<Self> {
        Self::named(&serde_json::from_str::<String>(raw).ok()?)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES[self.0]
    }

    /// What is told to whom asks for a level that there is not.
    pub fn unknown() -> RpcError {
        let names = Self::NAMES.join(", ");
        RpcError::new(Code::InvalidParams, format!("\"level\" must be one of {names}"))
    }

    fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().position(|level| *level == name).map(Self)
    }
}
