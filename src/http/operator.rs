//! What an operator may ask of a running router, and who is one: whoever is on this machine, or has the token.

use super::authority::Authority;
use super::connection::ConnectionInfo;
use super::front::Front;
use super::refusal::Refusal;
use super::reply;
use crate::access::{Caller, Grant, Permission};
use crate::config::{self, Diff};
use crate::mount::Mount;
use crate::protocol::Principal;
use crate::telemetry::EventKind;
use crate::wire::{Code, RpcError};
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderName};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;
use tokio::sync::{mpsc, oneshot};
use warp::reply::Response;

/// The environment variable that holds the token; no server's process inherits it.
pub const TOKEN: &str = "MCP_SWITCHBOARD_ADMIN_TOKEN";

/// Calls in flight have this long to finish when an operator restarts their server.
const RESTART_GRACE: Duration = Duration::from_secs(10);

/// When a router may be done that is busy, or about to end.
const A_MOMENT: Duration = Duration::from_secs(1);

/// Operators that wait for a reload at the same time.
const WAITING: usize = 8;

/// Headers by which proxies say for whom they ask: such a request only seems to come from this machine.
const FORWARDED: [HeaderName; 7] = [
    HeaderName::from_static("forwarded"),
    HeaderName::from_static("via"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-prefix"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
];

/// Asks for the configuration to be read again; what came of it goes back this way.
pub type Ask = oneshot::Sender<Result<Diff, NotReloaded>>;

/// Why what runs was not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotReloaded {
    /// The configuration cannot be used: why, without any secret.
    Broken(String),
    /// The router is ending.
    Ending,
}

/// Who may ask, and how their wishes get to whoever reads the configuration.
#[derive(Debug, Default)]
pub struct Operators {
    token: OnceLock<[u8; 32]>,
    asks: OnceLock<mpsc::Sender<Ask>>,
    levels: OnceLock<Arc<dyn Levels>>,
}

/// What is logged, for whoever may change it.
pub trait Levels: Send + Sync + std::fmt::Debug + 'static {
    /// As `info,server=warn` says it.
    fn shown(&self) -> String;

    /// Changes it, and says how it is now.
    ///
    /// # Errors
    /// What is wrong about the text; nothing has changed.
    fn set(&self, text: &str) -> Result<String, String>;
}

impl Operators {
    /// Whoever shows this token is an operator, too. An empty one is none; the first one stays.
    pub fn trust(&self, token: &str) {
        if !token.trim().is_empty() {
            let _ = self.token.set(Sha256::digest(token.trim()).into());
        }
    }

    /// Where operators ask for a reload from now on; nothing if somebody listens already.
    pub fn listen(&self) -> Option<mpsc::Receiver<Ask>> {
        let (sender, receiver) = mpsc::channel(WAITING);
        self.asks.set(sender).ok().map(|()| receiver)
    }

    /// They may change what is logged; the first one stays.
    pub fn may_set(&self, levels: Arc<dyn Levels>) {
        let _ = self.levels.set(levels);
    }

    /// The operator, if the request shows his token: he may everything.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Option<Caller> {
        static RIGHTS: LazyLock<Arc<Grant>> = LazyLock::new(|| {
            let all = || config::patterns(&["*".to_owned()]);
            let everything = Permission { servers: all(), views: all(), ..Permission::default() };
            Arc::new(Grant::new(vec![everything], Vec::new(), true))
        });
        let operator = || Caller::new(Principal::named("operator"), "operator", RIGHTS.clone());
        self.has_token(headers).then(operator)
    }

    /// Whether the request shows the token.
    fn has_token(&self, headers: &HeaderMap) -> bool {
        let Some(token) = self.token.get() else { return false };
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((scheme, shown)) = shown.and_then(|value| value.split_once(' ')) else { return false };
        // Digests are of one length, whatever that of the texts is.
        let shown: [u8; 32] = Sha256::digest(shown.trim()).into();
        scheme.eq_ignore_ascii_case("bearer") && bool::from(token.ct_eq(&shown))
    }
}

