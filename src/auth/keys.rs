//! The owners of keys, by the digests of these.

use super::allowances::Allowances;
use super::rights::{Identity, Rights};
use crate::access::Caller;
use crate::config::{self, PrincipalLimits, TokenSpec};
use crate::protocol::Principal;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;

/// The owners of keys. No key is kept, only its digest.
#[derive(Debug)]
pub(super) struct Keys(HashMap<Digest, Owned>);

#[derive(Clone, Debug)]
struct Owned {
    spec: TokenSpec,
    caller: Caller,
    revoked: CancellationToken,
}

/// The SHA-256 of a key. How long it takes to compare two does not tell how much of them is the same, and where one is
/// looked for depends on a number that nobody outside knows.
#[derive(Clone, Copy)]
struct Digest([u64; 4]);

impl Keys {
    /// The owners of these keys. Who is in `before` with the same key, and may the same, is the same caller.
    pub(super) fn new(
        tokens: &[TokenSpec],
        rights: &Rights,
        allowances: &Allowances,
        before: Option<&Self>,
    ) -> Self {
        // Who has several keys is one principal, and the strictest of what they give him holds.
        let mut limits: HashMap<&str, PrincipalLimits> = HashMap::new();
        for spec in tokens {
            let of_key = rights.limits(&identity(spec));
            limits.entry(&spec.name).and_modify(|all| *all = all.strictest(&of_key)).or_insert(of_key);
        }
        let owned = tokens.iter().map(|spec| {
            let digest = Digest::from(spec.digest);
            let owned = Owned::new(spec, rights);
            let known = before.and_then(|before| before.0.get(&digest)).filter(|known| known.is_same(&owned));
            let mut owned = known.cloned().unwrap_or(owned);
            owned.caller = allowances.give(&owned.caller, &limits[spec.name.as_str()]);
            (digest, owned)
        });
        Self(owned.collect())
    }

    /// The owner of a key.
    pub(super) fn find(&self, key: &str) -> Option<Caller> {
        self.0.get(&Digest::from(config::digest(key))).map(|owned| owned.caller.clone())
    }

    /// Tells those who are not in `next` that their keys hold no more.
    pub(super) fn retire(&self, next: Option<&Self>) {
        for (digest, owned) in &self.0 {
            let same = |next: &Self| next.0.get(digest).is_some_and(|next| next.caller == owned.caller);
            if !next.is_some_and(same) {
                owned.revoked.cancel();
            }
        }
    }
}

impl Owned {
    fn is_same(&self, other: &Self) -> bool {
        self.spec == other.spec && self.caller.grant().is_same(&other.caller.grant())
    }

    fn new(spec: &TokenSpec, rights: &Rights) -> Self {
        let identity = identity(spec);
        let grant = match &spec.allow {
            Some(allow) => rights.narrowed(&identity, allow),
            None => rights.of(&identity),
        };
        let revoked = CancellationToken::new();
        let principal = Principal::named(&format!("key/{}", spec.name));
        let caller = Caller::new(principal, spec.name.as_str(), grant).until(revoked.clone());
        Self { spec: spec.clone(), caller, revoked }
    }
}

/// What the owner of a key is known by.
fn identity(spec: &TokenSpec) -> Identity<'_> {
    let groups = spec.groups.iter().map(String::as_str).collect();
    Identity { token: Some(&spec.name), groups, ..Identity::default() }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        // In words: a comparison that takes the same time whatever differs takes some for each piece.
        let (words, _) = bytes.as_chunks();
        Self(std::array::from_fn(|at| u64::from_le_bytes(words[at])))
    }
}

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest")
    }
}
