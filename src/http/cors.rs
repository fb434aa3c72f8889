//! Cross-origin requests: which web pages may read the answers.
//!
//! Only with `--allow-origin`; otherwise nothing of this is ever sent. Credentials are never allowed: a
//! page has to know what it sends.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::origin::{AllowedOrigins, Origin};

/// What is said to web pages of other origins.
#[derive(Clone, Debug)]
pub struct CorsPolicy {
    origins: AllowedOrigins,
    exposed: HeaderValue,
}

impl CorsPolicy {
    /// The policy of `--allow-origin`, or `None` without one. `expose_headers` are response headers that
    /// pages may read beside `Mcp-Session-Id` and `WWW-Authenticate`; what is not a header's name is left out.
    pub fn new(allow_origins: &[String], expose_headers: &[String]) -> Option<Self> {
        let origins = AllowedOrigins::new(allow_origins);
        if origins.is_empty() {
            return None;
        }
        let mut exposed = String::from("Mcp-Session-Id, WWW-Authenticate");
        for name in expose_headers {
            if name.parse::<http::HeaderName>().is_ok() && !name.eq_ignore_ascii_case("mcp-session-id") {
                exposed.push_str(", ");
                exposed.push_str(name);
            }
        }
        let exposed = HeaderValue::try_from(exposed)
            .unwrap_or(HeaderValue::from_static("Mcp-Session-Id, WWW-Authenticate"));
        Some(Self { origins, exposed })
    }

    /// What `Access-Control-Allow-Origin` says to this origin.
    fn allow(&self, origin: Option<&HeaderValue>) -> Option<HeaderValue> {
        let value = origin?;
        let origin = Origin::parse(value.to_str().ok()?)?;
        match (self.origins.any(), self.origins.allows(&origin)) {
            (true, _) => Some(HeaderValue::from_static("*")),
            (false, true) => Some(value.clone()),
            (false, false) => None,
        }
    }
}

/// The answer to a preflight, an OPTIONS request that the guard has let pass: 204.
pub fn preflight<B: From<Bytes>>(request: &HeaderMap, policy: &CorsPolicy) -> Response<B> {
    let mut response = Response::new(B::from(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    decorate(headers, request.get(ORIGIN), policy);
    if headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        let wanted = request.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.unwrap_or(REQUEST_HEADERS));
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        headers.append(VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    }
    response
}

/// Adds to any response what lets a page of an allowed origin read it. `origin` is the request's.
pub fn decorate(headers: &mut HeaderMap, origin: Option<&HeaderValue>, policy: &CorsPolicy) {
    if !policy.origins.any() {
        // A cache must not give one origin the answer meant for another, nor for none.
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
    if let Some(allow) = policy.allow(origin) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allow);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, policy.exposed.clone());
    }
}

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, DELETE, OPTIONS, HEAD");

/// What MCP clients send, for a preflight that does not ask for headers by name.
const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "Accept, Authorization, Content-Type, Last-Event-ID, Mcp-Method, Mcp-Name, Mcp-Protocol-Version, Mcp-Session-Id, \
     X-API-Key",
);

/// Two hours in seconds: the longest that Chromium keeps.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(origins: &[&str]) -> Option<CorsPolicy> {
        let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
        CorsPolicy::new(&origins, &["X-Trace".into(), "mcp-session-id".into(), "bad name".into()])
    }

    fn headers(list: &[(http::HeaderName, &'static str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn without_origins_there_is_no_policy() {
        assert!(policy(&[]).is_none());
    }

    #[test]
    fn an_allowed_page_may_read_and_others_may_not() {
        let policy = policy(&["https://app.example"]).unwrap();
        let mut answer = HeaderMap::new();
        decorate(&mut answer, Some(&HeaderValue::from_static("https://app.example")), &policy);
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example");
        assert_eq!(answer[ACCESS_CONTROL_EXPOSE_HEADERS], "Mcp-Session-Id, WWW-Authenticate, X-Trace");
        assert_eq!(answer[VARY], "Origin");
        for origin in [None, Some(HeaderValue::from_static("https://other.example"))] {
            let mut answer = HeaderMap::new();
            decorate(&mut answer, origin.as_ref(), &policy);
            assert_eq!(answer, headers(&[(VARY, "Origin")]));
        }
    }

    #[test]
    fn a_preflight_says_what_may_be_sent() {
        let policy = policy(&["*"]).unwrap();
        let asked = preflight::<Bytes>(
            &headers(&[(ORIGIN, "http://a.example"), (ACCESS_CONTROL_REQUEST_HEADERS, "x-one, x-two")]),
            &policy,
        );
        assert_eq!(asked.status(), StatusCode::NO_CONTENT);
        assert_eq!(asked.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(asked.headers()[ACCESS_CONTROL_ALLOW_HEADERS], "x-one, x-two");
        assert_eq!(asked.headers()[ACCESS_CONTROL_ALLOW_METHODS], METHODS);
        assert!(!asked.headers().contains_key(http::header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
        let plain = preflight::<Bytes>(&headers(&[(ORIGIN, "http://a.example")]), &policy);
        assert_eq!(plain.headers()[ACCESS_CONTROL_ALLOW_HEADERS], REQUEST_HEADERS);
        let foreign = preflight::<Bytes>(&HeaderMap::new(), &policy);
        assert!(!foreign.headers().contains_key(ACCESS_CONTROL_ALLOW_METHODS));
    }
}