/// A caller who may ask for what operators ask for: without the check there is none.
pub(super) struct Operator<'a> {
    front: &'a Front,
    name: &'a str,
}

impl<'a> Operator<'a> {
    /// The operator from whom a request comes. Where callers are known, it is not enough to be on this machine.
    ///
    /// # Errors
    /// It comes from somebody else.
    pub(super) fn asking(
        front: &'a Front,
        caller: &'a Caller,
        headers: &HeaderMap,
        peer: Option<&ConnectionInfo>,
    ) -> Result<Self, Refusal> {
        let is_local = || front.auth.load().is_none() && is_from_here(front, headers, peer);
        if caller.grant().administers() || front.operators.has_token(headers) || is_local() {
            return Ok(Self { front, name: caller.name() });
        }
        Err(Refusal::NoOperator)
    }

    /// What the log calls him.
    pub(super) fn name(&self) -> &str {
        self.name
    }

    /// What is logged.
    pub(super) fn levels(&self) -> Result<&dyn Levels, Refusal> {
        let levels = self.front.operators.levels.get();
        levels.map(|levels| &**levels).ok_or(Refusal::Conflict(
            "the log is not the router's: the program in which it runs decides what is logged".into(),
        ))
    }

    /// The mount that he names.
    pub(super) fn mount(&self, name: &str) -> Result<Arc<Mount>, Refusal> {
        let table = self.front.table.load();
        let default = table.default_mount().filter(|mount| mount.name().as_str() == name);
        let mount = default.or_else(|| table.find_any(name));
        mount.cloned().ok_or_else(|| Refusal::NoServer(name.to_owned()))
    }
}

/// Whether a program on this machine asks, and neither a proxy for somebody else nor a web page of a stranger.
fn is_from_here(front: &Front, headers: &HeaderMap, peer: Option<&ConnectionInfo>) -> bool {
    let Some(peer) = peer else { return false };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).and_then(Authority::parse);
    // Whoever comes by a unix socket was let in by the permissions of its file.
    peer.is_from_here()
        && !front.trusts(peer.ip())
        && !FORWARDED.iter().any(|name| headers.contains_key(name))
        && host.is_some_and(|host| host.host.is_loopback())
        && front.guard.is_named_page(headers)
}

/// `POST /admin/reload`: reads the configuration again, and says what that has changed.
pub(super) async fn reload(operator: &Operator<'_>) -> Result<Response, Refusal> {
    let asks = operator.front.operators.asks.get().ok_or(Refusal::Conflict(
        "there is no configuration file to read again: start with `--named-server-config`".into(),
    ))?;
    let (ask, outcome) = oneshot::channel();
    asks.try_send(ask).map_err(|_| busy("too many ask for the configuration to be read: try again later"))?;
    match outcome.await {
        Ok(Ok(diff)) => Ok(json_of(&serde_json::to_value(diff).unwrap_or_default())),
        Ok(Err(NotReloaded::Broken(reason))) => Err(Refusal::BadConfiguration(reason)),
        Ok(Err(NotReloaded::Ending)) | Err(_) => Err(busy("the router is shutting down")),
    }
}

/// `POST /admin/servers/<name>/restart`: replaces the server's processes.
pub(super) fn restart(operator: &Operator<'_>, name: &str) -> Result<Response, Refusal> {
    let mount = operator.mount(name)?;
    let restarting = mount
        .restart(Instant::now() + RESTART_GRACE)
        .map_err(|reason| Refusal::Conflict(format!("the server {name} cannot be restarted: {reason}")))?;
    tracing::info!(
        server = name,
        by = operator.name,
        in_flight = restarting.in_flight,
        "restarted by an operator"
    );
    mount.tell(EventKind::Restarted, &format!("all its processes are replaced, by {}", operator.name));
    Ok(json_of(&json!({
        "server": name,
        "pids": restarting.pids,
        "sessions": restarting.sessions,
        "in_flight": restarting.in_flight,
    })))
}

