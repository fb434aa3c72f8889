//! A real router in this process, for what needs one: it has no servers but itself, and short deadlines.

use bytes::Bytes;
use mcp_switchboard::config::{AggregateSpec, Config, Gateway, Limits, ServerSpec, Target};
use mcp_switchboard::mount::Mount;
use mcp_switchboard::router::Router;
use mcp_switchboard::wire::Message;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;
use tokio::runtime::Runtime;

/// What the threads are called on which the router runs.
const THREAD: &str = "router under test";

/// One of them has panicked.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// What a client waits for in vain no longer than this.
pub const DEADLINE: Duration = Duration::from_millis(150);

/// The message that opens a session.
pub const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"good","version":"1"}}}"#;

/// A router, and what it runs on.
pub struct Served {
    pub runtime: Runtime,
    pub router: Router,
    pub address: SocketAddr,
}

impl Served {
    /// Starts one that serves all its servers together at `/mcp`, and again at `/views/other/mcp`; of the servers one is
    /// broken and one is switched off.
    pub fn start(idle_timeout: Option<Duration>) -> Self {
        notice_panics();
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().thread_name(THREAD).build().expect("a runtime");
        let name = |text: &str| text.parse().expect("a name");
        let limits = Limits {
            body: 4000,
            headers: 20,
            head: 8192,
            head_timeout: DEADLINE,
            body_timeout: DEADLINE,
            idle_connection: DEADLINE,
            ..Limits::default()
        };
        let config = Config {
            servers: vec![
                ServerSpec::new(name("broken"), Target::Broken("it is broken".into())),
                ServerSpec::new(name("off"), Target::Disabled),
            ],
            gateway: Gateway {
                root: Some(AggregateSpec::default()),
                views: vec![(name("other"), AggregateSpec::default())],
            },
            idle_timeout,
            limits,
            ..Config::default()
        };
        let router = runtime.block_on(Router::start(config)).expect("a router");
        let port = router.local_addr().expect("it listens").port();
        Self { runtime, router, address: (Ipv4Addr::LOCALHOST, port).into() }
    }

    /// What serves all servers together.
    pub fn mount(&self) -> Arc<Mount> {
        self.router.root_mount().expect("it serves all of them together")
    }

    /// Opens a session; its id.
    pub fn open(&self) -> String {
        let initialize = Message::own(Bytes::from_static(INITIALIZE.as_bytes())).expect("a message");
        let client = self.runtime.block_on(self.mount().open(&initialize)).expect("a session");
        client.id().as_str().to_owned()
    }
}

/// A task of a router that panics ends alone, and nobody would hear of it.
pub fn assert_well() {
    assert!(!PANICKED.load(Ordering::SeqCst), "the router has panicked");
}

fn notice_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let other = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name() == Some(THREAD) {
                PANICKED.store(true, Ordering::SeqCst);
            }
            other(panic);
        }));
    });
}
