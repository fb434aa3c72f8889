//! A server that wants a login, and its authorization server, both on one port of this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;
use url::{Url, form_urlencoded};

/// How the two behave.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a way to be, in any mixture")]
pub(crate) struct Nature {
    /// The resource has metadata, and names it in its challenge.
    pub(crate) resource_metadata: bool,
    /// What the metadata says that it is for, instead of what it is for.
    pub(crate) resource: Option<&'static str>,
    /// What the authorization server calls itself, instead of what it is.
    pub(crate) issuer: Option<&'static str>,
    /// What each authorization response says that it is from.
    pub(crate) iss: Option<&'static str>,
    pub(crate) pkce: bool,
    pub(crate) registers: bool,
    pub(crate) documents: bool,
    pub(crate) device: bool,
    /// Seconds that a token is said to live; it lives until it is revoked.
    pub(crate) lifetime: Option<u64>,
    /// The scope without which a request is answered 403.
    pub(crate) wanted: &'static str,
    /// Takes client secrets in the body only.
    pub(crate) body_only: bool,
    /// The metadata of the authorization server is as large as this, at least.
    pub(crate) padding: usize,
    /// The metadata of the authorization server is somewhere else.
    pub(crate) redirects: bool,
    /// The user says no.
    pub(crate) denies: bool,
}

impl Default for Nature {
    fn default() -> Self {
        Self {
            resource_metadata: true,
            resource: None,
            issuer: None,
            iss: None,
            pkce: true,
            registers: true,
            documents: false,
            device: false,
            lifetime: None,
            wanted: "",
            body_only: false,
            padding: 0,
            redirects: false,
            denies: false,
        }
    }
}

/// What has happened.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) registrations: Vec<Value>,
    /// The parameters of each visit of a browser.
    pub(crate) visits: Vec<Parameters>,
    /// The parameters of each request for a token.
    pub(crate) grants: Vec<Parameters>,
    /// What was asked at the token endpoint with HTTP basic authentication.
    pub(crate) basic: Vec<String>,
    /// The token endpoint does not work.
    pub(crate) broken: bool,
    codes: BTreeMap<String, Parameters>,
    tokens: BTreeMap<String, String>,
    refresh_tokens: BTreeMap<String, String>,
    polls: usize,
    serial: usize,
}

pub(crate) type Parameters = BTreeMap<String, String>;

#[derive(Clone)]
pub(crate) struct Authority {
    pub(crate) origin: String,
    nature: Nature,
    record: Arc<Mutex<Record>>,
}

impl Authority {
    pub(crate) async fn start(nature: Nature, tracker: &TaskTracker) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let authority = Self { origin, nature, record: Arc::default() };
        let mut routes = Router::new()
            .route("/mcp", get(mcp).post(mcp))
            .route("/.well-known/oauth-authorization-server", get(issuer_metadata))
            .route("/moved", get(issuer_metadata_moved))
            .route("/register", post(register))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/device", post(device));
        if authority.nature.resource_metadata {
            routes = routes.route("/.well-known/oauth-protected-resource/mcp", get(resource_metadata));
        }
        let routes = routes.with_state(authority.clone());
        tracker.spawn(async move { axum::serve(listener, routes).await });
        authority
    }

    pub(crate) fn resource(&self) -> Url {
        format!("{}/mcp", self.origin).parse().expect("a URL")
    }

    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("no panic")
    }

    /// The kinds of grants asked for, in order.
    pub(crate) fn grants(&self) -> Vec<String> {
        self.record().grants.iter().map(|grant| grant["grant_type"].clone()).collect()
    }

    /// No token is valid any more; with `all`, no refresh token either.
    pub(crate) fn revoke(&self, all: bool) {
        let mut record = self.record();
        record.tokens.clear();
        if all {
            record.refresh_tokens.clear();
        }
    }

    fn issue(&self, scope: &str, refreshable: bool) -> Response {
        let mut record = self.record();
        record.serial += 1;
        let (access, refresh) = (format!("access-{}", record.serial), format!("refresh-{}", record.serial));
        record.tokens.insert(access.clone(), scope.to_owned());
        let mut answer = json!({ "access_token": access, "token_type": "Bearer", "scope": scope });
        if let Some(lifetime) = self.nature.lifetime {
            answer["expires_in"] = lifetime.into();
        }
        if refreshable {
            record.refresh_tokens.insert(refresh.clone(), scope.to_owned());
            answer["refresh_token"] = refresh.into();
        }
        document(StatusCode::OK, &answer)
    }
}

async fn mcp(State(authority): State<Authority>, headers: HeaderMap, body: Bytes) -> Response {
    let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let scope = authority.record().tokens.get(shown.trim_start_matches("Bearer ")).cloned();
    let metadata =
        format!("resource_metadata=\"{}/.well-known/oauth-protected-resource/mcp\"", authority.origin);
    let metadata = if authority.nature.resource_metadata { metadata } else { "realm=x".to_owned() };
    let wanted = authority.nature.wanted;
    match scope {
        None => {
            (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, format!("Bearer {metadata}"))]).into_response()
        }
        Some(scope) if !wanted.is_empty() && !scope.split(' ').any(|scope| scope == wanted) => {
            let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{wanted}\", {metadata}");
            (StatusCode::FORBIDDEN, [(WWW_AUTHENTICATE, challenge)]).into_response()
        }
        Some(_) if body.is_empty() => "welcome".into_response(),
        Some(_) => answer(&body),
    }
}

/// What a server of MCP answers that can do nothing.
fn answer(body: &Bytes) -> Response {
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    if message["method"] != "initialize" {
        return StatusCode::ACCEPTED.into_response();
    }
    let info = json!({ "name": "guarded", "version": "1" });
    let result = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": info });
    document(StatusCode::OK, &json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }))
}

