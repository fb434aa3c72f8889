//! Logging in to a server: the whole way, against an authorization server in this process.

#![allow(missing_docs, reason = "a test says what it promises in its name")]

#[path = "oauth/authority.rs"]
mod authority;
#[path = "oauth/desk.rs"]
mod desk;
#[path = "oauth/world.rs"]
mod world;

use std::sync::{Arc, Mutex};

use authority::Nature;
use desk::Desk;
use mcp_switchboard::oauth::{Browser, LoginError, LoginSpec, Secret};
use reqwest::StatusCode;
use tokio::sync::Notify;
use url::Url;
use world::World;

#[tokio::test]
async fn a_refused_request_leads_to_a_login_which_lasts() {
    let world = World::new(Nature { lifetime: Some(0), ..Nature::default() }).await;
    let login = world.login(world.spec());
    assert_eq!(login.authorization().await, None);
    assert_eq!(world.call(&login).await.expect("a login"), StatusCode::OK);
    {
        let record = world.authority.record();
        let registration = &record.registrations[0];
        assert_eq!(registration["application_type"], "native");
        assert_eq!(registration["token_endpoint_auth_method"], "none");
        assert_eq!(registration["grant_types"][1], "refresh_token");
        let visit = &record.visits[0];
        assert_eq!(visit["resource"], world.authority.resource().as_str());
        assert_eq!(visit["scope"], "basic offline_access");
        assert_eq!(visit["prompt"], "consent");
        assert_eq!(visit["client_id"], "registered");
    }
    // Its time is over at once, so that each request refreshes it; a refresh token works once.
    for _ in 0..3 {
        assert_eq!(world.call(&login).await.expect("a refresh"), StatusCode::OK);
    }
    let another_process = world.login(world.spec());
    assert_eq!(world.call(&another_process).await.expect("a refresh"), StatusCode::OK);
    assert_eq!(
        world.authority.grants(),
        ["authorization_code", "refresh_token", "refresh_token", "refresh_token", "refresh_token"]
    );
    assert_eq!((world.visits(), world.authority.record().registrations.len()), (1, 1));
}

#[tokio::test]
async fn a_revoked_token_is_refreshed_and_a_revoked_login_is_made_anew() {
    let world = World::new(Nature::default()).await;
    let login = world.login(world.spec());
    world.call(&login).await.expect("a login");
    world.authority.revoke(false);
    world.call(&login).await.expect("a refresh");
    assert_eq!(world.visits(), 1);
    world.authority.revoke(true);
    world.call(&login).await.expect("a login");
    assert_eq!(world.visits(), 2);
}

#[tokio::test]
async fn a_token_endpoint_that_does_not_work_is_an_error_and_no_new_login() {
    let world = World::new(Nature::default()).await;
    let login = world.login(world.spec());
    world.call(&login).await.expect("a login");
    world.authority.revoke(false);
    world.authority.record().broken = true;
    let error = world.call(&login).await.expect_err("no token");
    assert!(matches!(error, LoginError::Unintelligible { .. }), "{error}");
    world.authority.record().broken = false;
    world.call(&login).await.expect("a refresh");
    assert_eq!(world.visits(), 1);
}

#[tokio::test]
async fn many_that_want_to_log_in_at_once_make_one_login() {
    let world = World::new(Nature::default()).await;
    let (one, two) = (world.login(world.spec()), world.login(world.spec()));
    let calls = [&one, &two, &one, &two, &one, &two].map(|login| world.call(login));
    for outcome in futures::future::join_all(calls).await {
        assert_eq!(outcome.expect("a login"), StatusCode::OK);
    }
    assert_eq!((world.visits(), world.authority.grants().len()), (1, 1));
}

#[tokio::test]
async fn a_client_with_a_secret_of_its_own_asks_nobody() {
    for body_only in [false, true] {
        let world = World::new(Nature { body_only, lifetime: Some(3600), ..Nature::default() }).await;
        let token_url = format!("{}/token", world.authority.origin).parse().expect("a URL");
        let spec = LoginSpec {
            client_id: Some("me".to_owned()),
            client_secret: Some(Secret::new("client-secret")),
            token_url: Some(token_url),
            scopes: vec!["more".to_owned()],
            interactive: false,
            ..world.spec()
        };
        let login = world.login(spec);
        for _ in 0..2 {
            world.call(&login).await.expect("a token");
        }
        world.authority.revoke(false);
        world.call(&login).await.expect("a token");
        let grants = world.authority.grants().len();
        assert_eq!((world.visits(), grants), (0, if body_only { 3 } else { 2 }));
        assert_eq!(world.authority.record().grants[0]["scope"], "more");
        assert!(!world.store.path().join("logins").exists(), "nothing is kept");
    }
}

