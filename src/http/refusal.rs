//! Everything that is answered with an HTTP error status, and the one place where it becomes a response.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, Response, StatusCode};
use warp::reply::Reply;

use crate::wire::error::{Code, RpcError};
use crate::wire::revision::Era;

/// The raw JSON text of a request's id, if it could be read.
pub type RawId = Option<Box<str>>;

/// A request that is answered with an HTTP error status.
///
/// Its text says what was wrong and what to do; it becomes the message of a JSON-RPC error. Text that
/// came from outside is safe in it (JSON escapes it), but never a secret.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// 400: the body is not JSON.
    #[error("the body is not readable JSON ({0}): send one JSON-RPC message, encoded in UTF-8")]
    Unreadable(Cow<'static, str>),
    /// 400: the client stopped in the middle of its body.
    #[error("the body ended early: send as many bytes as Content-Length says, or a last chunk")]
    BodyCutShort,
    /// 400: JSON, but not what may be sent here and now.
    #[error("{reason}")]
    Invalid {
        /// The id of the request.
        id: RawId,
        /// What is wrong and what to do.
        reason: Cow<'static, str>,
    },
    /// 400: a modern request is refused, with the error that the specification gives for it.
    #[error("{error}")]
    Rpc {
        /// The id of the request.
        id: RawId,
        /// What is wrong.
        error: RpcError,
    },
    /// 200: a modern request that can be read, and is refused by the JSON-RPC error that answers it.
    #[error("{error}")]
    Answered {
        /// The id of the request.
        id: RawId,
        /// What is wrong.
        error: RpcError,
    },
    /// 400: there is no Host, more than one, or an unreadable one.
    #[error("a request needs exactly one Host: {0}")]
    BadHost(&'static str),
    /// 403: the host is none that the router answers for.
    #[error("the host {0:?} is not allowed: start the router with --allow-host {0} if this name is yours")]
    ForeignHost(String),
    /// 403: a web page of another origin.
    #[error("the origin {0:?} is not allowed: start the router with --allow-origin {0} if it may call")]
    ForeignOrigin(String),
    /// 404: no such path, server, session or stream; all get the same answer.
    #[error(
        "no such server or session: send `initialize` without a session id to open one; /status lists the servers"
    )]
    NotFound {
        /// The id of the request.
        id: RawId,
        /// The era of the request.
        era: Era,
    },
    /// 405: the path exists, but not with this method.
    #[error("this method is not served here: use {allow}")]
    MethodNotAllowed {
        /// The methods that are served, as `Allow` lists them.
        allow: &'static str,
    },
    /// 405 in plain text: what opens a conversation was posted to `/sse`. Clients that find out the
    /// transport this way then fall back to GET, as the specification says.
    #[error(
        "HTTP+SSE begins with GET: open the event stream, then post to the endpoint that its first event names"
    )]
    StreamFirst,
    /// 406: none of the types that the answer could have is accepted.
    #[error("the answer would be {offered}: add it to the Accept header")]
    NotAcceptable {
        /// What the answer would be.
        offered: &'static str,
    },
    /// 408: the body came too slowly.
    #[error("the body did not arrive within {} s: send it faster, or raise limits.bodyTimeout", .0.as_secs_f32())]
    BodyTooSlow(Duration),
    /// 408: the head came too slowly; said on the bare connection.
    #[error("the head did not arrive within {} s: send it faster, or raise limits.headTimeout", .0.as_secs_f32())]
    HeadTooSlow(Duration),
    /// 413: the body is over the limit, in bytes.
    #[error("the body is larger than {0} bytes: send less, or raise limits.body")]
    BodyTooLarge(usize),
    /// 414: the request target is over the limit, in bytes.
    #[error("the URL is longer than {0} bytes: shorten it")]
    UriTooLong(usize),
    /// 415: the body is of another type than JSON.
    #[error("the body must be JSON: send it with Content-Type: application/json")]
    NotJson,
    /// 415: the body is compressed.
    #[error("compressed bodies are not read: send the body without Content-Encoding")]
    Encoded,
    /// 429: this client asks too often.
    #[error("too many requests: try again in {} s", seconds(*.0))]
    TooManyRequests(Duration),
    /// 401: nobody is known to ask.
    #[error("{reason}")]
    Unauthorized {
        /// Why, and what to do.
        reason: String,
        /// How one becomes known, as `WWW-Authenticate` says it.
        challenge: HeaderValue,
    },
    /// 403: the caller is known, and an access token with more scopes would do.
    #[error("{error}")]
    Insufficient {
        /// The id of the request.
        id: RawId,
        /// What is wrong.
        error: RpcError,
        /// What would do, as `WWW-Authenticate` says it.
        challenge: HeaderValue,
    },
    /// 403: the caller is known, and may not use this.
    #[error("{0} is not permitted to you: ask whoever runs this router for the right to use it")]
    Forbidden(String),
    /// 403: the caller is known, and may use nothing of all that is served together.
    #[error("no server is permitted to you: ask whoever runs this router for the right to use one")]
    NothingPermitted,
    /// 403 or 429: a request that can be read, and that its caller may not make, or not now.
    #[error("{error}")]
    Denied {
        /// The id of the request.
        id: RawId,
        /// What is wrong.
        error: RpcError,
    },
    /// 403: what only an operator may ask.
    #[error(
        "only an operator may ask this: who shows the token in MCP_SWITCHBOARD_ADMIN_TOKEN as `Authorization: Bearer`, or a key to which a rule gives `admin`; where no keys are asked for, also whoever asks on this machine at a loopback address, without a proxy and not from a web page"
    )]
    NoOperator,
    /// 404: an operator names a server that there is not.
    #[error("there is no server {0}: `/status` lists them")]
    NoServer(String),
    /// 404: there is a path, but what it is for is switched off.
    #[error("{0}")]
    SwitchedOff(&'static str),
    /// 409: what an operator asks cannot be done as things are.
    #[error("{0}")]
    Conflict(String),
    /// 422: the configuration file cannot be used, and what runs was not changed.
    #[error("{0}; the configuration before it stays in use")]
    BadConfiguration(String),
    /// 431: more headers than the limit.
    #[error("the request has more than {0} headers: send fewer, or raise limits.headers")]
    TooManyHeaders(usize),
    /// 503: as many connections as allowed are open; said on the bare connection.
    #[error("{0} connections are open, which is the limit: try again later, or raise limits.connections")]
    TooManyConnections(usize),
    /// 429: as many connections as one client may have are open; said on the bare connection.
    #[error(
        "{0} connections are open from your address, which is the limit: close some, or raise limits.connectionsPerClient"
    )]
    TooManyOfOneClient(usize),
    /// 400 in plain text: HTTP where TLS is spoken; said on the bare connection.
    #[error("this port speaks HTTPS, and you have sent HTTP in the clear: use an https:// URL\n")]
    NotEncrypted,
    /// 501: the body is coded in a way that is not known.
    #[error(
        "the body has a transfer coding that is not known: send it with Content-Length, or as `chunked` alone"
    )]
    UnknownCoding,
    /// 503: no process can be had, a queue is full, or the router is stopping.
    #[error("{error}")]
    Unavailable {
        /// The id of the request.
        id: RawId,
        /// Which of these it is: [`Code::ServerUnavailable`], [`Code::Overloaded`] or [`Code::ShuttingDown`].
        error: RpcError,
        /// When trying again may help.
        retry_after: Duration,
    },
}

