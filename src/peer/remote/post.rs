//! One POST, and one GET: what is sent, and what a status means that promises no answer.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::{RequestBuilder, Response};

use super::body;
use super::fault::reasons;
use super::headers::{self, EITHER, EVENTS, LAST_EVENT_ID, SESSION, VERSION};
use super::{Connection, Fault, Talk, Way};
use crate::oauth::LoginError;
use crate::wire::{Code, Kind, Message};

/// The pauses before a message is sent again that no connection could be had for.
pub(super) const RETRIES: [Duration; 3] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1)];

/// Times that a request is made again because a token was wanted, or a newer one, or one for more.
const LOGIN_STEPS: u32 = 3;

/// What the server said to a request that it did not take.
pub(super) enum Refusal {
    /// A JSON-RPC error, with the request's id.
    Answer(Bytes),
    /// Something else.
    Fault(Fault),
}

impl Connection {
    /// Posts a message; the answer's body is still to come.
    pub(super) async fn post(&self, message: &Message) -> Result<Response, Fault> {
        let talk = self.talk().clone();
        let url = match &talk.way {
            Way::Sse(url) => url,
            Way::Unknown | Way::Modern | Way::Streamable => &self.site.spec.url,
        };
        let mut own = HeaderMap::new();
        own.insert(header::ACCEPT, HeaderValue::from_static(EITHER));
        own.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if headers::is_modern(message) {
            own.extend(headers::of_modern(message, &self.site.catalog));
        } else if matches!(talk.way, Way::Streamable) {
            own.extend(talk.headers());
        }
        let request = || {
            let post = self.site.client.post(url.clone()).body(message.raw().clone());
            post.headers(self.site.headers.clone()).headers(own.clone())
        };
        // The first message is not sent again by itself: who opens the session has a pause of its own between attempts.
        let retries = if matches!(talk.way, Way::Unknown) { &[][..] } else { &RETRIES };
        self.send(request, retries).await
    }

    /// Asks for an event stream; `after`: the id of the last event of one that broke.
    pub(super) async fn get(&self, after: Option<&str>) -> Result<Response, Fault> {
        let talk = self.talk().clone();
        let mut own = HeaderMap::new();
        own.insert(header::ACCEPT, HeaderValue::from_static(EVENTS));
        own.extend(talk.headers());
        let after = after.map(HeaderValue::from_str).and_then(Result::ok);
        own.extend(after.map(|id| (LAST_EVENT_ID, id)));
        let request = || {
            let get = self.site.client.get(self.site.spec.url.clone());
            get.headers(self.site.headers.clone()).headers(own.clone())
        };
        let response = self.send(request, &[]).await?;
        if !response.status().is_success() {
            return Err(self.refused(response, None).await.fault());
        }
        match headers::is_events(response.headers()) {
            Some(true) => Ok(response),
            _ => Err(self.no_answer(response.headers())),
        }
    }

    /// Ends the session with the server.
    ///
    /// 2025-11-25, basic/transports: "Clients that no longer need a particular session […] SHOULD send an HTTP DELETE to
    /// the MCP endpoint with the `Mcp-Session-Id` header, to explicitly terminate the session."
    pub(super) async fn farewell(&self) {
        let talk = self.talk().clone();
        if !matches!(talk.way, Way::Streamable | Way::Unknown) || talk.session.is_none() {
            return;
        }
        let mut own = talk.headers();
        if let Some(login) = &self.site.login {
            // A farewell is worth no login.
            own.extend(login.authorization().await.map(|token| (header::AUTHORIZATION, token)));
        }
        let delete = self.site.client.delete(self.site.spec.url.clone());
        let delete = delete.headers(self.site.headers.clone()).headers(own);
        if let Err(error) = delete.send().await {
            tracing::debug!(server = %self.site.name, "a session was not ended: {}", Fault::of_sending(error).to_error());
        }
    }