#[tokio::test]
async fn where_there_is_no_browser_words_are_entered_elsewhere() {
    let world = World::new(Nature { device: true, pkce: false, ..Nature::default() }).await;
    let login = world.login(LoginSpec { browser: Browser::None, ..world.spec() });
    world.call(&login).await.expect("a login");
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    assert_eq!(world.authority.grants(), [grant, grant], "the first was too early");
    let record = world.authority.record();
    assert_eq!(record.registrations[0]["grant_types"][0], grant);
    assert_eq!(record.visits[0]["resource"], world.authority.resource().as_str());
}

#[tokio::test]
async fn more_scopes_are_asked_for_when_the_server_wants_them() {
    let world = World::new(Nature { wanted: "more", ..Nature::default() }).await;
    let login = world.login(world.spec());
    world.call(&login).await.expect("two logins");
    let scopes: Vec<_> = world.authority.record().visits.iter().map(|visit| visit["scope"].clone()).collect();
    assert_eq!(scopes, ["basic offline_access", "basic more offline_access"]);
}

#[tokio::test]
async fn the_user_is_not_asked_again_and_again() {
    let world = World::new(Nature { wanted: "nobody has it", ..Nature::default() }).await;
    let login = world.login(world.spec());
    let error = world.call(&login).await.expect_err("no token will do");
    assert!(matches!(error, LoginError::TooOften), "{error}");
    assert_eq!(world.visits(), 3);
}

#[tokio::test]
async fn an_answer_with_another_state_is_refused_and_the_right_one_waited_for() {
    let world = World::new(Nature::default()).await;
    let (client, tracker, seen) = (world.client.clone(), world.tracker.clone(), Arc::new(Mutex::new(None)));
    let note = Arc::clone(&seen);
    let browser = Browser::With(Arc::new(move |url: &Url| {
        let (client, url, note) = (client.clone(), url.clone(), Arc::clone(&note));
        tracker.spawn(async move {
            let parameters: std::collections::BTreeMap<_, _> = url.query_pairs().into_owned().collect();
            let mut forged: Url = parameters["redirect_uri"].parse().expect("a URL");
            forged.set_query(Some("code=forged&state=guessed"));
            let status = client.get(forged).send().await.expect("an answer").status();
            *note.lock().expect("no panic") = Some(status);
            client.get(url).send().await
        });
    }));
    let login = world.login(LoginSpec { browser, ..world.spec() });
    world.call(&login).await.expect("a login");
    assert_eq!(*seen.lock().expect("no panic"), Some(StatusCode::BAD_REQUEST));
    assert_eq!(world.authority.record().grants[0]["code"], "code-1");
}

#[tokio::test]
async fn what_is_not_as_it_must_be_is_refused_before_the_user_is_asked() {
    type Expected = fn(&LoginError) -> bool;
    let table: [(Nature, Expected); 6] = [
        (Nature { pkce: false, ..Nature::default() }, |error| matches!(error, LoginError::NoPkce)),
        (Nature { registers: false, ..Nature::default() }, |error| {
            matches!(error, LoginError::NoRegistration)
        }),
        (Nature { resource: Some("https://evil.example/mcp"), ..Nature::default() }, |error| {
            matches!(error, LoginError::OtherResource { .. })
        }),
        (Nature { issuer: Some("https://honest.example"), ..Nature::default() }, |error| {
            matches!(error, LoginError::OtherIssuer { .. })
        }),
        (Nature { redirects: true, ..Nature::default() }, |error| {
            matches!(error, LoginError::NoMetadata { .. })
        }),
        (Nature { padding: 300_000, ..Nature::default() }, |error| matches!(error, LoginError::Fetch(_))),
    ];
    for (nature, expected) in table {
        let world = World::new(nature).await;
        let error = world.call(&world.login(world.spec())).await.expect_err("it is refused");
        assert!(expected(&error), "{error:?}");
        assert_eq!(world.visits(), 0);
    }
}

