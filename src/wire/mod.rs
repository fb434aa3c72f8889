//! The pure part of the wire: messages, lines, events, revisions.

pub mod error;
pub mod line;
pub mod revision;
