//! One client session over Streamable HTTP.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::call::{Answer, Call, META};
use crate::connection::{Address, Connection, Framing, Head};
use crate::contestant::Place;

/// A client with one connection of its own.
pub(crate) struct Session {
    address: Address,
    connection: Connection,
    /// Everything of a POST up to the value of `Content-Length`.
    post: Vec<u8>,
    /// The request being written; kept for its memory.
    request: Vec<u8>,
    body: Vec<u8>,
    path: String,
    id: Option<String>,
    next_call: u64,
    era: Era,
    stream: Option<Connection>,
}

/// Which kinds of answer a client says that it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accept {
    /// JSON and event streams, as every client must.
    Both,
    /// Event streams alone, so that every answer is one.
    EventStream,
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Era {
    /// A handshake, and a session.
    Legacy,
    /// 2026-07-28: every request stands alone.
    Modern,
}

/// A page of a list of tools.
#[derive(Debug)]
pub(crate) struct Page {
    /// Its tools.
    pub(crate) tools: usize,
    /// Where the next one begins.
    pub(crate) next: Option<String>,
}

impl Page {
    fn read(answer: &[u8], id: u64) -> Result<Self> {
        let answer: Value = serde_json::from_slice(answer).context("a list that is not JSON")?;
        ensure!(answer["id"] == id, "the list of another request than {id}: {}", answer["id"]);
        let tools = answer["result"]["tools"].as_array().with_context(|| format!("no tools in {answer}"))?;
        for tool in tools {
            ensure!(tool["inputSchema"]["properties"]["text"]["type"] == "string", "no tool: {tool}");
        }
        let next = answer["result"]["nextCursor"].as_str().map(str::to_owned);
        Ok(Self { tools: tools.len(), next })
    }
}

impl Session {
    /// Connects and shakes hands. `number` keeps the ids of different sessions apart.
    pub(crate) async fn open(address: &Address, path: &str, accept: Accept, number: u64) -> Result<Self> {
        Self::saying(address, path, accept, number, "").await
    }

