//! The pure part of the wire: messages, lines, events, revisions, error codes. No clock, no I/O.

pub mod error;
pub mod line;
pub mod message;
pub mod meta;
pub mod revision;
pub mod scan;
pub mod sse;

pub use error::{Code, RpcError};
pub use message::{Kind, Malformed, Message, Payload};
pub use revision::{Era, Revision};
