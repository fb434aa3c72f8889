//! A remote server that does what a story wants, and remembers what it was sent.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use futures::stream;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;
use tokio_util::task::TaskTracker;

/// Longer than a request takes that is not held back.
const HESITATION: Duration = Duration::from_millis(200);

/// What becomes of the next tool call.
pub(crate) enum Trick {
    /// It is carried out, and the connection breaks before the answer.
    Break,
    /// The event stream ends before the answer, which can be had by its id.
    Resume,
    /// The answer is a text of so many bytes.
    Long(usize),
    /// This status, and this body.
    Status(u16, &'static str),
    /// There is no such session, as often as it is asked.
    Forget(usize),
    /// A redirect to this URL.
    Redirect(u16, String),
    /// It is carried out, and answered once [`Site::go_on`] is called.
    Wait,
}

/// A running server.
pub(crate) struct Site {
    pub(crate) address: String,
    inner: Arc<Inner>,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Inner {
    sessions: Mutex<HashSet<String>>,
    opened: AtomicUsize,
    /// How many sessions are refused before the next one is opened.
    refusals: AtomicUsize,
    calls: AtomicUsize,
    tricks: Mutex<VecDeque<Trick>>,
    heads: Mutex<Vec<(Method, HeaderMap)>>,
    kept: Mutex<Option<String>>,
    go_on: Notify,
    /// Its era, if it is the modern one.
    modern: bool,
    /// It answers every GET 404.
    without_get: bool,
    /// It takes its time to say whether it has a stream of what is unasked for, and to set the level of log lines.
    hesitant: bool,
    /// Sessions that have been told so.
    told: Mutex<HashSet<String>>,
    /// Calls of the others.
    early: AtomicUsize,
}

impl Site {
    /// A server of the legacy era.
    pub(crate) async fn start() -> Self {
        Self::of(Inner::default()).await
    }

    /// A server of the legacy era that takes its time to say whether it has a stream of what is unasked for, and to set the
    /// level of log lines.
    pub(crate) async fn hesitant() -> Self {
        Self::of(Inner { hesitant: true, ..Inner::default() }).await
    }

    /// A server of the modern era with a tool one of whose parameters is a header, too, and one where it cannot be.
    pub(crate) async fn modern() -> Self {
        Self::of(Inner { modern: true, ..Inner::default() }).await
    }

    /// A server of the legacy era that knows nothing but POST.
    pub(crate) async fn without_get() -> Self {
        Self::of(Inner { without_get: true, ..Inner::default() }).await
    }

    async fn of(inner: Inner) -> Self {
        let inner = Arc::new(inner);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("it has one"));
        let app = axum::Router::new().fallback(handle).with_state(inner.clone());
        let serving =
            TaskTracker::new().spawn(async move { axum::serve(listener, app).await.expect("it serves") });
        Self { address, inner, _serving: AbortOnDropHandle::new(serving) }
    }

    /// An entry of a configuration file that mounts it.
    pub(crate) fn entry(&self) -> Value {
        json!({ "url": format!("{}/mcp", self.address), "pool": { "warm": 0 } })
    }

    /// What is to become of the next call.
    pub(crate) fn next(&self, trick: Trick) {
        self.inner.tricks.lock().expect("no panic").push_back(trick);
    }

    /// Calls that were carried out.
    pub(crate) fn calls(&self) -> usize {
        self.inner.calls.load(Ordering::SeqCst)
    }

    /// Calls that came before it had done so.
    pub(crate) fn early_calls(&self) -> usize {
        self.inner.early.load(Ordering::SeqCst)
    }

    /// Sessions that were ever opened.
    pub(crate) fn opened(&self) -> usize {
        self.inner.opened.load(Ordering::SeqCst)
    }

    /// Sessions that are open.
    pub(crate) fn sessions(&self) -> usize {
        self.inner.sessions.lock().expect("no panic").len()
    }

    /// Forgets every session, as a server does that has been started anew.
    pub(crate) fn forget(&self) {
        self.inner.sessions.lock().expect("no panic").clear();
    }

    /// Opens no session, so many times.
    pub(crate) fn refuse(&self, times: usize) {
        self.inner.refusals.store(times, Ordering::SeqCst);
    }

    /// Lets what waits go on.
    pub(crate) fn go_on(&self) {
        self.inner.go_on.notify_one();
    }

