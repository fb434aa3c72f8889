//! The keys of an issuer, as far as tokens can be checked with them.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use crate::config::SigningAlgorithm;
use SigningAlgorithm::{EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};

/// The keys as they were when they were asked for.
#[derive(Debug)]
pub(super) struct KeySet {
    /// Another one for each set that differs from the one before.
    pub(super) generation: u64,
    written: Vec<Value>,
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// What it may be used with. Whatever a token says, a key is only ever used so.
    algorithms: Vec<SigningAlgorithm>,
    public: DecodingKey,
}

impl KeySet {
    /// Reads the keys; those that are for something else are left out.
    pub(super) fn read(written: Vec<Value>, generation: u64) -> Self {
        let keys = written.iter().take(MOST).filter_map(Key::read).collect();
        Self { generation, written, keys }
    }

    /// Whether these are the same keys.
    pub(super) fn is(&self, written: &[Value]) -> bool {
        self.written == written
    }

    /// How many tokens can be checked with.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys with which a token may be signed that names the key `id`, or none.
    pub(super) fn fitting<'a>(
        &'a self,
        id: Option<&'a str>,
        algorithm: SigningAlgorithm,
    ) -> impl Iterator<Item = &'a DecodingKey> {
        self.keys
            .iter()
            .filter(move |key| id.is_none_or(|id| key.id.as_deref() == Some(id)))
            .filter(move |key| key.algorithms.contains(&algorithm))
            .map(|key| &key.public)
            .take(MOST_TRIED)
    }
}

impl Key {
    fn read(written: &Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(written.clone()).ok()?;
        let common = &jwk.common;
        if common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
            return None;
        }
        if common.key_operations.as_ref().is_some_and(|known| !known.contains(&KeyOperations::Verify)) {
            return None;
        }
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => vec![Rs256, Rs384, Rs512, Ps256, Ps384, Ps512],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => vec![Es256],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => vec![Es384],
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => vec![EdDsa],
            // Another curve, or a secret, which has no place in such a set.
            _ => return None,
        };
        if let Some(only) = common.key_algorithm {
            let only = only.to_string();
            algorithms.retain(|algorithm| algorithm.name() == only);
        }
        let public = DecodingKey::from_jwk(&jwk).ok()?;
        (!algorithms.is_empty()).then(|| Self { id: jwk.common.key_id, algorithms, public })
    }
}

/// What jsonwebtoken calls an algorithm.
pub(super) fn algorithm(algorithm: SigningAlgorithm) -> Algorithm {
    match algorithm {
        Rs256 => Algorithm::RS256,
        Rs384 => Algorithm::RS384,
        Rs512 => Algorithm::RS512,
        Ps256 => Algorithm::PS256,
        Ps384 => Algorithm::PS384,
        Ps512 => Algorithm::PS512,
        Es256 => Algorithm::ES256,
        Es384 => Algorithm::ES384,
        EdDsa => Algorithm::EdDSA,
    }
}

/// Issuers have a handful.
const MOST: usize = 100;

/// How many keys are tried with a token that names none.
const MOST_TRIED: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_key_is_only_used_for_what_it_is_for() {
        let point = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
        let curve = |more: Value| {
            let mut key = json!({ "kty": "EC", "crv": "P-256", "x": point, "y": point, "kid": "a" });
            key.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            key
        };
        let table = [
            (curve(json!({})), vec![Es256]),
            (curve(json!({ "alg": "ES256", "use": "sig", "key_ops": ["verify"] })), vec![Es256]),
            (curve(json!({ "alg": "ES384" })), vec![]),
            (curve(json!({ "alg": "HS256" })), vec![]),
            (curve(json!({ "alg": "RS256" })), vec![]),
            (curve(json!({ "use": "enc" })), vec![]),
            (curve(json!({ "key_ops": ["sign"] })), vec![]),
            (curve(json!({ "crv": "P-521" })), vec![]),
            (curve(json!({ "crv": "secp256k1" })), vec![]),
            (curve(json!({ "x": "no base64!" })), vec![]),
            (curve(json!({ "kid": 7 })), vec![]),
            (json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "a" }), vec![]),
            (json!({ "kty": "OKP", "crv": "Ed25519", "x": point, "kid": "a" }), vec![EdDsa]),
            (json!({ "kty": "OKP", "crv": "X25519", "x": point, "kid": "a" }), vec![]),
            (json!({ "kty": "RSA", "n": point, "e": "AQAB", "kid": "a", "alg": "PS256" }), vec![Ps256]),
            (
                json!({ "kty": "RSA", "n": point, "e": "AQAB", "kid": "a" }),
                vec![Rs256, Rs384, Rs512, Ps256, Ps384, Ps512],
            ),
            (json!({ "kty": "RSA", "n": point, "e": "AQAB", "kid": "a", "alg": "RSA-OAEP" }), vec![]),
            (json!({ "kty": "RSA", "kid": "a" }), vec![]),
            (json!("a key"), vec![]),
        ];
        for (key, wanted) in table {
            let set = KeySet::read(vec![key.clone()], 0);
            let found: Vec<_> = SigningAlgorithm::ALL
                .into_iter()
                .filter(|algorithm| set.fitting(Some("a"), *algorithm).next().is_some())
                .collect();
            assert_eq!(found, wanted, "{key}");
            assert!(set.fitting(Some("A"), Es256).next().is_none());
        }
    }
}