    /// The same with more header lines in every POST.
    pub(crate) async fn saying(
        address: &Address,
        path: &str,
        accept: Accept,
        number: u64,
        more: &str,
    ) -> Result<Self> {
        let mut session = Self::bare(address, path, Accept::Both, number).await?;
        let initialize = format!(
            r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{VERSION}","capabilities":{{}},"clientInfo":{{"name":"bench","version":"1"}}}}}}"#
        );
        session.post = with_headers(post(address, path, Accept::Both, None), more);
        let head = session.send(initialize.as_bytes()).await?;
        let mut answer = Vec::new();
        session.connection.body(head.framing, |piece| answer.extend_from_slice(piece)).await?;
        ensure!(
            head.status == 200 && memchr::memmem::find(&answer, br#""protocolVersion":"#).is_some(),
            "initialize: status {}, {}",
            head.status,
            String::from_utf8_lossy(&answer)
        );
        session.id = Some(head.session.context("no session id")?);
        session.post = with_headers(post(address, path, accept, session.id.as_deref()), more);
        let head = session.send(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await?;
        ensure!(head.status == 202, "initialized: status {}", head.status);
        session.connection.body(head.framing, |_| ()).await?;
        Ok(session)
    }

    /// Connects without a handshake, for a server that has no sessions: its requests have a session's headers all
    /// the same, because no router is spared reading them.
    pub(crate) async fn bare(address: &Address, path: &str, accept: Accept, number: u64) -> Result<Self> {
        Ok(Self {
            address: address.clone(),
            connection: Connection::open(address).await?,
            post: post(address, path, accept, Some("0123456789abcdef0123456789abcdef")),
            request: Vec::new(),
            body: Vec::new(),
            path: path.to_owned(),
            id: None,
            next_call: number * 1_000_000_000 + 1,
            era: Era::Legacy,
            stream: None,
        })
    }

    /// Connects as a client of 2026-07-28, which has no handshake: every request says all that it needs.
    pub(crate) async fn stateless(address: &Address, place: &Place, number: u64) -> Result<Self> {
        let mut session = Self::bare(address, &place.path, Accept::Both, number).await?;
        session.era = Era::Modern;
        let mirrored = format!("mcp-method: tools/call\r\nmcp-name: {}\r\n", place.tool);
        session.post = modern_post(address, &place.path, &mirrored);
        Ok(session)
    }

    /// Makes one call and checks its answer; the time runs from the first byte sent to the last one read.
    pub(crate) async fn call(&mut self, call: &Call) -> Result<Duration> {
        let id = self.next_call;
        self.next_call += 1;
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        call.write(id, self.era, &mut body);
        let begun = Instant::now();
        let head = self.send(&body).await?;
        self.body = body;
        ensure!(head.status == 200, "call: status {}", head.status);
        let mut answer = Answer::new(call, id);
        if head.event_stream {
            self.connection.body(head.framing, |piece| answer.events(piece)).await?;
        } else {
            self.connection.body(head.framing, |piece| answer.json(piece)).await?;
        }
        let time = begun.elapsed();
        answer.check()?;
        Ok(time)
    }

    /// Asks for a page of the tools, and checks that it is one; the time runs from the first byte sent to the last one read.
    pub(crate) async fn list(&mut self, cursor: Option<&str>) -> Result<(Duration, Page)> {
        let id = self.next_call;
        self.next_call += 1;
        let cursor = cursor.map(|cursor| format!(r#""cursor":"{cursor}","#)).unwrap_or_default();
        let meta = if self.era == Era::Modern { META } else { "{}" };
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list","params":{{{cursor}"_meta":{meta}}}}}"#
        );
        let mut request = match self.era {
            Era::Modern => modern_post(&self.address, &self.path, "mcp-method: tools/list\r\n"),
            Era::Legacy => self.post.clone(),
        };
        write!(request, "{}\r\n\r\n{body}", body.len())?;
        let mut answer = Vec::with_capacity(1 << 20);
        let begun = Instant::now();
        let head = self.connection.request(&request).await?;
        self.connection.body(head.framing, |piece| answer.extend_from_slice(piece)).await?;
        let time = begun.elapsed();
        ensure!(head.status == 200 && !head.event_stream, "tools/list: status {}", head.status);
        Ok((time, Page::read(&answer, id)?))
    }

    /// Opens the session's GET stream on a connection of its own and keeps it open.
    pub(crate) async fn listen(&mut self) -> Result<()> {
        let mut connection = Connection::open(&self.address).await?;
        let request = self.without_body("GET", "text/event-stream");
        let head = connection.request(request.as_bytes()).await?;
        ensure!(head.status == 200 && head.event_stream, "GET: status {}", head.status);
        self.stream = Some(connection);
        Ok(())
    }

    /// Ends the session.
    pub(crate) async fn close(mut self) -> Result<()> {
        let request = self.without_body("DELETE", "application/json");
        let head = self.connection.request(request.as_bytes()).await?;
        ensure!(matches!(head.status, 200 | 204), "DELETE: status {}", head.status);
        // A 204 has no body, whatever its headers say.
        let framing = if head.status == 204 { Framing::Length(0) } else { head.framing };
        self.connection.body(framing, |_| ()).await
    }

    async fn send(&mut self, body: &[u8]) -> Result<Head> {
        self.request.clear();
        self.request.extend_from_slice(&self.post);
        write!(self.request, "{}\r\n\r\n", body.len())?;
        self.request.extend_from_slice(body);
        self.connection.request(&self.request).await
    }

    fn without_body(&self, method: &str, accept: &str) -> String {
        let Self { path, address, id, .. } = self;
        let id = id.as_deref().unwrap_or_default();
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\naccept: {accept}\r\nmcp-session-id: {id}\r\nmcp-protocol-version: {VERSION}\r\n\r\n"
        )
    }
}

fn post(address: &Address, path: &str, accept: Accept, id: Option<&str>) -> Vec<u8> {
    let accept = match accept {
        Accept::Both => "application/json, text/event-stream",
        Accept::EventStream => "text/event-stream",
    };
    let session = id
        .map(|id| format!("mcp-session-id: {id}\r\nmcp-protocol-version: {VERSION}\r\n"))
        .unwrap_or_default();
    format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\naccept: {accept}\r\n{session}content-length: "
    )
    .into_bytes()
}

/// The same for 2026-07-28, which mirrors parts of the body into headers.
fn modern_post(address: &Address, path: &str, mirrored: &str) -> Vec<u8> {
    let more = format!("mcp-protocol-version: 2026-07-28\r\n{mirrored}");
    with_headers(post(address, path, Accept::Both, None), &more)
}

/// The same with more header lines.
fn with_headers(mut head: Vec<u8>, more: &str) -> Vec<u8> {
    let length = b"content-length: ";
    head.truncate(head.len() - length.len());
    head.extend_from_slice(more.as_bytes());
    head.extend_from_slice(length);
    head
}

/// A revision whose event streams hold nothing but the messages: later ones begin with a priming event.
const VERSION: &str = "2025-06-18";
