//! What is believed of a token, and what is not: against an issuer on this machine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::Client;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::*;
use crate::config::SigningAlgorithm;
use issuer::{Issuer, Signers, encode};

#[allow(dead_code, reason = "the stories use the rest of it")]
#[path = "../../../tests/support/issuer.rs"]
mod issuer;

const RESOURCE: &str = "https://mcp.example.com/servers/a/mcp";
/// When these tests take place.
const NOW: u64 = 2_000_000_000;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn spec(issuer: &str) -> ResourceServerSpec {
    ResourceServerSpec {
        issuer: issuer.to_owned(),
        jwks: None,
        audience: "https://mcp.example.com".to_owned(),
        audiences: Vec::new(),
        scopes: vec!["mcp:use".to_owned()],
        algorithms: SigningAlgorithm::ALL.to_vec(),
        leeway: Duration::from_secs(30),
        groups_claim: "groups".to_owned(),
        scopes_claim: None,
    }
}

struct World {
    issuer: Issuer,
    server: ResourceServer,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut ResourceServerSpec)) -> Self {
        let issuer = Issuer::start().await;
        let mut spec = spec(&issuer.url);
        change(&mut spec);
        let server = server(spec);
        Self { issuer, server }
    }

    fn claims(&self) -> Value {
        json!({
            "iss": self.issuer.url, "sub": "alice", "aud": RESOURCE, "client_id": "app", "scope": "mcp:use more",
            "groups": ["staff", "ops"], "iat": NOW - 60, "exp": NOW + 600,
        })
    }

    /// The claims with some of them changed; null takes one away.
    fn claims_with(&self, changes: &Value) -> Value {
        changed(self.claims(), changes)
    }

    async fn verify(&self, token: &str) -> Result<Arc<Verified>, Invalid> {
        self.server.verify_at(token, &[RESOURCE], at(NOW)).await
    }
}

fn server(spec: ResourceServerSpec) -> ResourceServer {
    let fetcher = Fetcher::with(Client::builder().no_proxy()).expect("a client");
    ResourceServer::new(spec, fetcher, TaskTracker::new(), &CancellationToken::new())
        .expect("it can be asked")
}

fn changed(mut object: Value, changes: &Value) -> Value {
    let members = object.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
    }
    object
}

fn header(changes: &Value) -> Value {
    changed(json!({ "typ": "at+jwt", "alg": "ES256", "kid": "p256" }), changes)
}

#[tokio::test]
async fn a_good_token_says_who_and_what_for_and_until_when() {
    let world = World::new().await;
    for _ in 0..2 {
        let verified = world.verify(&world.issuer.token(&world.claims())).await.expect("it is good");
        assert_eq!((&*verified.issuer, &*verified.subject), (world.issuer.url.as_str(), "alice"));
        assert_eq!(verified.client.as_deref(), Some("app"));
        assert_eq!(verified.scopes.iter().collect::<Vec<_>>(), ["mcp:use", "more"]);
        assert_eq!(verified.groups.iter().collect::<Vec<_>>(), ["ops", "staff"]);
        assert_eq!(verified.expires, at(NOW + 630), "the leeway is with the token");
    }
    assert_eq!(world.issuer.questions(), 1);
}

#[tokio::test]
async fn every_allowed_algorithm_is_known() {
    let world = World::new().await;
    let table = [
        ("RS256", "rsa"),
        ("RS384", "rsa"),
        ("RS512", "rsa"),
        ("PS256", "rsa"),
        ("PS384", "rsa"),
        ("PS512", "rsa"),
        ("ES256", "p256"),
        ("ES384", "p384"),
        ("EdDSA", "ed"),
    ];
    assert_eq!(table.len(), SigningAlgorithm::ALL.len());
    for (algorithm, key) in table {
        for header in [
            json!({ "typ": "JWT", "alg": algorithm, "kid": key }),
            json!({ "alg": algorithm }),
            json!({ "typ": "application/AT+JWT", "alg": algorithm }),
        ] {
            let token = world.issuer.signers().sign(&header, &world.claims());
            assert!(world.verify(&token).await.is_ok(), "{header}");
            // The last character has bits that count for nothing.
            let at = token.len() - 10;
            let forged = format!(
                "{}{}{}",
                &token[..at],
                if &token[at..=at] == "A" { "B" } else { "A" },
                &token[at + 1..]
            );
            assert_eq!(world.verify(&forged).await, Err(Invalid::Signature), "{header}");
        }
    }
}

