//! A look at servers from the shell: a client of the mounts in this process, and what it makes of their answers.
//!
//! To a mount it is a legacy client in a session of its own, so that nothing need be found out before it begins; what a
//! server of the other era says comes through the bridge, as for anybody.

mod content;
mod conversation;
mod form;
mod tool;

pub use content::{Content, harmless, on_one_line};
pub use conversation::{Company, Conversation, Failure};
pub use form::{Field, Form};
pub use tool::{Parameter, Tool, nearest};