#[tokio::test]
async fn what_the_browser_brings_back_is_judged_before_the_code_is_used() {
    let world = World::new(Nature { iss: Some("https://another.example"), ..Nature::default() }).await;
    let error = world.call(&world.login(world.spec())).await.expect_err("it is refused");
    assert!(matches!(error, LoginError::MixedUp), "{error:?}");
    assert!(world.authority.grants().is_empty());

    let world = World::new(Nature { denies: true, ..Nature::default() }).await;
    let error = world.call(&world.login(world.spec())).await.expect_err("the user said no");
    assert!(matches!(&error, LoginError::Denied { reason } if reason == "access_denied"), "{error:?}");
}

#[tokio::test]
async fn where_nobody_is_to_be_asked_a_login_made_elsewhere_is_found() {
    let world = World::new(Nature::default()).await;
    let login = world.login(LoginSpec { interactive: false, ..world.spec() });
    let error = world.call(&login).await.expect_err("nobody may be asked");
    assert!(matches!(error, LoginError::NotInteractive), "{error:?}");
    world.call(&world.login(world.spec())).await.expect("a login");
    world.call(&login).await.expect("it is found");
    assert_eq!(world.visits(), 1);
}

#[tokio::test]
async fn a_server_of_the_first_revision_with_oauth_is_its_own_authority() {
    let world = World::new(Nature { resource_metadata: false, ..Nature::default() }).await;
    world.call(&world.login(world.spec())).await.expect("a login");
    assert!(!world.authority.record().visits[0].contains_key("scope"));
}

#[tokio::test]
async fn a_client_that_is_known_already_does_not_register() {
    let world = World::new(Nature { documents: true, ..Nature::default() }).await;
    let configured = LoginSpec {
        client_id: Some("me".to_owned()),
        client_secret: Some(Secret::new("client-secret")),
        ..world.spec()
    };
    world.call(&world.login(configured)).await.expect("a login");
    let kept = std::fs::read_to_string(world.kept()).expect("a login");
    assert!(kept.contains("refresh-1") && !kept.contains("client-secret"), "{kept}");
    let document = "https://client.example/document.json";
    let described = LoginSpec { client_metadata_url: document.parse().ok(), ..world.spec() };
    world.call(&world.login(described)).await.expect("a login");
    let record = world.authority.record();
    assert_eq!(record.basic, ["me:client-secret"]);
    assert_eq!(record.visits[1]["client_id"], document);
    assert!(record.registrations.is_empty());
}

#[tokio::test]
async fn a_client_that_was_registered_by_hand_is_shown_to_no_other_authority() {
    let world = World::new(Nature::default()).await;
    let spec = LoginSpec { client_id: Some("me".to_owned()), ..world.spec() };
    world.call(&world.login(spec.clone())).await.expect("a login");
    let issuer = format!("\"issuer\": \"{}", world.authority.origin);
    let kept = std::fs::read_to_string(world.kept()).expect("a login");
    let kept = kept.replace(&issuer, "\"issuer\": \"https://before.example");
    std::fs::write(world.kept(), kept).expect("it is ours");
    world.authority.revoke(true);
    let error = world.call(&world.login(spec)).await.expect_err("the authority is another one");
    assert!(
        matches!(&error, LoginError::IssuerChanged { before, .. } if before.contains("before")),
        "{error:?}"
    );
    assert_eq!(world.visits(), 1);
}

#[tokio::test]
async fn the_browser_comes_back_to_the_port_that_was_chosen_or_the_login_fails() {
    let world = World::new(Nature::default()).await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let login = world.login(LoginSpec { callback_port: Some(port), ..world.spec() });
    let error = world.call(&login).await.expect_err("the port is taken");
    assert!(matches!(error, LoginError::Callback { port: wanted } if wanted == port), "{error:?}");
    drop(taken);
    world.call(&login).await.expect("a login");
    let redirect = world.authority.record().visits[0]["redirect_uri"].clone();
    assert_eq!(redirect, format!("http://127.0.0.1:{port}/callback"));
}