impl Refusal {
    /// A message that cannot be taken, without an id that could be read.
    pub fn invalid(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid { id: None, reason: reason.into() }
    }

    /// The same refusal, naming the request that it answers, where it can name one.
    #[must_use]
    pub fn of(mut self, request: RawId) -> Self {
        if let Self::Invalid { id, .. } | Self::NotFound { id, .. } | Self::Unavailable { id, .. } = &mut self
        {
            *id = request;
        }
        self
    }

    /// The kind of those that are told who is not known.
    pub const UNAUTHORIZED: &'static str = "unauthorized";

    /// What kind of refusal it is, in one of a few words.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::BodyCutShort => "body_cut_short",
            Self::Invalid { .. } => "invalid",
            Self::Rpc { error, .. }
            | Self::Answered { error, .. }
            | Self::Denied { error, .. }
            | Self::Unavailable { error, .. } => error.code.as_str(),
            Self::BadHost(_) => "bad_host",
            Self::ForeignHost(_) => "foreign_host",
            Self::ForeignOrigin(_) => "foreign_origin",
            Self::NotFound { .. } | Self::NoServer(_) => "not_found",
            Self::SwitchedOff(_) => "switched_off",
            Self::MethodNotAllowed { .. } | Self::StreamFirst => "method_not_allowed",
            Self::NotAcceptable { .. } => "not_acceptable",
            Self::BodyTooSlow(_) | Self::HeadTooSlow(_) => "too_slow",
            Self::BodyTooLarge(_) | Self::UriTooLong(_) | Self::TooManyHeaders(_) => "too_large",
            Self::NotJson | Self::Encoded | Self::UnknownCoding => "unsupported_type",
            Self::TooManyRequests(_) => "too_many_requests",
            Self::Unauthorized { .. } => Self::UNAUTHORIZED,
            Self::Insufficient { .. } => "insufficient_scope",
            Self::Forbidden(_) | Self::NothingPermitted => "forbidden",
            Self::NoOperator => "no_operator",
            Self::Conflict(_) => "conflict",
            Self::BadConfiguration(_) => "bad_configuration",
            Self::TooManyConnections(_) | Self::TooManyOfOneClient(_) => "too_many_connections",
            Self::NotEncrypted => "not_encrypted",
        }
    }

    /// The status, headers and body of the refusal, for any kind of response body.
    pub fn render<B: From<Bytes>>(&self) -> Response<B> {
        let message = || Cow::Owned(self.to_string());
        match self {
            Self::Unreadable(_) | Self::BodyCutShort => {
                answer(StatusCode::BAD_REQUEST, None, &RpcError::new(Code::ParseError, message()))
            }
            Self::Invalid { id, reason } => answer(
                StatusCode::BAD_REQUEST,
                id.as_deref(),
                &RpcError::new(Code::InvalidRequest, reason.clone()),
            ),
            Self::Answered { id, error } => answer(StatusCode::OK, id.as_deref(), error),
            Self::Rpc { id, error } => answer(StatusCode::BAD_REQUEST, id.as_deref(), error),
            Self::BadHost(_) => {
                answer(StatusCode::BAD_REQUEST, None, &RpcError::new(Code::InvalidRequest, message()))
            }
            Self::NoServer(_) | Self::SwitchedOff(_) => {
                answer(StatusCode::NOT_FOUND, None, &RpcError::new(Code::NotFound, message()))
            }
            Self::Conflict(_) => {
                answer(StatusCode::CONFLICT, None, &RpcError::new(Code::InvalidRequest, message()))
            }
            Self::BadConfiguration(_) => answer(
                StatusCode::UNPROCESSABLE_ENTITY,
                None,
                &RpcError::new(Code::InvalidRequest, message()),
            ),
            Self::Unauthorized { challenge, .. } => with(
                answer(StatusCode::UNAUTHORIZED, None, &RpcError::new(Code::NotAllowed, message())),
                |headers| headers.insert(WWW_AUTHENTICATE, challenge.clone()),
            ),
            Self::Insufficient { id, error, challenge } => {
                with(answer(StatusCode::FORBIDDEN, id.as_deref(), error), |headers| {
                    headers.insert(WWW_AUTHENTICATE, challenge.clone())
                })
            }
            Self::Denied { id, error } => match error.wait() {
                Some(wait) => with(answer(StatusCode::TOO_MANY_REQUESTS, id.as_deref(), error), |headers| {
                    headers.insert(RETRY_AFTER, seconds(wait).into())
                }),
                None => answer(StatusCode::FORBIDDEN, id.as_deref(), error),
            },
            Self::ForeignHost(_)
            | Self::ForeignOrigin(_)
            | Self::NoOperator
            | Self::Forbidden(_)
            | Self::NothingPermitted => {
                answer(StatusCode::FORBIDDEN, None, &RpcError::new(Code::NotAllowed, message()))
            }
            Self::NotFound { id, era } => {
                let code = match era {
                    Era::Legacy => Code::SessionNotFound,
                    Era::Modern => Code::NotFound,
                };
                answer(StatusCode::NOT_FOUND, id.as_deref(), &RpcError::new(code, message()))
            }
            Self::MethodNotAllowed { allow } => with(
                answer(StatusCode::METHOD_NOT_ALLOWED, None, &RpcError::new(Code::InvalidRequest, message())),
                |headers| headers.insert(ALLOW, HeaderValue::from_static(allow)),
            ),
            Self::StreamFirst => with(
                respond(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", self.to_string()),
                |headers| headers.insert(ALLOW, HeaderValue::from_static("GET")),
            ),
            Self::NotAcceptable { .. } => {
                answer(StatusCode::NOT_ACCEPTABLE, None, &RpcError::new(Code::InvalidRequest, message()))
            }
            Self::BodyTooSlow(_) | Self::HeadTooSlow(_) => hang_up(answer(
                StatusCode::REQUEST_TIMEOUT,
                None,
                &RpcError::new(Code::InvalidRequest, message()),
            )),
            Self::BodyTooLarge(_) => hang_up(answer(
                StatusCode::PAYLOAD_TOO_LARGE,
                None,
                &RpcError::new(Code::TooLarge, message()),
            )),
            Self::UriTooLong(_) => {
                answer(StatusCode::URI_TOO_LONG, None, &RpcError::new(Code::TooLarge, message()))
            }
            Self::NotJson | Self::Encoded => answer(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                None,
                &RpcError::new(Code::InvalidRequest, message()),
            ),
            Self::TooManyRequests(wait) => with(
                answer(
                    StatusCode::TOO_MANY_REQUESTS,
                    None,
                    &RpcError::new(Code::Overloaded, message()).retry_after(*wait),
                ),
                |headers| headers.insert(RETRY_AFTER, seconds(*wait).into()),
            ),
            Self::TooManyHeaders(_) => answer(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                None,
                &RpcError::new(Code::TooLarge, message()),
            ),
            Self::NotEncrypted => {
                respond(StatusCode::BAD_REQUEST, "text/plain; charset=utf-8", self.to_string())
            }
            Self::UnknownCoding => hang_up(answer(
                StatusCode::NOT_IMPLEMENTED,
                None,
                &RpcError::new(Code::InvalidRequest, message()),
            )),
            Self::TooManyOfOneClient(_) => with(
                answer(
                    StatusCode::TOO_MANY_REQUESTS,
                    None,
                    &RpcError::new(Code::Overloaded, message()).retry_after(A_MOMENT),
                ),
                |headers| headers.insert(RETRY_AFTER, seconds(A_MOMENT).into()),
            ),
            Self::TooManyConnections(_) => with(
                answer(
                    StatusCode::SERVICE_UNAVAILABLE,
                    None,
                    &RpcError::new(Code::Overloaded, message()).retry_after(A_MOMENT),
                ),
                |headers| headers.insert(RETRY_AFTER, seconds(A_MOMENT).into()),
            ),
            Self::Unavailable { id, error, retry_after } => with(
                answer(
                    StatusCode::SERVICE_UNAVAILABLE,
                    id.as_deref(),
                    &error.clone().retry_after(*retry_after),
                ),
                |headers| headers.insert(RETRY_AFTER, seconds(*retry_after).into()),
            ),
        }
    }
}

