//! An authorization server as a router sees it: it publishes keys, and signs whatever a story wants.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::StatusCode;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512,
    RsaKeyPair, RsaPublicKeyComponents,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// A running authorization server. Its keys are called after their kinds: `rsa`, `p256`, `p384`, `ed`.
pub(crate) struct Issuer {
    /// Its name.
    pub(crate) url: String,
    signers: Signers,
    published: Arc<Published>,
    _serving: AbortOnDropHandle<()>,
}

struct Published {
    url: String,
    keys: Mutex<Vec<Value>>,
    questions: AtomicUsize,
    is_broken: AtomicBool,
    /// Whoever asks for the keys takes one of these.
    admissions: Semaphore,
}

/// The private halves of its keys.
pub(crate) struct Signers {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    p384: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it has one"));
        let signers = Signers::new();
        let published = Arc::new(Published {
            url: url.clone(),
            keys: Mutex::new(signers.published()),
            questions: AtomicUsize::new(0),
            is_broken: AtomicBool::new(false),
            admissions: Semaphore::new(Semaphore::MAX_PERMITS / 2),
        });
        let app = Router::new()
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/keys", get(keys))
            .with_state(published.clone());
        let serving =
            TaskTracker::new().spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        Self { url, signers, published, _serving: AbortOnDropHandle::new(serving) }
    }

    /// A token with these claims, as this issuer gives it out: signed with `p256`.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.signers.sign(&json!({ "typ": "at+jwt", "alg": "ES256", "kid": "p256" }), claims)
    }

    /// The claims of an ordinary token: for `audience`, of `subject`, for an hour.
    pub(crate) fn claims(&self, audience: &str, subject: &str) -> Value {
        let now = now();
        json!({
            "iss": self.url, "sub": subject, "aud": audience, "client_id": "story",
            "iat": now, "exp": now + 3600, "scope": "mcp:use",
        })
    }

    pub(crate) fn signers(&self) -> &Signers {
        &self.signers
    }

    /// How often it was asked for its keys.
    pub(crate) fn questions(&self) -> usize {
        self.published.questions.load(Ordering::SeqCst)
    }

    /// It publishes these keys from now on.
    pub(crate) fn publish(&self, keys: Vec<Value>) {
        *self.published.keys.lock().expect("no panic") = keys;
    }

    /// The keys that it publishes.
    pub(crate) fn keys(&self) -> Vec<Value> {
        self.published.keys.lock().expect("no panic").clone()
    }

    /// Whether it answers nothing but errors.
    pub(crate) fn set_broken(&self, is_broken: bool) {
        self.published.is_broken.store(is_broken, Ordering::SeqCst);
    }

    /// Whoever asks for the keys waits until [`go_on`](Self::go_on).
    pub(crate) fn hold(&self) {
        self.published.admissions.forget_permits(usize::MAX);
    }

    pub(crate) fn go_on(&self) {
        self.published.admissions.add_permits(Semaphore::MAX_PERMITS / 2);
    }
}

impl Signers {
    pub(crate) fn new() -> Self {
        let random = SystemRandom::new();
        let curve = |kind| {
            let made = EcdsaKeyPair::generate_pkcs8(kind, &random).expect("a key");
            EcdsaKeyPair::from_pkcs8(kind, made.as_ref(), &random).expect("a key")
        };
        let ed = Ed25519KeyPair::generate_pkcs8(&random).expect("a key");
        Self {
            // ring makes none of this kind. It protects nothing.
            rsa: RsaKeyPair::from_pkcs8(include_bytes!("rsa.pk8")).expect("a key"),
            p256: curve(&ECDSA_P256_SHA256_FIXED_SIGNING),
            p384: curve(&ECDSA_P384_SHA384_FIXED_SIGNING),
            ed: Ed25519KeyPair::from_pkcs8(ed.as_ref()).expect("a key"),
        }
    }

    /// The public halves, as JWKs.
    pub(crate) fn published(&self) -> Vec<Value> {
        let curve = |name: &str, id: &str, key: &EcdsaKeyPair| {
            let (x, y) = key.public_key().as_ref()[1..].split_at(key.public_key().as_ref().len() / 2);
            json!({ "kty": "EC", "crv": name, "kid": id, "use": "sig", "x": encode(x), "y": encode(y) })
        };
        let rsa = RsaPublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
        vec![
            json!({
                "kty": "RSA", "kid": "rsa", "use": "sig",
                "n": encode(rsa.n),
                "e": encode(rsa.e),
            }),
            curve("P-256", "p256", &self.p256),
            curve("P-384", "p384", &self.p384),
            json!({ "kty": "OKP", "crv": "Ed25519", "kid": "ed", "alg": "EdDSA", "x": encode(self.ed.public_key().as_ref()) }),
        ]
    }

    /// A token with this header, signed as its `alg` says; `HS256` with the public half of the RSA key.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let random = SystemRandom::new();
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let message = signed.as_bytes();
        let rsa = |way| {
            let mut signature = vec![0; self.rsa.public().modulus_len()];
            self.rsa.sign(way, &random, message, &mut signature).expect("a signature");
            signature
        };
        let signature = match header["alg"].as_str().unwrap_or_default() {
            "RS256" => rsa(&RSA_PKCS1_SHA256),
            "RS384" => rsa(&RSA_PKCS1_SHA384),
            "RS512" => rsa(&RSA_PKCS1_SHA512),
            "PS256" => rsa(&RSA_PSS_SHA256),
            "PS384" => rsa(&RSA_PSS_SHA384),
            "PS512" => rsa(&RSA_PSS_SHA512),
            "ES256" => self.p256.sign(&random, message).expect("a signature").as_ref().to_vec(),
            "ES384" => self.p384.sign(&random, message).expect("a signature").as_ref().to_vec(),
            "EdDSA" => self.ed.sign(message).as_ref().to_vec(),
            "HS256" => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.rsa.public().as_ref());
                hmac::sign(&key, message).as_ref().to_vec()
            }
            _ => Vec::new(),
        };
        format!("{signed}.{}", encode(signature))
    }
}

async fn metadata(State(published): State<Arc<Published>>) -> Result<Json<Value>, StatusCode> {
    let url = &published.url;
    if published.is_broken.load(Ordering::SeqCst) {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    Ok(Json(json!({ "issuer": url, "jwks_uri": format!("{url}/keys") })))
}

async fn keys(State(published): State<Arc<Published>>) -> Result<Json<Value>, StatusCode> {
    published.questions.fetch_add(1, Ordering::SeqCst);
    published.admissions.acquire().await.expect("it is never closed").forget();
    if published.is_broken.load(Ordering::SeqCst) {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    Ok(Json(json!({ "keys": *published.keys.lock().expect("no panic") })))
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs()
}
