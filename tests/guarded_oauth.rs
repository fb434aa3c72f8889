//! Who calls with an access token: what it is good for, for how long, and what is told to whoever has none that does.

#![expect(clippy::unwrap_used, reason = "a test that cannot start has failed")]
#![expect(clippy::needless_pass_by_value, reason = "a story writes its JSON where it is needed")]

mod support;

use http::Method;
use serde_json::{Value, json};
use support::eventually;
use support::issuer::{Issuer, Signers, encode, now};
use support::mcp::{Answer, Client, hello, request};
use support::modern::Modern;
use support::router::{Router, demo, pids, with};

/// What the router is called by its clients. Nothing is asked there.
const ROUTER: &str = "https://mcp.example.com";
const KEY: &str = "key-of-an-operator-012345";
const METADATA: &str = "/.well-known/oauth-protected-resource";

struct World {
    issuer: Issuer,
    router: Router,
}

impl World {
    /// A router with the servers `one` and `two`, which believes an issuer; a key administers it.
    async fn new() -> Self {
        Self::with(json!({}), json!([])).await
    }

    /// The same with more keys for `auth.oauth`, and more rules.
    async fn with(more: Value, rules: Value) -> Self {
        let issuer = Issuer::start().await;
        let router = router(&issuer, more, rules).await;
        Self { issuer, router }
    }

    /// A token of a subject, for a path of the router.
    fn token(&self, path: &str, subject: &str) -> String {
        self.issuer.token(&self.claims(path, subject))
    }

    fn claims(&self, path: &str, subject: &str) -> Value {
        self.issuer.claims(&format!("{ROUTER}{path}"), subject)
    }

    fn at(&self, path: &str, token: &str) -> Client {
        Client::at(self.router.url(path)).with("authorization", &format!("Bearer {token}"))
    }

    /// A client in a session.
    async fn opened(&self, path: &str, token: &str) -> Client {
        self.at(path, token).opened("2025-11-25", json!({})).await
    }

    /// What `/status` tells the operator of a mount.
    async fn mount(&self, name: &str) -> Value {
        self.at("/status", KEY).get().await.json().await["servers"][name].take()
    }
}

async fn router(issuer: &Issuer, more: Value, rules: Value) -> Router {
    Router::start(file(issuer, more, rules), &["--reload-interval", "0.05"]).await
}

fn file(issuer: &Issuer, more: Value, rules: Value) -> Value {
    let lazy = with(demo(), &json!({ "startup": "lazy", "pool": { "warm": 0 } }));
    let oauth = json!({ "issuer": issuer.url, "audience": ROUTER, "scopes": ["mcp:use"] });
    let operator = json!({ "who": ["operator"], "servers": ["*"], "views": ["*"], "admin": true });
    let mut rules = rules.as_array().unwrap().clone();
    if !rules.is_empty() {
        rules.push(operator);
    }
    let auth = json!({
        "tokens": [{ "name": "operator", "token": KEY }], "oauth": with(oauth, &more), "rules": rules,
    });
    json!({
        "mcpServers": { "one": lazy, "two": lazy }, "aggregate": { "views": { "both": {} } }, "auth": auth,
    })
}

fn initialize() -> String {
    request(json!(1), "initialize", hello("2025-11-25", json!({})))
}

