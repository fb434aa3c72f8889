//! The first message of a connection: which transport the server has is found out by sending it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};

use super::post::{Refusal, unauthorized};
use super::site::Transport;
use super::{Connection, Fault, Way, headers};
use crate::wire::meta::{find, find_string};
use crate::wire::{Code, Kind, Message, RpcError, claim};

/// Why a transport does not lead to an answer.
enum Failed {
    /// Another transport may.
    Elsewhere(Fault),
    /// No other would.
    Finally(Fault),
}

impl Connection {
    /// Makes the first request of the session. If none of the transports that may be tried leads to an answer, the
    /// connection is lost.
    pub(super) async fn open(self: &Arc<Self>, message: &Message) {
        if headers::is_modern(message) {
            return self.open_modern(message).await;
        }
        let mut reasons = Vec::new();
        for transport in self.site.transports() {
            let tried = match transport {
                Transport::Streamable => self.open_by_post(message).await,
                Transport::Sse => self.open_sse(message).await,
            };
            match tried {
                Ok(()) => return self.site.found(transport),
                Err(Failed::Finally(fault)) => return self.lose(fault.to_error().message, None),
                Err(Failed::Elsewhere(fault)) => {
                    // What it may have given belongs to this way.
                    self.talk().session = None;
                    reasons.push((transport, fault));
                }
            }
        }
        self.lose(told(&reasons), None);
    }

    /// A server of the modern era has no handshake: its first answer shows that it is one.
    async fn open_modern(self: &Arc<Self>, message: &Message) {
        let speaks_sse = self.site.transports() == [Transport::Sse];
        if speaks_sse {
            let error =
                RpcError::new(Code::MethodNotFound, "HTTP+SSE is of an era without `server/discover`");
            return self.deliver(error.to_line(message.id()));
        }
        self.talk().way = Way::Modern;
        match self.open_by_post(message).await {
            Ok(()) => {}
            Err(Failed::Finally(fault)) => {
                self.talk().way = Way::Unknown;
                self.lose(fault.to_error().message, None);
            }
            // 2026-07-28, basic/versioning: a server that answers in no way known is of the legacy era.
            Err(Failed::Elsewhere(fault)) => {
                self.talk().way = Way::Unknown;
                let error = RpcError::new(Code::MethodNotFound, fault.to_error().message);
                self.deliver(error.to_line(message.id()));
            }
        }
    }

    async fn open_by_post(&self, message: &Message) -> Result<(), Failed> {
        let mut tried = false;
        let response = loop {
            let response = self.post(message).await.map_err(Failed::Finally)?;
            let status = response.status();
            if status.is_success() {
                break response;
            }
            match self.refused(response, Some(message)).await {
                Refusal::Answer(line) if !tried && is_supported_after_all(&line, message) => tried = true,
                // A server that cannot answer now has not answered. 405 says nothing but that nobody is to post here.
                Refusal::Answer(line) if status.is_server_error() || is_for_now(status) => {
                    return Err(Failed::Finally(Fault::Status(status, self.site.shown(&said(&line)))));
                }
                // Who asks is no question of what is asked.
                Refusal::Answer(line)
                    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) =>
                {
                    let said = self.site.shown(&said(&line));
                    return Err(Failed::Finally(Fault::Unauthorized(status, unauthorized(&said))));
                }
                Refusal::Answer(line) if status != StatusCode::METHOD_NOT_ALLOWED => {
                    self.deliver(line);
                    return Ok(());
                }
                refusal => return Err(sorted(refusal.fault())),
            }
        };
        let session = response.headers().get(headers::SESSION).cloned();
        // It is there already, and to be ended even if nobody waits for the answer.
        self.talk().session.clone_from(&session);
        let mut answer: Option<Bytes> = None;
        let mut sink = |line| {
            // What precedes the answer is passed on at once.
            if let Some(before) = answer.replace(line) {
                self.deliver(before);
            }
        };
        self.hear(response, message, &mut sink).await.map_err(sorted)?;
        let Some(answer) = answer else { return Ok(()) };
        if message.method() == "initialize" {
            let version = Message::own(answer.clone()).ok().filter(|answer| answer.kind() == Kind::Result);
            let version = version.and_then(|answer| find_string(answer.body(), &["protocolVersion"]));
            let version = version.and_then(|version| HeaderValue::from_str(&version).ok());
            let mut talk = self.talk();
            talk.way = Way::Streamable;
            talk.session = session;
            talk.version = version;
        }
        self.deliver(answer);
        Ok(())
    }

    async fn open_sse(self: &Arc<Self>, message: &Message) -> Result<(), Failed> {
        self.open_stream().await.map_err(sorted)?;
        self.call_by_sse(message).await.map_err(Failed::Finally)
    }
}

/// Whether another transport may do better.
///
/// 2025-11-25, basic/transports, "Backwards Compatibility": "If it fails with the following HTTP status codes '400 Bad
/// Request', '404 Not Found' or '405 Method Not Allowed': Issue a GET request to the server URL".
fn sorted(fault: Fault) -> Failed {
    match fault {
        Fault::Status(status, _) if is_for_now(status) => Failed::Finally(fault),
        Fault::Status(status, _) if status.is_client_error() => Failed::Elsewhere(fault),
        Fault::NotAnAnswer(_) => Failed::Elsewhere(fault),
        _ => Failed::Finally(fault),
    }
}

/// Whether a server that refuses the revision of a message names it among those that it supports.
///
/// 2026-07-28, basic/versioning: the error "identifies a modern server: the client retries with a supported version rather
/// than falling back."
fn is_supported_after_all(refusal: &Bytes, message: &Message) -> bool {
    let Ok(error) = Message::own(refusal.clone()) else { return false };
    let supported = find(error.body(), &["data", "supported"]);
    let supported =
        supported.and_then(|list| serde_json::from_str::<Vec<String>>(list).ok()).unwrap_or_default();
    error.error_code() == Some(Code::UnsupportedVersion.number())
        && claim::claimed(message.body()).is_some_and(|claimed| supported.contains(&claimed))
}

/// Whether a refusal may be another one in a moment.
pub(super) fn is_for_now(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

/// The message of an error.
fn said(error: &Bytes) -> String {
    let error = Message::own(error.clone()).ok();
    error.and_then(|error| find_string(error.body(), &["message"])).unwrap_or_default()
}

fn told(reasons: &[(Transport, Fault)]) -> String {
    let reasons: Vec<_> = reasons
        .iter()
        .map(|(transport, fault)| {
            let name = match transport {
                Transport::Streamable => "Streamable HTTP",
                Transport::Sse => "HTTP+SSE",
            };
            format!("over {name} {}", fault.to_error().message)
        })
        .collect();
    reasons.join("; ")
}