#[tokio::test]
async fn what_a_token_says_is_compared_to_the_letter() {
    let world = World::new().await;
    let issuer = &world.issuer.url;
    let table = [
        // Audiences.
        (json!({ "aud": [ "https://other.example.com", RESOURCE ] }), Ok(())),
        (json!({ "aud": null }), Err(Invalid::Audience)),
        (json!({ "aud": "" }), Err(Invalid::Audience)),
        (json!({ "aud": [] }), Err(Invalid::Audience)),
        (json!({ "aud": 7 }), Err(Invalid::Malformed)),
        (json!({ "aud": { RESOURCE: true } }), Err(Invalid::Malformed)),
        (json!({ "aud": [ [ RESOURCE ] ] }), Err(Invalid::Audience)),
        (json!({ "aud": "*" }), Err(Invalid::Audience)),
        (json!({ "aud": "https://mcp.example.com" }), Err(Invalid::Audience)),
        (json!({ "aud": "https://mcp.example.com/servers/a" }), Err(Invalid::Audience)),
        (json!({ "aud": "https://mcp.example.com/servers/b/mcp" }), Err(Invalid::Audience)),
        (json!({ "aud": format!("{RESOURCE}/") }), Err(Invalid::Audience)),
        (json!({ "aud": format!("{RESOURCE}/more") }), Err(Invalid::Audience)),
        (json!({ "aud": format!("{RESOURCE}?x") }), Err(Invalid::Audience)),
        (json!({ "aud": format!("{RESOURCE}.evil.example") }), Err(Invalid::Audience)),
        (json!({ "aud": format!(" {RESOURCE}") }), Err(Invalid::Audience)),
        (json!({ "aud": format!("{RESOURCE} https://x") }), Err(Invalid::Audience)),
        (json!({ "aud": RESOURCE.to_uppercase() }), Err(Invalid::Audience)),
        (json!({ "aud": "HTTPS://mcp.example.com/servers/a/mcp" }), Err(Invalid::Audience)),
        (json!({ "aud": "https://mcp.example.com:443/servers/a/mcp" }), Err(Invalid::Audience)),
        (json!({ "aud": "https://mcp.example.com/servers/%61/mcp" }), Err(Invalid::Audience)),
        (json!({ "aud": "https://mcp.example.com@evil.example/servers/a/mcp" }), Err(Invalid::Audience)),
        // Issuers.
        (json!({ "iss": null }), Err(Invalid::Issuer)),
        (json!({ "iss": [issuer] }), Err(Invalid::Issuer)),
        (json!({ "iss": format!("{issuer}/") }), Err(Invalid::Issuer)),
        (json!({ "iss": issuer.to_uppercase() }), Err(Invalid::Issuer)),
        (json!({ "iss": "https://evil.example" }), Err(Invalid::Issuer)),
        // Times.
        (json!({ "exp": null }), Err(Invalid::Endless)),
        (json!({ "exp": "soon" }), Err(Invalid::Endless)),
        (json!({ "exp": (NOW + 600).to_string() }), Err(Invalid::Endless)),
        (json!({ "exp": 1e300 }), Err(Invalid::Endless)),
        (json!({ "exp": -1 }), Err(Invalid::Endless)),
        (json!({ "exp": NOW - 29 }), Ok(())),
        (json!({ "exp": NOW - 30 }), Err(Invalid::Expired)),
        (json!({ "exp": 0 }), Err(Invalid::Expired)),
        (json!({ "exp": 2_000_000_600.5 }), Ok(())),
        (json!({ "nbf": NOW + 30 }), Ok(())),
        (json!({ "nbf": NOW + 31 }), Err(Invalid::NotYet)),
        (json!({ "iat": NOW + 31 }), Err(Invalid::NotYet)),
        (json!({ "iat": NOW + 31, "nbf": NOW }), Err(Invalid::NotYet)),
        (json!({ "nbf": "now" }), Err(Invalid::Malformed)),
        (json!({ "iat": null }), Ok(())),
        // The rest.
        (json!({ "sub": null }), Err(Invalid::NoSubject)),
        (json!({ "sub": "" }), Err(Invalid::NoSubject)),
        (json!({ "sub": 7 }), Err(Invalid::NoSubject)),
        (json!({ "cnf": { "jkt": "x" } }), Err(Invalid::Bound)),
        (json!({ "scope": "more" }), Err(Invalid::Scopes { required: vec!["mcp:use".to_owned()] })),
        (
            json!({ "scope": "mcp:user xmcp:use" }),
            Err(Invalid::Scopes { required: vec!["mcp:use".to_owned()] }),
        ),
        (json!({ "scope": null, "scp": ["mcp:use"] }), Ok(())),
        (json!({ "scope": null, "scp": "mcp:use" }), Ok(())),
        (
            json!({ "scope": "more", "scp": "mcp:use" }),
            Err(Invalid::Scopes { required: vec!["mcp:use".to_owned()] }),
        ),
        (json!({ "aud": "https://x", "scope": null }), Err(Invalid::Audience)),
    ];
    for (changes, wanted) in table {
        let token = world.issuer.token(&world.claims_with(&changes));
        for _ in 0..2 {
            assert_eq!(world.verify(&token).await.map(|_| ()), wanted, "{changes}");
        }
    }
    assert_eq!(world.issuer.questions(), 1);
}

