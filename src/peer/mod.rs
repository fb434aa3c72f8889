//! One running server process.