pub(super) fn json_of(value: &serde_json::Value) -> Response {
    reply::json(value.to_string().into())
}

fn busy(why: &'static str) -> Refusal {
    Refusal::Unavailable { id: None, error: RpcError::new(Code::Overloaded, why), retry_after: A_MOMENT }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Background;
    use crate::config::Config;
    use crate::mount::{House, Table};
    use http::HeaderValue;
    use std::sync::Arc;
    use tokio_util::task::TaskTracker;

    fn front_of(config: &Config) -> Arc<Front> {
        let house = House::new(config, None, TaskTracker::new());
        Front::new(config, Table::default(), true, Background::default(), &house)
    }

    fn allowed(front: &Front, peer: Option<&str>, headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let peer = peer.map(|peer| match peer {
            "unix" => ConnectionInfo::unix(),
            address => ConnectionInfo::tcp(address.parse().unwrap(), address.parse().unwrap()),
        });
        Operator::asking(front, &Caller::anyone(), &map, peer.as_ref()).is_ok()
    }

    const HERE: Option<&str> = Some("127.0.0.1:5000");

    #[test]
    fn a_program_on_this_machine_is_an_operator_and_nobody_who_only_seems_to_be_one() {
        let front = front_of(&Config { allow_origins: vec!["*".to_owned()], ..Config::default() });
        for peer in [HERE, Some("[::1]:1"), Some("[::ffff:127.0.0.1]:1"), Some("unix")] {
            assert!(allowed(&front, peer, &[("host", "localhost:8080")]), "{peer:?}");
        }
        for peer in [None, Some("10.0.0.1:1"), Some("[fe80::1]:1")] {
            assert!(!allowed(&front, peer, &[("host", "localhost:8080")]), "{peer:?}");
        }
        let here = |header: (&'static str, &str)| allowed(&front, HERE, &[("host", "127.0.0.1:1"), header]);
        assert!(here(("origin", "http://localhost:3000")));
        assert!(!here(("origin", "https://evil.example")), "`*` names no page");
        assert!(!here(("origin", "null")));
        assert!(!here(("x-forwarded-for", "10.0.0.1")));
        assert!(!here(("via", "1.1 proxy")));
        let proxied = [("host", "localhost"), ("x-forwarded-for", "10.0.0.1")];
        assert!(!allowed(&front, Some("unix"), &proxied), "a proxy asks for somebody else");
        assert!(!allowed(&front, HERE, &[("host", "mcp.example.com")]));
        assert!(!allowed(&front, HERE, &[]));
        let named = Config { allow_origins: vec!["https://app.example".to_owned()], ..Config::default() };
        let origin = ("origin", "https://app.example");
        assert!(allowed(&front_of(&named), HERE, &[("host", "localhost"), origin]));
        let proxied = Config { trust_proxies: vec!["127.0.0.1/32".parse().unwrap()], ..Config::default() };
        assert!(!allowed(&front_of(&proxied), HERE, &[("host", "localhost")]));
    }

    #[test]
    fn who_has_the_token_is_an_operator_from_wherever() {
        let front = front_of(&Config::default());
        let shows = |value: &str| allowed(&front, Some("10.0.0.1:1"), &[("authorization", value)]);
        assert!(!shows("Bearer t0ken"), "there is none");
        front.operators.trust("  ");
        assert!(!shows("Bearer "));
        front.operators.trust("t0ken\n");
        assert!(shows("Bearer t0ken") && shows("bearer t0ken"));
        for wrong in ["Bearer t0keN", "Bearer t0ken2", "Bearer", "Basic t0ken", "t0ken", "Bearer "] {
            assert!(!shows(wrong), "{wrong}");
        }
    }
}