fn changed(mut claims: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

/// What a refusal says in its challenge.
fn challenge(answer: &Answer) -> String {
    answer.header("www-authenticate").to_owned()
}

#[tokio::test]
async fn whoever_has_no_token_is_told_where_to_get_one_for_what_he_wants() {
    let world = World::new().await;
    for (path, resource) in [
        ("/servers/one/mcp", "/servers/one/mcp"),
        ("/servers/one/mcp/", "/servers/one/mcp"),
        ("/servers/one/sse", "/servers/one/sse"),
        ("/servers/one/messages", "/servers/one/sse"),
        ("/servers/none/mcp", "/servers/none/mcp"),
        ("/views/both/mcp", "/views/both/mcp"),
        ("/mcp", "/mcp"),
        ("/sse", "/sse"),
    ] {
        let answer = Client::at(world.router.url(path)).post(initialize()).await;
        assert_eq!(answer.status, 401, "{path}");
        let document = format!("{METADATA}{resource}");
        let wanted = format!(
            r#"Bearer realm="mcp-switchboard", scope="mcp:use", resource_metadata="{ROUTER}{document}""#
        );
        assert_eq!(challenge(&answer), wanted, "{path}");
        let (status, found) = world.router.get(&document).await;
        let described = json!({
            "resource": format!("{ROUTER}{resource}"), "authorization_servers": [world.issuer.url],
            "scopes_supported": ["mcp:use"], "bearer_methods_supported": ["header"],
            "resource_name": "mcp-switchboard",
        });
        assert_eq!((status, found), (200, described), "{path}");
    }
    let (status, found) = world.router.get(METADATA).await;
    assert_eq!((status, &found["resource"]), (200, &json!(ROUTER)));
    for nothing in ["/servers/one", "/servers/one/mcp/more", "/status", "/healthz", "-more", "//mcp"] {
        let answer = Client::at(world.router.url(&format!("{METADATA}{nothing}"))).get().await;
        assert_eq!(answer.status, 404, "{nothing}");
    }
    // By the name that tokens are for, it may be called.
    let named = Client::at(world.router.mcp("one")).with("host", "mcp.example.com");
    assert_eq!(named.post(initialize()).await.status, 401);
    let refused = Client::at(world.router.url(METADATA)).post("{}").await;
    assert_eq!((refused.status.as_u16(), refused.header("allow")), (405, "GET, HEAD, OPTIONS"));
    let status = Client::at(world.router.url("/status")).get().await;
    assert!(challenge(&status).ends_with(&format!("resource_metadata=\"{ROUTER}{METADATA}\"")));
    assert!(pids(&world.mount("one").await).is_empty(), "nothing was started for strangers");
}

#[tokio::test]
async fn a_token_is_good_for_what_it_is_for_and_for_nothing_else() {
    let world = World::new().await;
    let token = world.token("/servers/one/mcp", "alice");
    let client = world.opened("/servers/one/mcp", &token).await;
    assert_eq!(client.ask("echo", json!({ "text": "in" })).await, "in");
    let modern = Modern::at(world.router.mcp("one")).with("authorization", &format!("Bearer {token}"));
    assert_eq!(modern.ask("echo", json!({ "text": "in" })).await, "in");
    assert_eq!(world.at("/servers/one/health", &token).get().await.status, 200);
    // The two transports of a server are one thing.
    let mut stream = world.at("/servers/one/sse", &token).get().await.events();
    let endpoint = stream.next().await.unwrap().data.unwrap();
    assert_eq!(world.at(&endpoint, &token).post(initialize()).await.status, 202);

    for path in ["/servers/two/mcp", "/servers/two/sse", "/views/both/mcp", "/mcp", "/servers/none/mcp"] {
        let answer = world.at(path, &token).post(initialize()).await;
        assert_eq!(answer.status, 401, "{path}");
        assert!(challenge(&answer).contains(r#"error="invalid_token""#), "{path}");
    }
    assert_eq!(world.at("/status", &token).get().await.status, 401);
    let whole = world.token("", "alice");
    assert_eq!(world.at("/status", &whole).get().await.status, 200);
    for (path, token) in [
        ("/mcp", whole.clone()),
        ("/mcp", world.token("/mcp", "alice")),
        ("/views/both/mcp", world.token("/views/both/mcp", "alice")),
    ] {
        let client = world.opened(path, &token).await;
        assert_eq!(client.ask("one__echo", json!({ "text": "in" })).await, "in", "{path}");
    }
    assert_eq!(world.at("/servers/one/mcp", &whole).post(initialize()).await.status, 401);
    // A key beside it is still a key, and a token is no key.
    assert_eq!(world.at("/servers/two/mcp", KEY).post(initialize()).await.status, 200);
    let as_key = Client::at(world.router.mcp("one")).with("x-api-key", &token);
    assert_eq!(as_key.post(initialize()).await.status, 401);
    assert_eq!(world.issuer.questions(), 1);
}

#[tokio::test]
async fn a_token_that_is_not_good_is_refused_with_its_reason_and_starts_nothing() {
    let world = World::with(json!({ "leeway": 5 }), json!([])).await;
    let path = "/servers/one/mcp";
    let claims = world.claims(path, "alice");
    let with = |changes: Value| world.issuer.token(&changed(claims.clone(), &changes));
    let resource = format!("{ROUTER}{path}");
    let signed = |header: Value| world.issuer.signers().sign(&header, &claims);
    let none = format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(claims.to_string()));
    let stranger = Signers::new().sign(&json!({ "alg": "ES256", "kid": "p256" }), &claims);
    let table = [
        ("another audience", with(json!({ "aud": "https://other.example" })), "for another resource"),
        ("a part of the audience", with(json!({ "aud": ROUTER })), "for another resource"),
        ("the audience and more", with(json!({ "aud": format!("{resource}/x") })), "for another resource"),
        ("the audience and a slash", with(json!({ "aud": format!("{resource}/") })), "for another resource"),
        (
            "the audience as a user name",
            with(json!({ "aud": resource.replace(".com", ".com@evil.example") })),
            "for another resource",
        ),
        ("the audience in capitals", with(json!({ "aud": resource.to_uppercase() })), "for another resource"),
        ("no audience", with(json!({ "aud": [] })), "for another resource"),
        ("it has expired", with(json!({ "exp": now() - 6 })), "has expired"),
        ("it never expires", with(json!({ "exp": null })), "when it expires"),
        ("it begins later", with(json!({ "nbf": now() + 60 })), "not valid yet"),
        ("another issuer", with(json!({ "iss": "https://evil.example" })), "another issuer"),
        (
            "the issuer and a slash",
            with(json!({ "iss": format!("{}/", world.issuer.url) })),
            "another issuer",
        ),
        ("nobody", with(json!({ "sub": "" })), "its subject"),
        ("no signature", none, "algorithm"),
        ("the public key as a secret", signed(json!({ "alg": "HS256", "kid": "rsa" })), "algorithm"),
        (
            "a key of another kind",
            signed(json!({ "alg": "ES256", "kid": "rsa" })),
            "key that its issuer does not",
        ),
        ("a stranger's signature", stranger, "signature"),
        ("a critical header", signed(json!({ "alg": "ES256", "kid": "p256", "crit": ["x"] })), "critical"),
        ("no token at all", "nonsense".to_owned(), "not a signed JWT"),
        ("one that is too long", "x".repeat(9000), "longer than"),
    ];
    for (what, token, reason) in &table {
        for client in [world.at(path, token), world.at("/servers/one/sse", token)] {
            let answer = client.post(initialize()).await;
            assert_eq!(answer.status, 401, "{what}");
            let challenge = challenge(&answer);
            assert!(
                challenge.contains(r#"error="invalid_token", error_description="the "#),
                "{what}: {challenge}"
            );
            assert!(challenge.contains(reason), "{what}: {challenge}");
            assert!(challenge.contains(r#"scope="mcp:use", resource_metadata=""#), "{what}: {challenge}");
            let (challenge, body) = (challenge.clone(), answer.text().await);
            for part in token.split('.').filter(|part| part.len() > 10) {
                assert!(!challenge.contains(part) && !body.contains(part), "{what}: {body}");
            }
        }
    }
    // A token that lacks the scope is good, but not for this.
    let answer = world.at(path, &with(json!({ "scope": "other" }))).post(initialize()).await;
    assert_eq!(answer.status, 403);
    let challenge = challenge(&answer);
    assert!(challenge.contains(r#"error="insufficient_scope""#), "{challenge}");
    assert!(challenge.contains(r#"scope="mcp:use", resource_metadata="#), "{challenge}");
    // One in the URL is none.
    let good = world.issuer.token(&claims);
    for query in ["access_token", "token"] {
        let answer = Client::at(world.router.url(&format!("{path}?{query}={good}"))).post(initialize()).await;
        assert_eq!(answer.status, 401);
        assert!(!self::challenge(&answer).contains("error"));
    }
    let mount = world.mount("one").await;
    assert_eq!((pids(&mount), &mount["requests"]), (vec![], &json!(0)), "nothing was started for them");
    let log = world.router.log();
    for (what, token, _) in table.iter().filter(|(_, token, _)| token.len() > 10) {
        let signature = token.rsplit('.').next().filter(|signature| signature.len() > 10);
        assert!(signature.is_none_or(|signature| !log.contains(signature)), "{what} is in the log");
    }
    assert_eq!(world.at(path, &good).post(initialize()).await.status, 200);
}

#[tokio::test]
async fn a_thousand_tokens_with_unknown_keys_lead_to_one_question() {
    let world = World::new().await;
    let path = "/servers/one/mcp";
    assert_eq!(world.at(path, &world.token(path, "alice")).post(initialize()).await.status, 200);
    let claims = world.claims(path, "alice");
    let http = support::http_client();
    for number in 0..1000 {
        let header = json!({ "alg": "ES256", "kid": format!("unknown-{number}") });
        let token = world.issuer.signers().sign(&header, &claims);
        let asked = http.request(Method::POST, world.router.url(path)).bearer_auth(token).body("{}");
        assert_eq!(asked.send().await.unwrap().status(), 401);
    }
    assert_eq!(world.issuer.questions(), 1);
}

#[tokio::test]
async fn a_session_belongs_to_its_subject_whose_token_may_be_refreshed() {
    let world = World::new().await;
    let path = "/servers/one/mcp";
    let alice = world.opened(path, &world.token(path, "alice")).await;
    let shows =
        |client: &Client, token: &str| client.clone().with("authorization", &format!("Bearer {token}"));
    let bob = shows(&alice, &world.token(path, "bob"));
    assert_eq!(bob.call(1, "echo", json!({ "text": "mine?" })).await.refusal().await, (404, -32001));
    assert_eq!(bob.events_only().get().await.status, 404);
    assert_eq!(bob.delete().await.status, 404);
    let operator = shows(&alice, KEY);
    assert_eq!(operator.call(1, "echo", json!({ "text": "mine?" })).await.status, 404);
    let nobody = alice.clone().without("authorization");
    assert_eq!(nobody.call(1, "echo", json!({ "text": "mine?" })).await.status, 401);
    let claims = changed(world.claims(path, "alice"), &json!({ "jti": "another", "client_id": "other" }));
    let refreshed = shows(&alice, &world.issuer.token(&claims));
    assert_eq!(refreshed.ask("echo", json!({ "text": "still mine" })).await, "still mine");
    assert_eq!(refreshed.delete().await.status, 204);
}

#[tokio::test]
async fn open_streams_end_with_the_token() {
    let world = World::with(json!({ "leeway": 0 }), json!([])).await;
    let path = "/servers/one/mcp";
    let short = world.issuer.token(&changed(world.claims(path, "alice"), &json!({ "exp": now() + 4 })));
    let client = world.opened(path, &short).await;
    let standalone = client.listen().await;
    let mut sse = world.at("/servers/one/sse", &short).get().await.events();
    sse.next().await.unwrap();
    let modern = Modern::at(world.router.mcp("one")).with("authorization", &format!("Bearer {short}"));
    let filter = json!({ "notifications": { "toolsListChanged": true } });
    let subscription = modern.request(1, "subscriptions/listen", filter).await.events();
    let long = world.token(path, "alice");
    let renewed = client.clone().with("authorization", &format!("Bearer {long}"));
    let other = world.opened(path, &long).await.listen().await;

    support::within("all of them end", async {
        tokio::join!(standalone.rest(), sse.rest(), subscription.rest());
    })
    .await;
    let refused = client.call(1, "echo", json!({ "text": "x" })).await;
    assert_eq!(refused.status, 401);
    assert!(challenge(&refused).contains("the token has expired"));
    assert_eq!(renewed.ask("echo", json!({ "text": "still mine" })).await, "still mine");
    let again = renewed.listen().await;
    let waiting = tokio::time::timeout(std::time::Duration::from_millis(100), async {
        tokio::join!(again.rest(), other.rest())
    });
    assert!(waiting.await.is_err(), "those of another token stay open");
}

#[tokio::test]
async fn what_wants_another_scope_says_which() {
    let rules = json!([
        { "who": ["scope:mcp:use"], "servers": ["one"], "tools": { "allow": ["one__echo"] } },
        { "who": ["scope:mcp:all"], "servers": ["*"], "views": ["*"], "tools": { "deny": ["*__toggle"] } },
        { "who": ["group:staff"], "servers": ["two"] },
        { "who": ["sub:carol"], "servers": ["two"] },
        { "who": ["anonymous"], "servers": ["two"], "tools": { "allow": ["two__echo"] } },
    ]);
    let world = World::with(json!({}), rules).await;
    let path = "/servers/one/mcp";
    let wanted = |answer: &Answer, resource: &str| {
        assert_eq!(answer.status, 403);
        let challenge = challenge(answer);
        let end = format!(r#"scope="mcp:use mcp:all", resource_metadata="{ROUTER}{METADATA}{resource}""#);
        assert!(
            challenge.contains(r#"error="insufficient_scope""#) && challenge.ends_with(&end),
            "{challenge}"
        );
    };
    let few = world.token(path, "alice");
    let many = changed(world.claims(path, "alice"), &json!({ "scope": "mcp:use mcp:all" }));
    let many = world.issuer.token(&many);
    let client = world.opened(path, &few).await;
    assert_eq!(client.ask("echo", json!({ "text": "may" })).await, "may");
    wanted(&client.call(1, "add", json!({ "a": 1, "b": 2 })).await, path);
    let modern = Modern::at(world.router.mcp("one")).with("authorization", &format!("Bearer {few}"));
    wanted(&modern.call(1, "add", json!({ "a": 1, "b": 2 })).await, path);
    // More scopes are more rights, also in the session that there is; and fewer are fewer.
    let stepped = client.clone().with("authorization", &format!("Bearer {many}"));
    assert_eq!(stepped.ask("add", json!({ "a": 1, "b": 2 })).await, "3");
    wanted(&client.call(2, "add", json!({ "a": 1, "b": 2 })).await, path);
    // No scope helps with what is denied, so that none is named.
    let denied = stepped.call(3, "toggle", json!({})).await;
    assert_eq!(denied.status, 200);
    assert_eq!(denied.outcome().await["error"]["code"], -31007);

    let two = world.token("/servers/two/mcp", "alice");
    wanted(&world.at("/servers/two/mcp", &two).post(initialize()).await, "/servers/two/mcp");
    let view = world.token("/views/both/mcp", "alice");
    wanted(&world.at("/views/both/mcp", &view).post(initialize()).await, "/views/both/mcp");
    // Groups and subjects are known by the token as well.
    for claims in [
        changed(world.claims("/servers/two/mcp", "bob"), &json!({ "groups": ["staff"] })),
        world.claims("/servers/two/mcp", "carol"),
    ] {
        let client = world.opened("/servers/two/mcp", &world.issuer.token(&claims)).await;
        assert_eq!(client.ask("add", json!({ "a": 1, "b": 2 })).await, "3");
    }
    // Who shows nothing may something, and is told how to get more.
    let anonymous = Client::at(world.router.mcp("two"));
    assert_eq!(anonymous.post(initialize()).await.status, 200);
    let refused = Client::at(world.router.mcp("one")).post(initialize()).await;
    assert_eq!(refused.status, 401);
    assert!(challenge(&refused).contains("resource_metadata"));
}

#[tokio::test]
async fn behind_all_servers_together_each_token_has_its_own_rights_too() {
    let rules = json!([
        { "who": ["scope:mcp:use"], "servers": ["one"] },
        { "who": ["scope:mcp:all"], "servers": ["two"] },
    ]);
    let world = World::with(json!({}), rules).await;
    let few = world.token("/mcp", "alice");
    let many = changed(world.claims("/mcp", "alice"), &json!({ "scope": "mcp:use mcp:all" }));
    let many = world.opened("/mcp", &world.issuer.token(&many)).await;
    assert_eq!(many.ask("two__echo", json!({ "text": "may" })).await, "may");
    let fewer = many.clone().with("authorization", &format!("Bearer {few}"));
    let refused = fewer.call(1, "two__echo", json!({ "text": "x" })).await;
    assert_eq!(refused.outcome().await["error"]["code"], -32602, "there is no such tool for this token");
    assert_eq!(fewer.ask("one__echo", json!({ "text": "may" })).await, "may");
    assert_eq!(many.ask("two__echo", json!({ "text": "may" })).await, "may");
}

#[tokio::test]
async fn nobody_comes_in_while_the_issuer_cannot_be_asked_but_with_keys() {
    let issuer = Issuer::start().await;
    issuer.set_broken(true);
    let router = router(&issuer, json!({}), json!([])).await;
    let world = World { issuer, router };
    let path = "/servers/one/mcp";
    let token = world.token(path, "alice");
    let answer = world.at(path, &token).post(initialize()).await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").parse::<u64>().unwrap() <= 5);
    assert_eq!(answer.refusal().await, (503, -31001));
    assert_eq!(world.at(path, KEY).post(initialize()).await.status, 200);
    world.issuer.set_broken(false);
    let comes_in = async || {
        let answer = world.at(path, &token).post(initialize()).await;
        (answer.status == 200).then_some(())
    };
    eventually("it is asked again", comes_in).await;
    // From now on it is not needed.
    world.issuer.set_broken(true);
    assert_eq!(world.at(path, &world.token(path, "bob")).post(initialize()).await.status, 200);
}

#[tokio::test]
async fn a_changed_file_changes_whose_tokens_are_believed() {
    let world = World::new().await;
    let path = "/servers/one/mcp";
    let alice = world.opened(path, &world.token(path, "alice")).await;
    let stream = alice.listen().await;
    let other = Issuer::start().await;
    let changed = file(&other, json!({}), json!([])).to_string();
    std::fs::write(world.router.path("servers.json"), changed).unwrap();
    support::within("the stream ends", stream.rest()).await;
    let refused = alice.call(1, "echo", json!({ "text": "x" })).await;
    assert_eq!(refused.status, 401);
    assert!(challenge(&refused).contains("the signature of the token is wrong"));
    let token = other.token(&other.claims(&format!("{ROUTER}{path}"), "alice"));
    let client = world.opened(path, &token).await;
    assert_eq!(client.ask("echo", json!({ "text": "in" })).await, "in");
    let theirs = alice.with("authorization", &format!("Bearer {token}"));
    let refused = theirs.call(1, "echo", json!({ "text": "mine?" })).await;
    assert_eq!(refused.status, 404, "alice of another issuer is somebody else");
    let (_, document) = world.router.get(&format!("{METADATA}{path}")).await;
    assert_eq!(document["authorization_servers"], json!([other.url]));
}

#[tokio::test]
async fn a_file_that_protects_nothing_as_it_says_is_refused() {
    let start = async |oauth: Value| {
        let file = json!({ "mcpServers": { "one": demo() }, "auth": { "oauth": oauth } });
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("servers.json");
        std::fs::write(&path, file.to_string()).unwrap();
        let mut command = std::process::Command::new(support::router::BINARY);
        let output = command.arg("--check").arg("--named-server-config").arg(&path).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let told =
        start(json!({ "issuer": "https://a.example", "audience": "https://b.example", "scope": [] })).await;
    assert!(told.contains("auth.oauth.scope: unknown key, which is not ignored here"), "{told}");
    let told = start(json!({ "issuer": "http://a.example", "audience": "https://b.example" })).await;
    assert!(told.contains("auth.oauth.issuer: found a string, wanted the https:// URL"), "{told}");
    let told = start(json!({ "issuer": "https://a.example" })).await;
    assert!(told.contains("auth.oauth.audience: found nothing"), "{told}");
}