    /// The values of a header in all requests that it has had.
    pub(crate) fn sent(&self, name: &str) -> Vec<String> {
        let heads = self.inner.heads.lock().expect("no panic");
        let values = heads.iter().filter_map(|(_, headers)| headers.get(name));
        values.map(|value| value.to_str().expect("ASCII").to_owned()).collect()
    }
}

async fn handle(State(site): State<Arc<Inner>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    site.heads.lock().expect("no panic").push((head.method.clone(), head.headers.clone()));
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let known = |id: &String| site.sessions.lock().expect("no panic").contains(id);
    let session = header("mcp-session-id");
    match head.method {
        Method::GET => {
            if site.hesitant {
                tokio::time::sleep(HESITATION).await;
                site.told.lock().expect("no panic").extend(session);
            }
            if site.without_get {
                return status(404, "Cannot GET /mcp");
            }
            let resumed = header("last-event-id").filter(|id| id == "half");
            let kept = resumed.and_then(|_| site.kept.lock().expect("no panic").take());
            return kept.map_or_else(|| status(405, ""), |answer| events(&format!("data: {answer}\n\n")));
        }
        Method::DELETE => {
            session.map(|id| site.sessions.lock().expect("no panic").remove(&id));
            return status(204, "");
        }
        _ => {}
    }
    let body = to_bytes(body, usize::MAX).await.unwrap_or_else(|_| Bytes::new());
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (id, method) = (message["id"].clone(), message["method"].as_str().unwrap_or_default());
    if site.modern {
        return modern(&site, &head.headers, &message).await;
    }
    if method == "server/discover" {
        return status(400, "");
    }
    let refused = |left: usize| left.checked_sub(1);
    if method == "initialize"
        && site.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, refused).is_ok()
    {
        let error = json!({ "code": -32000, "message": "too busy" });
        let answer = json!({ "jsonrpc": "2.0", "id": id, "error": error });
        return response(503, "application/json", answer.to_string());
    }
    if method == "initialize" {
        let number = site.opened.fetch_add(1, Ordering::SeqCst);
        let session = format!("session-{number}");
        site.sessions.lock().expect("no panic").insert(session.clone());
        let mut answer = result(
            &id,
            json!({
                "protocolVersion": "2025-11-25",
                "capabilities": if site.hesitant { json!({ "tools": {}, "logging": {} }) } else { json!({ "tools": {} }) },
                "serverInfo": { "name": "site", "version": "1" },
            }),
        );
        answer.headers_mut().insert("mcp-session-id", session.parse().expect("ASCII"));
        return answer;
    }
    let Some(session) = session.filter(known) else { return status(404, "no such session") };
    match method {
        "tools/call" => {
            if site.hesitant {
                // What was sent beside it may come after it.
                tokio::time::sleep(HESITATION / 4).await;
            }
            let early = site.hesitant && !site.told.lock().expect("no panic").contains(&session);
            site.early.fetch_add(usize::from(early), Ordering::SeqCst);
            call(&site, &id).await
        }
        "logging/setLevel" if site.hesitant => {
            site.told.lock().expect("no panic").remove(&session);
            tokio::time::sleep(HESITATION).await;
            site.told.lock().expect("no panic").insert(session);
            result(&id, json!({}))
        }
        "tools/list" => result(&id, json!({ "tools": [] })),
        _ => status(202, ""),
    }
}

async fn modern(site: &Inner, headers: &HeaderMap, message: &Value) -> Response {
    let id = &message["id"];
    match message["method"].as_str().unwrap_or_default() {
        "server/discover" => result(
            id,
            json!({
                "resultType": "complete", "ttlMs": 0, "cacheScope": "private",
                "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} },
                "_meta": { "io.modelcontextprotocol/serverInfo": { "name": "site", "version": "1" } },
            }),
        ),
        "tools/list" => result(
            id,
            json!({
                "resultType": "complete", "ttlMs": 0, "cacheScope": "private",
                "tools": [
                    { "name": "where", "inputSchema": { "type": "object", "properties": {
                        "region": { "type": "string", "x-mcp-header": "Region" } } } },
                    { "name": "nowhere", "inputSchema": { "type": "object", "properties": {
                        "region": { "type": "string", "x-mcp-header": "No Token" } } } },
                ],
            }),
        ),
        "tools/call" if headers.get("mcp-param-region").is_none_or(|value| value != "north") => {
            let error = json!({ "code": -32020, "message": "Mcp-Param-Region is missing" });
            let answer = json!({ "jsonrpc": "2.0", "id": id, "error": error });
            response(400, "application/json", answer.to_string())
        }
        "tools/call" => call(site, id).await,
        _ => {
            let error = json!({ "code": -32601, "message": "unknown" });
            response(
                404,
                "application/json",
                json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string(),
            )
        }
    }
}

async fn call(site: &Inner, id: &Value) -> Response {
    let trick = site.tricks.lock().expect("no panic").pop_front();
    if let Some(Trick::Status(code, body)) = trick {
        return status(code, body);
    }
    if let Some(Trick::Forget(times)) = trick {
        if times > 1 {
            site.tricks.lock().expect("no panic").push_front(Trick::Forget(times - 1));
        }
        return status(404, "no such session");
    }
    if let Some(Trick::Redirect(code, url)) = trick {
        let mut answer = status(code, "");
        answer.headers_mut().insert("location", url.parse().expect("a URL"));
        return answer;
    }
    let number = site.calls.fetch_add(1, Ordering::SeqCst) + 1;
    let text = match &trick {
        Some(Trick::Long(length)) => "x".repeat(*length),
        _ => number.to_string(),
    };
    let mut outcome = json!({ "content": [{ "type": "text", "text": text }] });
    if site.modern {
        outcome["resultType"] = json!("complete");
    }
    match trick {
        Some(Trick::Break) => {
            let broken = stream::once(async { Err::<Bytes, _>(std::io::Error::other("it breaks")) });
            Response::builder()
                .header("content-type", "application/json")
                .body(Body::from_stream(broken))
                .expect("an answer")
        }
        Some(Trick::Resume) => {
            let answer = json!({ "jsonrpc": "2.0", "id": id, "result": outcome }).to_string();
            *site.kept.lock().expect("no panic") = Some(answer);
            events("id: half\nretry: 10\ndata: \n\n")
        }
        Some(Trick::Wait) => {
            site.go_on.notified().await;
            result(id, outcome)
        }
        _ => result(id, outcome),
    }
}

fn result(id: &Value, result: Value) -> Response {
    let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
    response(200, "application/json", answer.to_string())
}

fn events(text: &str) -> Response {
    response(200, "text/event-stream", text.to_owned())
}

fn status(code: u16, body: &str) -> Response {
    response(code, "text/plain", body.to_owned())
}

fn response(code: u16, kind: &str, body: String) -> Response {
    let status = StatusCode::from_u16(code).expect("a status");
    Response::builder().status(status).header("content-type", kind).body(Body::from(body)).expect("an answer")
}