#[tokio::test]
async fn what_a_header_says_leads_nowhere() {
    let world = World::new().await;
    let stranger = Signers::new();
    let (ours, claims) = (world.issuer.signers(), world.claims());
    let strangers_key = stranger.published().remove(1);
    let unsigned = |algorithm: &str| {
        let header = json!({ "alg": algorithm, "kid": "rsa" });
        format!("{}.{}.", encode(header.to_string()), encode(claims.to_string()))
    };
    let good = world.issuer.token(&claims);
    let parts: Vec<_> = good.split('.').collect();
    let table = [
        (unsigned("none"), Invalid::Algorithm),
        (unsigned("None"), Invalid::Algorithm),
        (unsigned("nOnE"), Invalid::Algorithm),
        (unsigned(""), Invalid::Algorithm),
        (unsigned("RS256"), Invalid::Signature),
        (ours.sign(&json!({ "alg": "HS256", "kid": "rsa" }), &claims), Invalid::Algorithm),
        (ours.sign(&json!({ "alg": "HS256" }), &claims), Invalid::Algorithm),
        (ours.sign(&header(&json!({ "kid": "rsa" })), &claims), Invalid::UnknownKey),
        (ours.sign(&header(&json!({ "kid": "p384" })), &claims), Invalid::UnknownKey),
        (ours.sign(&json!({ "alg": "RS256", "kid": "p256" }), &claims), Invalid::UnknownKey),
        (ours.sign(&header(&json!({ "kid": "P256" })), &claims), Invalid::UnknownKey),
        (ours.sign(&header(&json!({ "kid": "../../etc/passwd" })), &claims), Invalid::UnknownKey),
        (ours.sign(&header(&json!({ "kid": 7 })), &claims), Invalid::Malformed),
        (stranger.sign(&header(&json!({})), &claims), Invalid::Signature),
        (stranger.sign(&header(&json!({ "kid": null })), &claims), Invalid::Signature),
        (stranger.sign(&header(&json!({ "jwk": strangers_key })), &claims), Invalid::Signature),
        (stranger.sign(&header(&json!({ "jwk": strangers_key, "kid": null })), &claims), Invalid::Signature),
        (stranger.sign(&header(&json!({ "jku": "http://127.0.0.1:1/keys" })), &claims), Invalid::Signature),
        (stranger.sign(&header(&json!({ "x5u": "http://127.0.0.1:1/keys" })), &claims), Invalid::Signature),
        (stranger.sign(&header(&json!({ "x5c": ["AAAA"] })), &claims), Invalid::Signature),
        (ours.sign(&header(&json!({ "crit": ["exp"], "exp": 1 })), &claims), Invalid::Critical),
        (ours.sign(&header(&json!({ "crit": [] })), &claims), Invalid::Critical),
        (ours.sign(&header(&json!({ "crit": ["b64"], "b64": false })), &claims), Invalid::Critical),
        (ours.sign(&header(&json!({ "typ": "dpop+jwt" })), &claims), Invalid::Kind),
        (ours.sign(&header(&json!({ "typ": "logout+jwt" })), &claims), Invalid::Kind),
        (ours.sign(&header(&json!({ "cty": "JWT" })), &claims), Invalid::Malformed),
        (ours.sign(&header(&json!({ "zip": "DEF" })), &claims), Invalid::Malformed),
        (ours.sign(&header(&json!({ "enc": "A128GCM" })), &claims), Invalid::Malformed),
        (ours.sign(&header(&json!({})), &json!("claims")), Invalid::Malformed),
        (ours.sign(&json!(["alg", "ES256"]), &claims), Invalid::Malformed),
        (format!("{good}.{}.{}", parts[1], parts[2]), Invalid::Malformed),
        (format!("{}.{}", parts[0], parts[1]), Invalid::Malformed),
        (format!("{good}="), Invalid::Malformed),
        (format!(" {good}"), Invalid::Malformed),
        (format!("{}.{}.{}", parts[0], encode("{}"), parts[2]), Invalid::Signature),
        (String::new(), Invalid::Malformed),
        ("..".to_owned(), Invalid::Malformed),
        ("a.b.c".to_owned(), Invalid::Malformed),
        ("\u{e9}.\u{0}.\n".to_owned(), Invalid::Malformed),
        (format!("{good}{}", "A".repeat(8192)), Invalid::TooLong),
        ("A".repeat(100_000), Invalid::TooLong),
    ];
    assert!(world.verify(&good).await.is_ok());
    for (token, wanted) in table {
        assert_eq!(world.verify(&token).await.map(|_| ()), Err(wanted), "{token}");
    }
    assert_eq!(world.issuer.questions(), 1, "nothing of this is worth another question within half a minute");
    // An own key in the header does no harm.
    let own = ours
        .sign(&header(&json!({ "jwk": strangers_key, "jku": "http://127.0.0.1:1", "x5t": "x" })), &claims);
    assert!(world.verify(&own).await.is_ok());
}