impl Reply for Refusal {
    fn into_response(self) -> warp::reply::Response {
        self.render()
    }
}

/// When a connection may be free.
const A_MOMENT: Duration = Duration::from_secs(1);

/// `Retry-After` knows only whole seconds: rounded up, so that nobody comes too early.
pub(super) fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

fn answer<B: From<Bytes>>(status: StatusCode, id: Option<&str>, error: &RpcError) -> Response<B> {
    respond(status, "application/json", error.to_line(id))
}

fn respond<B: From<Bytes>>(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<B> {
    let mut response = Response::new(B::from(body.into()));
    *response.status_mut() = status;
    with(response, |headers| headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type)))
}

/// The rest of the body is still to come and nobody will read it.
fn hang_up<B>(response: Response<B>) -> Response<B> {
    with(response, |headers| headers.insert(CONNECTION, HeaderValue::from_static("close")))
}

fn with<B, T>(mut response: Response<B>, set: impl FnOnce(&mut HeaderMap) -> T) -> Response<B> {
    set(response.headers_mut());
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn shown(refusal: &Refusal) -> (u16, HeaderMap, Value) {
        let response = refusal.render::<Bytes>();
        let body = serde_json::from_slice(response.body()).unwrap_or(Value::Null);
        (response.status().as_u16(), response.headers().clone(), body)
    }

    #[test]
    fn every_refusal_has_its_status_and_code() {
        let id = || Some("7".into());
        let unavailable = |code| Refusal::Unavailable {
            id: id(),
            error: RpcError::new(code, "try again"),
            retry_after: Duration::from_millis(1200),
        };
        for (refusal, status, code) in [
            (Refusal::Unreadable("expected value at line 1".into()), 400, -32700),
            (Refusal::BodyCutShort, 400, -32700),
            (Refusal::invalid("no"), 400, -32600),
            (Refusal::BadHost("there is none"), 400, -32600),
            (Refusal::ForeignHost("evil.com".into()), 403, -31007),
            (Refusal::ForeignOrigin("null".into()), 403, -31007),
            (Refusal::NotFound { id: id(), era: Era::Legacy }, 404, -32001),
            (Refusal::NotFound { id: id(), era: Era::Modern }, 404, -31010),
            (Refusal::MethodNotAllowed { allow: "GET, POST" }, 405, -32600),
            (Refusal::NotAcceptable { offered: "application/json" }, 406, -32600),
            (Refusal::BodyTooSlow(Duration::from_secs(30)), 408, -32600),
            (Refusal::HeadTooSlow(Duration::from_secs(5)), 408, -32600),
            (Refusal::BodyTooLarge(4), 413, -31005),
            (Refusal::UriTooLong(4), 414, -31005),
            (Refusal::NotJson, 415, -32600),
            (Refusal::Encoded, 415, -32600),
            (Refusal::NoOperator, 403, -31007),
            (
                Refusal::Unauthorized { reason: "no".into(), challenge: HeaderValue::from_static("Bearer") },
                401,
                -31007,
            ),
            (
                Refusal::Insufficient {
                    id: id(),
                    error: RpcError::new(Code::NotAllowed, "no"),
                    challenge: HeaderValue::from_static("Bearer"),
                },
                403,
                -31007,
            ),
            (Refusal::Forbidden("the server a".into()), 403, -31007),
            (Refusal::NothingPermitted, 403, -31007),
            (Refusal::Denied { id: id(), error: RpcError::new(Code::NotAllowed, "no") }, 403, -31007),
            (
                Refusal::Denied {
                    id: id(),
                    error: RpcError::new(Code::Overloaded, "no").retry_after(Duration::from_millis(1)),
                },
                429,
                -31004,
            ),
            (Refusal::NoServer("a".into()), 404, -31010),
            (Refusal::SwitchedOff("off"), 404, -31010),
            (Refusal::Conflict("no".into()), 409, -32600),
            (Refusal::BadConfiguration("no".into()), 422, -32600),
            (Refusal::TooManyRequests(Duration::from_secs(1)), 429, -31004),
            (Refusal::TooManyHeaders(64), 431, -31005),
            (Refusal::TooManyConnections(1), 503, -31004),
            (Refusal::TooManyOfOneClient(1), 429, -31004),
            (Refusal::UnknownCoding, 501, -32600),
            (unavailable(Code::ServerUnavailable), 503, -31001),
            (unavailable(Code::Overloaded), 503, -31004),
            (unavailable(Code::ShuttingDown), 503, -31009),
        ] {
            let (found, headers, body) = shown(&refusal);
            assert_eq!((found, &body["error"]["code"]), (status, &json!(code)), "{refusal:?}");
            assert_eq!(headers[CONTENT_TYPE], "application/json");
            assert_eq!(headers.contains_key(RETRY_AFTER), matches!(status, 429 | 503), "{refusal:?}");
            assert_eq!(body["jsonrpc"], "2.0");
        }
    }

    #[test]
    fn an_unavailable_server_names_the_request_and_when_to_come_back() {
        let error = RpcError::new(Code::ServerUnavailable, "it exited").with("reason", "exit 1");
        let refusal = Refusal::Unavailable { id: None, error, retry_after: Duration::from_millis(1200) };
        let (_, headers, body) = shown(&refusal.of(Some("\"a\"".into())));
        assert_eq!(headers[RETRY_AFTER], "2");
        assert_eq!(body["id"], "a");
        assert_eq!(body["error"]["data"], json!({ "reason": "exit 1", "retryAfterMs": 1200 }));
    }

    #[test]
    fn clients_that_try_post_first_are_sent_to_get_in_plain_text() {
        let response = Refusal::StreamFirst.render::<Bytes>();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()[ALLOW], "GET");
        assert_eq!(response.headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
    }

    #[test]
    fn text_from_outside_stays_text() {
        let (_, _, body) = shown(&Refusal::ForeignHost("a\"\n<b>".into()));
        assert!(body["error"]["message"].as_str().is_some_and(|message| message.contains("<b>")));
    }
}