    /// Sends a request, as whoever is logged in; if the server wants that somebody is, once that is done.
    async fn send(
        &self,
        request: impl Fn() -> RequestBuilder,
        retries: &[Duration],
    ) -> Result<Response, Fault> {
        let Some(login) = &self.site.login else { return self.send_as(request, retries).await };
        let mut used = login.authorization().await;
        let mut steps = LOGIN_STEPS;
        loop {
            let with_token = || match &used {
                Some(token) => request().header(header::AUTHORIZATION, token.clone()),
                None => request(),
            };
            let response = self.send_as(with_token, retries).await?;
            let status = response.status();
            if steps == 0 || !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
                return Ok(response);
            }
            steps -= 1;
            let challenges: Vec<_> =
                response.headers().get_all(header::WWW_AUTHENTICATE).iter().cloned().collect();
            match login.challenged(status, &challenges, used.as_ref()).await {
                Ok(token) => used = Some(token),
                Err(LoginError::Forbidden | LoginError::NotInteractive) => return Ok(response),
                Err(error) => return Err(Fault::Unauthorized(status, format!("; {}", reasons(&error)))),
            }
        }
    }

    async fn send_as(
        &self,
        request: impl Fn() -> RequestBuilder,
        retries: &[Duration],
    ) -> Result<Response, Fault> {
        let mut retries = retries.iter();
        loop {
            let fault = match request().send().await {
                Ok(response) => return Ok(response),
                Err(error) => Fault::of_sending(error),
            };
            match (&fault, retries.next()) {
                (Fault::Unreachable(_), Some(pause)) => tokio::time::sleep(*pause).await,
                _ => return Err(fault),
            }
        }
    }

    /// Reads what came in place of an answer. `request`: what was asked, if it was something.
    pub(super) async fn refused(&self, response: Response, request: Option<&Message>) -> Refusal {
        let status = response.status();
        let is_session = {
            let talk = self.talk();
            match talk.way {
                Way::Streamable => talk.session.is_some(),
                Way::Sse(_) => true,
                Way::Unknown | Way::Modern => false,
            }
        };
        let body = body::told(response).await;
        let error = Message::parse(&body, self.site.depth).ok().filter(|said| said.kind() == Kind::Error);
        let of_the_request = error.as_ref().is_some_and(|error| {
            // A later revision's way to say that it has no such method.
            error.id().is_some_and(|id| id != "null" && Some(id) == request.and_then(Message::id))
                && error.error_code() == Some(Code::MethodNotFound.number())
        });
        // 2025-11-25, basic/transports: "When a client receives HTTP 404 in response to a request containing an
        // `Mcp-Session-Id`, it MUST start a new session".
        if is_session && status == StatusCode::NOT_FOUND && !of_the_request {
            return Refusal::Fault(Fault::NoSession);
        }
        if let (Some(error), Some(id)) = (error, request.and_then(Message::id)) {
            // The server may not have read so far as to know which request it refused.
            return Refusal::Answer(error.with_id(id));
        }
        let said = self.site.shown(&String::from_utf8_lossy(&body));
        Refusal::Fault(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Fault::Unauthorized(status, unauthorized(&said))
            }
            _ => Fault::Status(status, said),
        })
    }

    /// A body of a kind that no answer has.
    pub(super) fn no_answer(&self, headers: &HeaderMap) -> Fault {
        let kind = headers.get(header::CONTENT_TYPE).map(|kind| String::from_utf8_lossy(kind.as_bytes()));
        let kind = kind.map_or_else(|| "nothing".to_owned(), |kind| self.site.shown(&kind));
        Fault::NotAnAnswer(format!("its body is {kind}, where JSON or an event stream is wanted"))
    }
}

impl Talk {
    /// What each message of the session carries.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.extend(self.session.clone().map(|session| (SESSION, session)));
        headers.extend(self.version.clone().map(|version| (VERSION, version)));
        headers
    }
}

impl Refusal {
    /// As a fault, whatever it was.
    pub(super) fn fault(self) -> Fault {
        match self {
            Self::Fault(fault) => fault,
            Self::Answer(line) => Fault::NotAnAnswer(String::from_utf8_lossy(&line).into_owned()),
        }
    }
}

pub(super) fn unauthorized(said: &str) -> String {
    let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
    format!(
        "{said}: it wants a token: by a login in a terminal, by `headers` in the file, by `-H Authorization 'Bearer …'`, or by API_ACCESS_TOKEN"
    )
}