#[tokio::test]
async fn what_is_allowed_is_what_the_file_says() {
    let world = World::with(|spec| {
        spec.algorithms = vec![SigningAlgorithm::EdDsa];
        spec.audiences = vec!["api://mcp".to_owned()];
        spec.scopes = Vec::new();
        spec.groups_claim = "realm_access.roles".to_owned();
        spec.scopes_claim = Some("https://example.com/scopes".to_owned());
        spec.leeway = Duration::ZERO;
    })
    .await;
    assert_eq!(world.verify(&world.issuer.token(&world.claims())).await, Err(Invalid::Algorithm));
    let changes = json!({
        "aud": "api://mcp", "groups": null, "realm_access": { "roles": "admin" },
        "https://example.com/scopes": "a  b", "azp": "other", "client_id": null,
    });
    let token =
        world.issuer.signers().sign(&json!({ "alg": "EdDSA", "kid": "ed" }), &world.claims_with(&changes));
    let verified = world.verify(&token).await.expect("it is good");
    assert_eq!(verified.groups.iter().collect::<Vec<_>>(), ["admin"]);
    assert_eq!(verified.scopes.iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(verified.client.as_deref(), Some("other"));
    assert_eq!(verified.expires, at(NOW + 600));
    let other = world.server.verify_at(&token, &["https://other.example"], at(NOW)).await;
    assert!(other.is_ok(), "such an audience holds everywhere");
}

#[tokio::test]
async fn a_token_that_is_known_is_looked_at_again() {
    let world = World::new().await;
    let token = world.issuer.token(&world.claims());
    assert!(world.verify(&token).await.is_ok());
    let with = async |audience: &str, now: u64| {
        world.server.verify_at(&token, &[audience], at(now)).await.map(|_| ())
    };
    assert_eq!(with("https://mcp.example.com/servers/b/mcp", NOW).await, Err(Invalid::Audience));
    assert_eq!(with(RESOURCE, NOW + 629).await, Ok(()));
    assert_eq!(with(RESOURCE, NOW + 630).await, Err(Invalid::Expired));
    assert_eq!(with(RESOURCE, NOW).await, Ok(()));
}

#[tokio::test]
async fn a_thousand_unknown_keys_lead_to_one_question() {
    let world = World::new().await;
    assert!(world.verify(&world.issuer.token(&world.claims())).await.is_ok());
    let unknown = async |number: usize| {
        let header = header(&json!({ "kid": format!("unknown-{number}") }));
        world.verify(&world.issuer.signers().sign(&header, &world.claims())).await
    };
    for outcome in futures::future::join_all((0..1000).map(unknown)).await {
        assert_eq!(outcome, Err(Invalid::UnknownKey));
    }
    assert_eq!(world.issuer.questions(), 1, "the first question was less than half a minute ago");
}

/// The clock is set forward; what comes over the network needs the real one.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_new_key_is_found_and_all_wait_for_one_question() {
    let world = World::new().await;
    let newer = Signers::new();
    assert!(world.verify(&world.issuer.token(&world.claims())).await.is_ok());
    let mut key = newer.published().remove(1);
    key["kid"] = json!("new");
    world.issuer.publish(vec![key]);
    let token = newer.sign(&header(&json!({ "kid": "new" })), &world.claims());
    assert_eq!(world.verify(&token).await, Err(Invalid::UnknownKey), "it is too early to ask again");
    pass(Duration::from_secs(31)).await;
    world.issuer.hold();
    let many = futures::future::join_all((0..100).map(|_| world.verify(&token)));
    let (outcomes, ()) = tokio::join!(many, async {
        while world.issuer.questions() < 2 {
            tokio::task::yield_now().await;
        }
        world.issuer.go_on();
    });
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(world.issuer.questions(), 2);
    // What was found good with keys that are gone is found out anew.
    assert_eq!(world.verify(&world.issuer.token(&world.claims())).await, Err(Invalid::UnknownKey));
}

