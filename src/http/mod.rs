//! HTTP.

pub mod accept;
pub mod authority;
pub mod body;
pub mod connection;
pub mod cors;
mod deadline;
mod exchange;
mod farewell;
pub mod gate;
pub mod guard;
pub mod origin;
mod pulse;
pub mod refusal;
pub mod serve;
mod stage;
