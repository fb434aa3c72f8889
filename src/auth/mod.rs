//! Who sends a request.

mod challenge;
pub mod oauth;

pub use challenge::Challenge;