#[tokio::test]
async fn whoever_hangs_up_does_not_end_the_login() {
    let world = World::new(Nature::default()).await;
    let (opened, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (client, tracker) = (world.client.clone(), world.tracker.clone());
    let (tell, wait) = (Arc::clone(&opened), Arc::clone(&go_on));
    let browser = Browser::With(Arc::new(move |url: &Url| {
        tell.notify_one();
        let (client, url, wait) = (client.clone(), url.clone(), Arc::clone(&wait));
        tracker.spawn(async move {
            wait.notified().await;
            client.get(url).send().await
        });
    }));
    let login = world.login(LoginSpec { browser, ..world.spec() });
    tokio::select! {
        outcome = world.call(&login) => panic!("nobody has agreed yet: {outcome:?}"),
        () = opened.notified() => {}
    }
    go_on.notify_one();
    // In a task, as whoever serves requests would.
    let (task, header) = (login.clone(), None);
    let challenged = world.tracker.spawn(async move {
        task.challenged(StatusCode::UNAUTHORIZED, &[], header).await.expect("the login goes on")
    });
    challenged.await.expect("no panic");
    world.call(&login).await.expect("it has been logged in");
    assert_eq!(world.visits(), 1);
}

#[tokio::test]
async fn a_login_ends_with_the_router() {
    let world = World::new(Nature::default()).await;
    let stop = world.stop.clone();
    let browser = Browser::With(Arc::new(move |_: &Url| stop.cancel()));
    let error =
        world.call(&world.login(LoginSpec { browser, ..world.spec() })).await.expect_err("it has ended");
    assert!(matches!(error, LoginError::Stopped), "{error:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_login_that_others_can_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let world = World::new(Nature::default()).await;
    world.call(&world.login(world.spec())).await.expect("a login");
    let path = world.kept();
    assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    let login = world.login(world.spec());
    assert_eq!(login.authorization().await, None);
    let error = world.call(&login).await.expect_err("it is refused").to_string();
    assert!(error.contains("644") && error.contains("remove it"), "{error}");
}

#[tokio::test]
async fn nothing_secret_is_shown() {
    let world = World::new(Nature::default()).await;
    let spec = LoginSpec {
        client_id: Some("me".to_owned()),
        client_secret: Some(Secret::new("client-secret")),
        ..world.spec()
    };
    let shown = format!("{spec:?}");
    let login = world.login(spec);
    world.call(&login).await.expect("a login");
    let header = login.authorization().await;
    world.authority.revoke(true);
    // The refusals of this authorization server repeat tokens.
    let kept = std::fs::read_to_string(world.kept()).expect("a login");
    let unread = kept.replace("refresh-1", "refresh-0");
    std::fs::write(world.kept(), unread).expect("it is ours");
    let silent = LoginSpec { interactive: false, client_id: Some("me".to_owned()), ..world.spec() };
    let error = world.call(&world.login(silent)).await.expect_err("nobody may be asked");
    let shown = format!("{shown} {login:?} {header:?} {error} {error:?}");
    for secret in ["client-secret", "access-", "refresh-", "code-"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}

#[tokio::test]
async fn client_mode_shows_where_to_log_in_and_the_next_one_need_not() {
    let world = World::new(Nature::default()).await;
    let mut first = Desk::before(&world, &[]);
    let visiting = first.visit(&world);
    let (opened, ()) = tokio::join!(first.open(), visiting);
    assert_eq!(opened["result"]["serverInfo"]["name"], "guarded", "{opened}");
    let log = first.end().await;
    assert!(!log.contains("access-") && !log.contains("refresh-"), "{log}");
    let mut second = Desk::before(&world, &[]);
    assert_eq!(second.open().await["result"]["serverInfo"]["name"], "guarded");
    second.end().await;
    assert_eq!(world.visits(), 1);
}

#[tokio::test]
async fn client_credentials_of_the_command_line_need_no_user() {
    let world = World::new(Nature::default()).await;
    let token_url = format!("{}/token", world.authority.origin);
    let words = ["--client-id", "me", "--client-secret", "client-secret", "--token-url", &token_url];
    let mut desk = Desk::before(&world, &words);
    let opened = desk.open().await;
    assert_eq!(opened["result"]["serverInfo"]["name"], "guarded", "{opened}");
    assert!(!desk.end().await.contains("client-secret"));
    assert_eq!((world.authority.grants(), world.visits()), (vec!["client_credentials".to_owned()], 0));
}
