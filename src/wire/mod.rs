//! The pure part of the wire: messages, lines, events, revisions, error codes. No clock, no I/O.

pub mod canonical;
pub mod claim;
pub mod error;
pub mod headers;
pub mod line;
pub mod message;
pub mod meta;
pub mod object;
pub mod revision;
pub mod scan;
pub mod sse;

pub use claim::Claim;
pub use error::{Code, RpcError};
pub use message::{Kind, Malformed, Message, Payload};
pub use object::Object;
pub use revision::{Era, Revision};
