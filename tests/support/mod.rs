//! What the stories share: the router under test, and a client of it.

#![allow(dead_code, unreachable_pub, reason = "each file of stories uses the part that it needs")]

pub mod client;
pub mod events;
pub mod router;