#[tokio::test]
async fn a_new_key_without_a_name_is_found_too() {
    let world = World::with(|spec| spec.algorithms = vec![SigningAlgorithm::Es256]).await;
    let newer = Signers::new();
    let nameless = json!({ "kid": null });
    assert!(world.verify(&world.issuer.signers().sign(&header(&nameless), &world.claims())).await.is_ok());
    world.issuer.publish(vec![changed(newer.published().remove(1), &nameless)]);
    pass(Duration::from_secs(31)).await;
    assert!(world.verify(&newer.sign(&header(&nameless), &world.claims())).await.is_ok());
}

#[tokio::test]
async fn keys_are_renewed_beside_the_requests_and_used_while_they_cannot_be() {
    let world = World::new().await;
    let token = world.issuer.token(&world.claims());
    assert!(world.verify(&token).await.is_ok());
    world.issuer.set_broken(true);
    pass(Duration::from_mins(11)).await;
    assert!(world.verify(&token).await.is_ok(), "the old keys do as long as there are no others");
    while world.issuer.questions() < 2 {
        tokio::task::yield_now().await;
    }
    // Whether a key is new cannot be told now.
    let unknown = world.issuer.signers().sign(&header(&json!({ "kid": "new" })), &world.claims());
    let Err(Invalid::KeysUnavailable { retry_after }) = world.verify(&unknown).await else {
        panic!("refused otherwise")
    };
    assert!(
        retry_after > Duration::from_secs(20) && retry_after <= Duration::from_secs(30),
        "{retry_after:?}"
    );
    assert!(world.verify(&token).await.is_ok());
    world.issuer.set_broken(false);
    world.issuer.publish(Vec::new());
    pass(Duration::from_secs(31)).await;
    assert!(world.verify(&token).await.is_ok(), "nobody waits for the renewal");
    eventually(async || world.verify(&token).await == Err(Invalid::UnknownKey)).await;
}

async fn eventually(is_so: impl AsyncFn() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not come about");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn nobody_comes_in_before_the_keys_are_there() {
    let issuer = Issuer::start().await;
    issuer.set_broken(true);
    let server = server(spec(&issuer.url));
    let world = World { issuer, server };
    let token = world.issuer.token(&world.claims());
    let refused = world.verify(&token).await;
    assert!(matches!(refused, Err(Invalid::KeysUnavailable { .. })), "{refused:?}");
    assert_eq!(refused.expect_err("refused").status(), 503);
    world.issuer.set_broken(false);
    assert!(world.verify(&token).await.is_err(), "it is asked again in some seconds");
    pass(Duration::from_secs(6)).await;
    assert!(world.verify(&token).await.is_ok());
}

#[tokio::test]
async fn an_issuer_that_calls_itself_otherwise_is_not_believed() {
    let issuer = Issuer::start().await;
    let port = issuer.url.rsplit(':').next().expect("a port");
    let spec = spec(&format!("http://localhost:{port}"));
    let world = World { server: server(spec), issuer };
    let refused = world.verify(&world.issuer.token(&world.claims())).await;
    assert!(matches!(refused, Err(Invalid::KeysUnavailable { .. })), "{refused:?}");
    assert_eq!(world.issuer.questions(), 0);
}

#[tokio::test]
async fn a_resource_is_described() {
    let world = World::new().await;
    let url = "https://mcp.example.com/.well-known/oauth-protected-resource";
    assert_eq!(world.server.metadata_url(RESOURCE), format!("{url}/servers/a/mcp"));
    assert_eq!(world.server.metadata_url("https://mcp.example.com"), url);
    assert_eq!(
        world.server.metadata_url("https://mcp.example.com:8443/x/"),
        "https://mcp.example.com:8443/.well-known/oauth-protected-resource/x"
    );
    assert_eq!(
        world.server.metadata(RESOURCE),
        json!({
            "resource": RESOURCE, "authorization_servers": [world.issuer.url], "scopes_supported": ["mcp:use"],
            "bearer_methods_supported": ["header"], "resource_name": "mcp-switchboard",
        })
    );
}
