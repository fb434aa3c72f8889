//! The page that a browser is shown at `/status`. It holds no data: what it shows it asks for, as whoever has opened it.
//!
//! One document, put together once from the files in this folder, that loads nothing and may run nothing but its own
//! script: the policy names the digests of both.

use super::accept;
use super::endpoint::Endpoint;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;
use warp::reply::Response;

/// The document around style and script, with [`STYLE_HERE`] and [`SCRIPT_HERE`] where they go.
const DOCUMENT: &str = include_str!("page.html");

const STYLE: &str = include_str!("page.css");

/// One module in parts: they share their names, and the last one begins.
const SCRIPT: &[&str] = &[
    include_str!("dom.js"),
    include_str!("words.js"),
    include_str!("json.js"),
    include_str!("access.js"),
    include_str!("events.js"),
    include_str!("client.js"),
    include_str!("plot.js"),
    include_str!("fitness.js"),
    include_str!("form.js"),
    include_str!("template.js"),
    include_str!("content.js"),
    include_str!("call.js"),
    include_str!("feeds.js"),
    include_str!("overview.js"),
    include_str!("offers.js"),
    include_str!("detail.js"),
    include_str!("main.js"),
];

const STYLE_HERE: &str = "/* style */";
const SCRIPT_HERE: &str = "/* script */";

/// The page, and what it may do.
struct Page {
    html: Bytes,
    policy: HeaderValue,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let script = SCRIPT.concat();
    let html = DOCUMENT.replacen(STYLE_HERE, STYLE, 1).replacen(SCRIPT_HERE, &script, 1);
    Page { html: html.into(), policy: policy(STYLE, &script) }
});

/// What is asked for where `/status` is: the page, or the truth in JSON. `?format=` decides, else `Accept`.
pub(super) fn negotiated<'a>(endpoint: Endpoint<'a>, headers: &HeaderMap, query: &str) -> Endpoint<'a> {
    if endpoint != Endpoint::Status {
        return endpoint;
    }
    let format = query.split('&').find_map(|pair| pair.strip_prefix("format="));
    let is_page = match format {
        Some("html") => true,
        Some("json") => false,
        _ => accept::prefers_html(headers),
    };
    if is_page { Endpoint::Page } else { Endpoint::Status }
}

/// The page.
pub(super) fn page() -> Response {
    const COOP: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
    let mut response = Response::new(PAGE.html.clone().into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, PAGE.policy.clone());
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        // Another version of the router has another page.
        (CACHE_CONTROL, "no-cache"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // For browsers that do not know `frame-ancestors`.
        (X_FRAME_OPTIONS, "DENY"),
        (COOP, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Says of an answer at `/status` that another `Accept` would have got another.
pub(super) fn tell_negotiated(endpoint: Option<Endpoint<'_>>, headers: &mut HeaderMap) {
    if matches!(endpoint, Some(Endpoint::Status | Endpoint::Page)) {
        headers.append(VARY, HeaderValue::from_static("Accept"));
    }
}

/// Nothing but what is in the document, and requests to where it came from.
fn policy(style: &str, script: &str) -> HeaderValue {
    let digest = |text: &str| STANDARD.encode(Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; img-src data:; \
         media-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        digest(script),
        digest(style),
    );
    // Base64 and our own words are fit for a header; a policy that is not would be no policy, so that nothing may run.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::ACCEPT;

    /// What stands between the only `<name ...>` and its end.
    fn element<'a>(html: &'a str, name: &str) -> &'a str {
        let open = html.find(&format!("<{name}")).unwrap();
        let begin = open + html[open..].find('>').unwrap() + 1;
        let end = html.find(&format!("</{name}>")).unwrap();
        assert_eq!(html.matches(&format!("<{name}")).count(), 1, "there is one {name}");
        &html[begin..end]
    }

    #[test]
    fn the_policy_lets_run_what_is_in_the_document_and_nothing_else() {
        let html = std::str::from_utf8(&PAGE.html).unwrap();
        let policy = PAGE.policy.to_str().unwrap();
        for (directive, name) in [("script-src", "script"), ("style-src", "style")] {
            let digest = STANDARD.encode(Sha256::digest(element(html, name)));
            let wanted = format!("; {directive} 'sha256-{digest}';");
            assert!(policy.contains(&wanted), "{wanted} is not in {policy}");
        }
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        for wanted in
            ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "connect-src 'self'"]
        {
            assert!(policy.contains(wanted), "{wanted} is not in {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn the_document_is_whole_and_brings_no_text_to_life() {
        let html = std::str::from_utf8(&PAGE.html).unwrap();
        assert!(html.starts_with("<!doctype html>") && html.trim_end().ends_with("</html>"));
        assert!(!html.contains(STYLE_HERE) && !html.contains(SCRIPT_HERE));
        // Nothing is loaded from elsewhere, and no text can become markup.
        let script = SCRIPT.concat();
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            "DOMParser",
        ] {
            assert!(!script.contains(word), "the script has {word}");
        }
        for word in ["//fonts", "https://", "src=\"http", "@import", "url("] {
            assert!(!html.contains(word), "the page has {word}");
        }
    }

    #[test]
    fn browsers_get_the_page_and_everybody_else_what_they_always_got() {
        const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        for (accept, query, expected) in [
            (None, "", Endpoint::Status),
            (Some("*/*"), "", Endpoint::Status),
            (Some("application/json"), "", Endpoint::Status),
            (Some(BROWSER), "", Endpoint::Page),
            (Some("text/html"), "", Endpoint::Page),
            (Some(BROWSER), "format=json", Endpoint::Status),
            (Some(BROWSER), "a=b&format=json", Endpoint::Status),
            (Some("*/*"), "format=html", Endpoint::Page),
            (Some("*/*"), "format=xml", Endpoint::Status),
            (Some(BROWSER), "informat=json", Endpoint::Page),
        ] {
            let headers = accept.map(|value| (ACCEPT, HeaderValue::from_static(value))).into_iter().collect();
            assert_eq!(negotiated(Endpoint::Status, &headers, query), expected, "{accept:?} {query}");
        }
        let headers = [(ACCEPT, HeaderValue::from_static(BROWSER))].into_iter().collect();
        assert_eq!(negotiated(Endpoint::Health, &headers, ""), Endpoint::Health);
    }
}
