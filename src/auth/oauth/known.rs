//! Tokens that have been found good, so that one which is sent with every request is calculated with once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

use super::verified::Signed;

/// Tokens by their digests; the tokens themselves are not kept. What is in `older` and is not asked for is forgotten once
/// `newer` is full, so that this never grows beyond twice that.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Tokens>);

#[derive(Debug, Default)]
struct Tokens {
    /// With which keys they were found good.
    generation: u64,
    newer: HashMap<Digest, Arc<Signed>>,
    older: HashMap<Digest, Arc<Signed>>,
}

pub(super) type Digest = [u8; SHA256_OUTPUT_LEN];

/// What a token is known by.
pub(super) fn digest_of(token: &str) -> Digest {
    let mut found = Digest::default();
    found.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    found
}

impl Known {
    /// What is known of a token, if the keys of now are still those with which it was found good.
    pub(super) fn find(&self, digest: &Digest, generation: u64) -> Option<Arc<Signed>> {
        let mut tokens = self.tokens();
        tokens.belong_to(generation);
        if let Some(signed) = tokens.newer.get(digest) {
            return Some(signed.clone());
        }
        let signed = tokens.older.remove(digest)?;
        tokens.keep(*digest, signed.clone());
        Some(signed)
    }

    /// Keeps what has come of a token.
    pub(super) fn keep(&self, digest: Digest, signed: Arc<Signed>, generation: u64) {
        let mut tokens = self.tokens();
        // Others may be known by now.
        if generation >= tokens.generation {
            tokens.belong_to(generation);
            tokens.keep(digest, signed);
        }
    }

    /// Forgets a token that has ended.
    pub(super) fn forget(&self, digest: &Digest) {
        let mut tokens = self.tokens();
        tokens.newer.remove(digest);
        tokens.older.remove(digest);
    }

    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tokens {
    fn belong_to(&mut self, generation: u64) {
        if self.generation != generation {
            *self = Self { generation, ..Self::default() };
        }
    }

    fn keep(&mut self, digest: Digest, signed: Arc<Signed>) {
        if self.newer.len() >= HALF {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(digest, signed);
    }
}

/// Half of what is kept: some hundred bytes each.
const HALF: usize = 2048;
