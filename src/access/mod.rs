//! Who asks, and what he may: a [`Caller`] goes with every request from the edge to the server's process.
//!
//! How a caller is known (by a key, a token, a certificate) is decided elsewhere; here is only what follows from it.

mod caller;
mod credentials;
mod grant;

pub use caller::{Caller, Identity, Lack, Owner};
pub use credentials::{Credentials, Digest, Unusable};
pub use grant::{Grant, Permission, Place, Wider};
