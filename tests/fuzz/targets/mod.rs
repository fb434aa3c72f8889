//! The targets: each is given any bytes, and panics where what it promises does not hold.
//!
//! They are one module with two users: `tests/fuzz.rs` runs them in every test run, and the crate in `fuzz/`, whose
//! library this folder is, gives them to cargo-fuzz.

#![allow(unreachable_pub, reason = "it is the whole of a library, too")]

pub mod authority;
pub mod bridges;
pub mod choice;
pub mod config;
pub mod connections;
pub mod depth;
pub mod envelopes;
pub mod headers;
pub mod lines;
mod oracle;
mod served;
pub mod sessions;
pub mod sse;

/// A name, and what is run.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: that of its folder in the corpus, of its dictionary and of its binary in `fuzz/`.
    pub name: &'static str,
    /// Panics where a property does not hold for these bytes.
    pub run: fn(&[u8]),
    /// How many of it run at once: more than one where it waits more than it works.
    pub lanes: u64,
}

/// Every target.
pub const ALL: &[Target] = &[
    Target { name: "authority", run: authority::run, lanes: 1 },
    Target { name: "bridges", run: bridges::run, lanes: 1 },
    Target { name: "config", run: config::run, lanes: 1 },
    Target { name: "connections", run: connections::run, lanes: 8 },
    Target { name: "depth", run: depth::run, lanes: 1 },
    Target { name: "envelopes", run: envelopes::run, lanes: 1 },
    Target { name: "headers", run: headers::run, lanes: 1 },
    Target { name: "lines", run: lines::run, lanes: 1 },
    Target { name: "sessions", run: sessions::run, lanes: 1 },
    Target { name: "sse", run: sse::run, lanes: 1 },
];

/// Between the parts of an input that has several.
pub const SEPARATOR: u8 = 0x1e;

/// The parts of an input.
pub fn parts(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    data.split(|byte| *byte == SEPARATOR)
}
