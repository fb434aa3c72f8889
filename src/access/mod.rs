//! Who asks, what he may, and how much: a [`Caller`] goes with every request from the edge to the server's process.
//!
//! How a caller is known (by a key, a token, a certificate) is decided elsewhere; here is only what follows from it.

mod allowance;
mod caller;
mod credentials;
mod grant;
mod places;
mod rate;

pub use allowance::{A_MOMENT, Allowance, Terms, too_often};
pub use caller::{Caller, Identity, Lack, Owner};
pub use credentials::{Credentials, Digest, Unusable};
pub use grant::{Grant, Permission, Place, ToolRight, Wider};
pub use places::{Places, Taken};
pub use rate::{Pace, Rate};