async fn resource_metadata(State(authority): State<Authority>) -> Response {
    let own = authority.resource().to_string();
    document(
        StatusCode::OK,
        &json!({
            "resource": authority.nature.resource.unwrap_or(&own),
            "authorization_servers": [authority.origin],
            "scopes_supported": ["basic"],
        }),
    )
}

async fn issuer_metadata(State(authority): State<Authority>) -> Response {
    let Authority { origin, nature, .. } = &authority;
    if nature.redirects {
        return (StatusCode::FOUND, [(LOCATION, "/moved")]).into_response();
    }
    let mut answer = json!({
        "issuer": nature.issuer.unwrap_or(origin),
        "authorization_endpoint": format!("{origin}/authorize"),
        "token_endpoint": format!("{origin}/token"),
        "scopes_supported": ["basic", "more", "offline_access"],
        "client_id_metadata_document_supported": nature.documents,
        "padding": "x".repeat(nature.padding),
    });
    if nature.pkce {
        answer["code_challenge_methods_supported"] = json!(["S256"]);
    }
    if nature.registers {
        answer["registration_endpoint"] = format!("{origin}/register").into();
    }
    if nature.device {
        answer["device_authorization_endpoint"] = format!("{origin}/device").into();
    }
    document(StatusCode::OK, &answer)
}

async fn issuer_metadata_moved(State(mut authority): State<Authority>) -> Response {
    authority.nature.redirects = false;
    issuer_metadata(State(authority)).await
}

async fn register(State(authority): State<Authority>, body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).expect("JSON");
    authority.record().registrations.push(request);
    document(StatusCode::CREATED, &json!({ "client_id": "registered" }))
}

async fn authorize(State(authority): State<Authority>, RawQuery(query): RawQuery) -> Response {
    let asked = parameters(query.unwrap_or_default().as_bytes());
    let mut back: Url = asked["redirect_uri"].parse().expect("a URL");
    let mut record = authority.record();
    record.visits.push(asked.clone());
    let code = format!("code-{}", record.visits.len());
    let answer = if authority.nature.denies { ("error", "access_denied") } else { ("code", code.as_str()) };
    back.query_pairs_mut().extend_pairs([answer, ("state", &asked["state"])]);
    if let Some(issuer) = authority.nature.iss {
        back.query_pairs_mut().append_pair("iss", issuer);
    }
    record.codes.insert(code, asked);
    (StatusCode::FOUND, [(LOCATION, back.to_string())]).into_response()
}

async fn device(State(authority): State<Authority>, body: Bytes) -> Response {
    authority.record().visits.push(parameters(&body));
    document(
        StatusCode::OK,
        &json!({
            "device_code": "device-code",
            "user_code": "ABCD-EFGH",
            "verification_uri": format!("{}/enter", authority.origin),
            "expires_in": 60,
            "interval": 1,
        }),
    )
}

async fn token(State(authority): State<Authority>, headers: HeaderMap, body: Bytes) -> Response {
    let asked = parameters(&body);
    let basic = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
    let basic =
        basic.map(|text| String::from_utf8(BASE64_STANDARD.decode(text).expect("base64")).expect("text"));
    let mut record = authority.record();
    if record.broken {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    record.grants.push(asked.clone());
    record.basic.extend(basic.clone());
    if asked.get("resource") != Some(&authority.resource().to_string()) {
        return refusal("invalid_target");
    }
    let (scope, refreshable) = match asked["grant_type"].as_str() {
        "authorization_code" => {
            let Some(visit) = record.codes.remove(&asked["code"]) else { return refusal("invalid_grant") };
            let verified = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&asked["code_verifier"]));
            let same = ["redirect_uri", "client_id", "resource"].iter().all(|name| {
                // A client with basic authentication names itself there.
                asked.get(*name).is_none_or(|value| visit.get(*name) == Some(value))
            });
            if verified != visit["code_challenge"] || visit["code_challenge_method"] != "S256" || !same {
                return refusal("invalid_grant");
            }
            (visit.get("scope").cloned().unwrap_or_default(), true)
        }
        // Each refresh token works once.
        "refresh_token" => match record.refresh_tokens.remove(&asked["refresh_token"]) {
            Some(scope) => (scope, true),
            None => return refusal("invalid_grant"),
        },
        "client_credentials" => {
            let in_body = asked.get("client_secret").map(|secret| format!("{}:{secret}", asked["client_id"]));
            let shown = if authority.nature.body_only { in_body } else { basic };
            if shown.as_deref() != Some("me:client-secret") {
                return document(StatusCode::UNAUTHORIZED, &json!({ "error": "invalid_client" }));
            }
            (asked.get("scope").cloned().unwrap_or_default(), false)
        }
        "urn:ietf:params:oauth:grant-type:device_code" => {
            record.polls += 1;
            if record.polls == 1 {
                return refusal("authorization_pending");
            }
            ("basic".to_owned(), true)
        }
        other => panic!("an unknown grant: {other}"),
    };
    drop(record);
    authority.issue(&scope, refreshable)
}

/// Each parameter, which must be there only once.
fn parameters(text: &[u8]) -> Parameters {
    let pairs: Vec<_> = form_urlencoded::parse(text).into_owned().collect();
    let names: BTreeSet<_> = pairs.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), pairs.len(), "a parameter is there twice: {pairs:?}");
    pairs.into_iter().collect()
}

fn refusal(error: &str) -> Response {
    document(StatusCode::BAD_REQUEST, &json!({ "error": error, "error_description": "access-1 refresh-1" }))
}

fn document(status: StatusCode, document: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], document.to_string()).into_response()
}
